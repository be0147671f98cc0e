"""Complex arithmetic in pairs of real expressions. Called by `codegen/emit.py` while it lowers a kernel's expressions."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.codegen.expr import Expr, real_dtype

Pair = tuple[Expr, ...]


def expand(node: Expr, args: Sequence[Pair]) -> Pair:
    """The real parts of `node`, whose arguments have been expanded to `args`."""
    real = real_dtype(node.dtype)
    if node.op == "input":
        index = node.value[0]
        return Expr.make("part", (), real, (index, 0)), Expr.make("part", (), real, (index, 1))
    if node.op == "slot":
        return Expr.make("part", (), real, (node.value, 0)), Expr.make("part", (), real, (node.value, 1))
    if node.op == "complex":
        return args[0][0], args[1][0]
    raise NotImplementedError(f"{node.op} is not implemented for complex numbers")
