"""States of reductions in LLVM IR: their parts, the slots that name them, where they lie in a
scratch buffer. Shared by `codegen/reduction_writer.py` and `codegen/merge_writer.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flambeau.codegen.dtypes import ITEMSIZE, KIND, real_dtype
from flambeau.codegen.emit import (
    Emitter,
    Slot,
    llvm_type,
    lower,
    rare_cases,
    suffix,
    without_rare,
)
from flambeau.codegen.expr import Expr


def parts(exprs: Sequence[Expr]) -> list[str]:
    """The real dtypes that these values consist of."""
    return [real_dtype(e.dtype) for e in exprs for _ in range(2 if KIND[e.dtype] == "c" else 1)]


def fill(prefix: str, exprs: Sequence[Expr], names: Sequence[str]) -> dict[Slot, str]:
    """The slots prefix0, prefix1, ... filled with the parts of values like `exprs`."""
    result: dict[Slot, str] = {}
    remaining = iter(names)
    for k, expr in enumerate(exprs):
        for part in range(2 if KIND[expr.dtype] == "c" else 1):
            result[f"{prefix}{k}", part] = next(remaining)
    return result


def evaluate(
    emitter: Emitter, exprs: Sequence[Expr], slots: Mapping[Slot, str], lanes: int = 1
) -> list[str]:
    """Append the computation of `exprs`, give the names of their parts. Rare cases are computed
    where some lane has one.
    """
    known: dict[Expr, tuple[Expr, ...]] = {}
    roots = [part for expr in exprs for part in lower(expr, known)]
    usual = without_rare(roots, slow=False)
    values: dict[Expr, str] = {}
    flags = [emitter.value(flag, slots, lanes, values) for flag in rare_cases(roots)]
    if not flags:
        return [emitter.value(root, slots, lanes, values) for root in usual]
    mask = llvm_type("bool", lanes)
    while len(flags) > 1:
        flags.append(emitter.let(f"or {mask} {flags.pop(0)}, {flags.pop(0)}"))
    (rare,) = flags
    if lanes > 1:
        rare = emitter.call(
            f"call i1 @llvm.vector.reduce.or.{suffix('bool', lanes)}({mask} {rare})"
        )
    fast, slow, joined = emitter.fresh("fast"), emitter.fresh("slow"), emitter.fresh("joined")
    emitter.line(f"br i1 {rare}, label %{slow}, label %{fast}")
    arrivals = []
    for label, branch in ((fast, usual), (slow, without_rare(roots, slow=True))):
        emitter.label(label)
        own = dict(values)
        names = [emitter.value(root, slots, lanes, own) for root in branch]
        arrivals.append([f"[ {name}, %{emitter.block} ]" for name in names])
        emitter.line(f"br label %{joined}")
    emitter.label(joined)
    return [
        emitter.let(f"phi {llvm_type(root.dtype, lanes)} {', '.join(pair)}")
        for root, pair in zip(roots, zip(*arrivals))
    ]


def state_address(
    emitter: Emitter, scratch: str, part: int, states: str, index: str, dtype: str
) -> str:
    """Where part number `part` of the state number `index` out of `states` lies in the scratch
    buffer.
    """
    plane = emitter.let(f"mul nsw i64 {states}, {8 * part}")
    place = emitter.let(f"mul nsw i64 {index}, {ITEMSIZE[dtype]}")
    offset = emitter.let(f"add nsw i64 {plane}, {place}")
    return emitter.at(scratch, offset)
