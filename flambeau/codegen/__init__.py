"""Kernel generation: scalar expressions, loop nests and their LLVM IR and CUDA texts."""

from pathlib import Path

from flambeau.codegen.sources import remember

remember(Path(__file__).parent)
