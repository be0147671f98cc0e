"""Kernel generation: scalar expressions, loop nests and their LLVM IR and CUDA texts."""
