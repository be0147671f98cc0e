"""Kernels compiled for older processors compute what those for this one do."""

from __future__ import annotations

import json
import platform

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F

PROGRAM = """
import json
import flambeau as torch
from tests.test_processors import results
print(json.dumps(results()))
"""


def halves() -> list[int]:
    """Every float16 as float32 and back, and floats around them, as bits."""
    every = np.arange(65536, dtype=np.uint32).astype(np.uint16).view(np.float16)
    numbers = every[np.isfinite(every)].astype(np.float32)
    between = np.concatenate([numbers, np.nextafter(numbers, np.float32(9e9)), numbers * 1.0004])
    assert np.array_equal(torch.from_numpy(numbers).half().float().numpy(), numbers)
    wrong = torch.from_numpy(between).half().numpy() != between.astype(np.float16)
    return [int(wrong.sum())]


def results() -> dict[str, list[float]]:
    """Figures from kernels of many kinds."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.GELU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.LayerNorm(16 * 6 * 6),
        torch.nn.Linear(16 * 6 * 6, 10),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(model(torch.randn(8, 3, 12, 12)), torch.randint(0, 10, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    x = torch.linspace(-3, 3, 1000)
    half = x.half()
    return {
        "losses": losses,
        "functions": [f(x).sum().item() for f in (torch.exp, torch.sin, torch.erf, torch.tanh)],
        "halves": [
            (half * half).sum().item(),
            (half.view(20, 50) @ half.view(50, 20)).sum().item(),
        ],
        "bfloat16": [(x.bfloat16() * 3).sum().item()],
        "sorted": x.flip(0).sort().values[:5].tolist(),
        "conversions": halves(),
    }


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="levels of x86-64")
@pytest.mark.parametrize("level", ["x86-64"])
def test_levels_of_the_architecture(level: str, command_line) -> None:
    done = command_line("-c", PROGRAM, env={"FLAMBEAU_CPU": level})
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout), results()
    assert found["conversions"] == [0]
    for name, figures in expected.items():
        assert found[name] == pytest.approx(figures, rel=1e-3, abs=1e-3), name
