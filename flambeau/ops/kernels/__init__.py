"""Kernels of one op or one family: loops that no scalar formula gives, and tuned bodies."""

from pathlib import Path

from flambeau.codegen.sources import remember

remember(Path(__file__).parent)
