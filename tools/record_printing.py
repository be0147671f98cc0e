"""Record what torch prints for the expressions of tests/printing_cases.py.

python tools/record_printing.py          # writes tests/golden/printing.json; needs torch 2.13
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from printing_cases import GOLDEN, all_cases, text_of  # noqa: E402


def main() -> None:
    entries = [
        {"expression": expression, "options": options, "text": text_of(torch, expression, options)}
        for expression, options in all_cases()
    ]
    GOLDEN.write_text(json.dumps(entries, indent=0) + "\n")
    print(f"{len(entries)} texts in {GOLDEN}")


if __name__ == "__main__":
    main()
