"""Expressions and options whose printed texts torch was asked for (tools/record_printing.py);
test_printing.py and parity/test_printing_random.py compare with the texts.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden" / "printing.json"

# Values of many magnitudes, the same in every library because Python computes them.
WAVE = [round(math.sin(i * 1.7) * 10 ** (i % 5), 5) for i in range(40)]
SPECIAL = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.5, -2.0]
NAMES = {"WAVE": WAVE, "SPECIAL": SPECIAL}

EXPRESSIONS = [
    "torch.tensor(7)",
    "torch.tensor(3.5)",
    "torch.tensor(-0.0)",
    "torch.tensor(True)",
    "torch.tensor(float('nan'))",
    "torch.tensor(1 - 2j)",
    "torch.tensor(1e-5)",
    "torch.tensor(123456789.0)",
    "torch.tensor([])",
    "torch.zeros(0, 3)",
    "torch.zeros(2, 0, dtype=torch.int32)",
    "torch.tensor([], dtype=torch.int64)",
    "torch.tensor([1.0, 2.0, 3.0])",
    "torch.tensor([1.0, 2.5])",
    "torch.tensor([0.0, 0.0])",
    "torch.tensor([1e-5, 1.0])",
    "torch.tensor([1e-4, 0.05])",
    "torch.tensor([1.0, 1000.0])",
    "torch.tensor([1.0, 1001.0])",
    "torch.tensor([1e8, 2e8])",
    "torch.tensor([1.5e8, 2.0])",
    "torch.tensor([1e30, 1e-30])",
    "torch.tensor(SPECIAL)",
    "torch.tensor(SPECIAL[:5])",
    "torch.tensor([float('inf'), 2.0])",
    "torch.tensor([float('nan')] * 3)",
    "torch.tensor(WAVE)",
    "torch.tensor(WAVE, dtype=torch.float64)",
    "torch.tensor(WAVE[:6], dtype=torch.float16)",
    "torch.tensor(WAVE[:6], dtype=torch.bfloat16)",
    "torch.tensor([5e-324, 1.0], dtype=torch.float64)",
    "torch.tensor([1e308, 1e-308], dtype=torch.float64)",
    "torch.tensor(WAVE).reshape(5, 8)",
    "torch.tensor(WAVE).reshape(2, 4, 5)",
    "torch.tensor(WAVE).reshape(2, 2, 2, 5)",
    "torch.tensor(WAVE).reshape(8, 5).t()",
    "torch.tensor(WAVE)[::3]",
    "torch.tensor(SPECIAL * 3).reshape(3, 7)",
    "torch.arange(-3, 4)",
    "torch.arange(100)",
    "torch.arange(24).reshape(2, 3, 4)",
    "torch.tensor([2**63 - 1, -(2**63)])",
    "torch.arange(5, dtype=torch.uint8)",
    "torch.arange(-2, 3, dtype=torch.int8)",
    "torch.arange(-2, 3, dtype=torch.int16)",
    "torch.arange(-2, 3, dtype=torch.int32)",
    "torch.tensor([0, 65535], dtype=torch.uint16)",
    "torch.tensor([0, 2**32 - 1], dtype=torch.uint32)",
    "torch.tensor([0, 2**63], dtype=torch.uint64)",
    "torch.tensor([True, False])",
    "torch.tensor([[True, False]] * 3)",
    "torch.tensor([1 + 2j, -3.5 - 0.25j])",
    "torch.tensor([1 + 2j, 3 - 4j])",
    "torch.tensor([complex(0, -0.0), complex(float('nan'), float('inf'))])",
    "torch.tensor([1e-6 + 1e6j], dtype=torch.complex128)",
    "torch.arange(1001)",
    "torch.arange(1000)[::10]",
    "torch.arange(2000.0) / 7",
    "torch.arange(10000).reshape(100, 100)",
    "(torch.arange(4000.0) / 3).reshape(8, 500)",
    "torch.arange(4096).reshape(8, 8, 64)",
    "torch.arange(2000).reshape(2, 1000)",
    "torch.arange(2000).reshape(1000, 2)",
    "torch.arange(1200).reshape(4, 3, 100)",
    "torch.tensor([complex(i, -i / 3) for i in range(1100)])",
    "torch.ones(2, requires_grad=True)",
    "torch.ones(2, requires_grad=True) * 2",
    "torch.ones(2, requires_grad=True).sum()",
    "torch.tensor(WAVE, requires_grad=True).neg()",
    "torch.ones(2, 3, dtype=torch.float64, requires_grad=True).reshape(3, 2)",
    "torch.zeros(0, 4, requires_grad=True)",
    "torch.zeros(2, 3, device='meta')",
    "torch.zeros(2, 3, device='meta', dtype=torch.int64)",
    "torch.zeros(30, device='meta', dtype=torch.float64, requires_grad=True)",
    "torch.nn.Parameter(torch.ones(2))",
    "torch.nn.Parameter(torch.arange(3), requires_grad=False)",
    "torch.tensor([[12345.678] * 6] * 2, dtype=torch.float64, requires_grad=True)",
]

OPTIONS: list[dict[str, Any]] = [
    {},
    {"precision": 2},
    {"precision": 0},
    {"sci_mode": True},
    {"sci_mode": False, "precision": 8},
    {"linewidth": 40},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 0, "edgeitems": 2},
    {"threshold": 10, "edgeitems": 0},
    {"profile": "short"},
]
# Under these the large ones would fill the golden file.
OPTIONS_FOR_SMALL: list[dict[str, Any]] = [{"linewidth": 10}, {"profile": "full"}]


def all_cases() -> list[tuple[str, dict[str, Any]]]:
    """Every expression under every options."""
    cases = [(each, options) for options in OPTIONS for each in EXPRESSIONS]
    small = [each for each in EXPRESSIONS if "00" not in each and "4096" not in each]
    return cases + [(each, options) for options in OPTIONS_FOR_SMALL for each in small]


def text_of(torch: Any, expression: str, options: dict[str, Any]) -> str:
    """What the library `torch` prints for the expression."""
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**options)
    try:
        return repr(eval(expression, {"torch": torch, **NAMES}))
    finally:
        torch.set_printoptions(profile="default")
