"""Record what torch says to the wrong calls of tests/parity/wrong_calls.py.

python tools/record_wrong_calls.py       # writes tests/golden/wrong_calls.json; needs torch 2.13
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "parity"))

from wrong_calls import CALLS, outcome  # noqa: E402


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = {line: outcome(torch, line) for lines in CALLS.values() for line in lines}
        os.chdir(ROOT)
    accepted = [line for line, (kind, _) in found.items() if not kind]
    if accepted:
        raise SystemExit("torch accepts:\n" + "\n".join(accepted))
    target = ROOT / "tests" / "golden" / "wrong_calls.json"
    target.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
