"""The reductions as monoids: what each one accumulates, how partial results combine, how the result
is read off.

A reduction sweeps over blocks of a few thousand elements. Within a block, each `Stage` sweeps over
the elements with vector accumulators in the dtype of the elements; a later stage may use the
results of earlier ones, since the block is still in the cache. The block's results then become a
`state`, in a wider dtype, that is combined with the state so far. Accuracy comes from there: a
float32 sum adds at most a few hundred elements per accumulator before it goes on in float64.

`codegen/reduce.py` generates the loops; `ops/` chooses the reduction:

    >>> sum_of("float32", "float32").combine
    (add(left0, right0),)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from flambeau.codegen.dtypes import ITEMSIZE, KIND
from flambeau.codegen.expr import Expr, where

Values = tuple[Expr, ...]
_WIDE = {"float32": "float64", "complex64": "complex128"}


@dataclass(frozen=True)
class Stage:
    """One sweep: accumulators `start`, take in an element by `step`, and are merged pairwise by
    `merge`.

    Slots: acc0.. the accumulators, x0.. the element, index (int32) its place in the block, other0..
    the other side of a merge, stage0.0.. the results of earlier stages.
    """

    start: Values
    step: Values
    merge: Values


@dataclass(frozen=True)
class Reduction:
    """A monoid. `block` makes a state from the stages' results (slots stage0.0.., first and count,
    int64: the block's place and length), `start` is the state of nothing, `combine` joins states
    left0.. and right0.., `finish` gives the outputs from state0.., `size` (int64, the number of
    elements reduced) and param0.. (float64). `ordered`: the order of the elements matters.
    """

    stages: tuple[Stage, ...]
    block: Values
    start: Values
    combine: Values
    finish: Values
    ordered: bool = False
    parameters: int = 0

    def expressions(self) -> Values:
        """Everything that identifies the reduction."""
        stages = [
            expr
            for stage in self.stages
            for part in (stage.start, stage.step, stage.merge)
            for expr in part
        ]
        return (*stages, *self.block, *self.start, *self.combine, *self.finish)


def wide(dtype: str) -> str:
    """The dtype in which blocks are combined."""
    return _WIDE.get(dtype, dtype)


def slots(prefix: str, dtypes: Sequence[str]) -> Values:
    """The slots prefix0, prefix1, ... of these dtypes."""
    return tuple(Expr.slot(f"{prefix}{k}", dtype) for k, dtype in enumerate(dtypes))


def lowest(dtype: str) -> Expr:
    """The value below all others: what a maximum starts from."""
    if KIND[dtype] == "f":
        return Expr.constant(float("-inf"), dtype)
    return Expr.constant(-(1 << (8 * ITEMSIZE[dtype] - 1)) if KIND[dtype] == "i" else 0, dtype)


def highest(dtype: str) -> Expr:
    """The value above all others: what a minimum starts from."""
    if KIND[dtype] == "f":
        return Expr.constant(float("inf"), dtype)
    bits = 1 if dtype == "bool" else 8 * ITEMSIZE[dtype]
    return Expr.constant((1 << (bits - (KIND[dtype] == "i"))) - 1, dtype)


def _fold(
    start: Expr,
    take: Callable[[Expr, Expr], Expr],
    merge: Callable[[Expr, Expr], Expr],
    element: str,
    widened: str,
    finish: Callable[[Expr], Expr],
    parameters: int = 0,
) -> Reduction:
    """A reduction with one accumulator."""
    dtype = start.dtype
    stage = Stage(
        (start,),
        (take(Expr.slot("acc0", dtype), Expr.slot("x0", element)),),
        (merge(Expr.slot("acc0", dtype), Expr.slot("other0", dtype)),),
    )
    left, right, state = (Expr.slot(name, widened) for name in ("left0", "right0", "state0"))
    return Reduction(
        (stage,),
        (Expr.slot("stage0.0", dtype).to(widened),),
        (start.to(widened),),
        (merge(left, right),),
        (finish(state),),
        parameters=parameters,
    )


@lru_cache(maxsize=64)
def sum_of(dtype: str, output: str) -> Reduction:
    """The sum of elements of `dtype`."""
    zero = Expr.constant(0, dtype)
    return _fold(
        zero, lambda a, x: a + x, lambda a, b: a + b, dtype, wide(dtype), lambda s: s.to(output)
    )


@lru_cache(maxsize=64)
def sums_of(dtype: str, outputs: tuple[str, ...]) -> Reduction:
    """The sums of several elements x0, x1, ... of `dtype` at once."""
    many, widened = (dtype,) * len(outputs), (wide(dtype),) * len(outputs)
    acc, x, other = (slots(name, many) for name in ("acc", "x", "other"))
    left, right, state = (slots(name, widened) for name in ("left", "right", "state"))
    stage = Stage(
        tuple(Expr.constant(0, dtype) for _ in many),
        tuple(a + each for a, each in zip(acc, x)),
        tuple(a + b for a, b in zip(acc, other)),
    )
    return Reduction(
        (stage,),
        tuple(total.to(wide(dtype)) for total in slots("stage0.", many)),
        tuple(Expr.constant(0, wide(dtype)) for _ in many),
        tuple(a + b for a, b in zip(left, right)),
        tuple(total.to(output) for total, output in zip(state, outputs)),
    )


@lru_cache(maxsize=64)
def mean_of(dtype: str, output: str) -> Reduction:
    """The arithmetic mean."""
    zero, size = Expr.constant(0, dtype), Expr.slot("size", "int64")
    count = size.to(wide(dtype))
    return _fold(
        zero,
        lambda a, x: a + x,
        lambda a, b: a + b,
        dtype,
        wide(dtype),
        lambda s: (s / count).to(output),
    )


@lru_cache(maxsize=64)
def product_of(dtype: str, output: str) -> Reduction:
    """The product."""
    one = Expr.constant(1, dtype)
    return _fold(
        one, lambda a, x: a * x, lambda a, b: a * b, dtype, wide(dtype), lambda s: s.to(output)
    )


@lru_cache(maxsize=64)
def maximum_of(dtype: str, output: str) -> Reduction:
    """The greatest element; NaN if there is one."""
    return _extreme(lowest(dtype), lambda a, b: a > b, dtype, output)


@lru_cache(maxsize=64)
def minimum_of(dtype: str, output: str) -> Reduction:
    """The least element; NaN if there is one."""
    return _extreme(highest(dtype), lambda a, b: a < b, dtype, output)


def _extreme(
    start: Expr, better: Callable[[Expr, Expr], Expr], dtype: str, output: str
) -> Reduction:
    def pick(a: Expr, x: Expr) -> Expr:
        # NaN in `a` stays, because no comparison with it holds.
        chosen: Expr = where(better(x, a) | x.isnan() if KIND[dtype] == "f" else better(x, a), x, a)
        return chosen

    return _fold(start, pick, pick, dtype, dtype, lambda s: s.to(output))


@lru_cache(maxsize=64)
def both_extremes_of(dtype: str, outputs: tuple[str, ...]) -> Reduction:
    """The least and the greatest element; NaN if there is one."""
    least, greatest = minimum_of(dtype, outputs[0]), maximum_of(dtype, outputs[1])

    def second(expr: Expr) -> Expr:
        return expr.renamed(
            {f"{name}0": f"{name}1" for name in ("acc", "other", "left", "right", "state")}
        )

    stage, other = least.stages[0], greatest.stages[0]
    stage = Stage(
        stage.start + other.start,
        (stage.step[0], second(other.step[0])),
        (stage.merge[0], second(other.merge[0])),
    )
    return Reduction(
        (stage,),
        slots("stage0.", (dtype, dtype)),
        least.start + greatest.start,
        (least.combine[0], second(greatest.combine[0])),
        (least.finish[0], second(greatest.finish[0])),
    )


@lru_cache(maxsize=64)
def any_of(output: str) -> Reduction:
    """Whether some element (a bool) holds."""
    return _fold(
        Expr.constant(False, "bool"),
        lambda a, x: a | x,
        lambda a, b: a | b,
        "bool",
        "bool",
        lambda s: s.to(output),
    )


@lru_cache(maxsize=64)
def all_of(output: str) -> Reduction:
    """Whether every element (a bool) holds."""
    return _fold(
        Expr.constant(True, "bool"),
        lambda a, x: a & x,
        lambda a, b: a & b,
        "bool",
        "bool",
        lambda s: s.to(output),
    )


@lru_cache(maxsize=64)
def argmax_of(dtype: str, outputs: tuple[str, ...]) -> Reduction:
    """Index of the greatest element (outputs: int64), or it and the index (outputs: dtype, int64).
    NaN counts as greatest, ties go to the first.
    """
    return _argument(maximum_of(dtype, dtype), lambda a, b: a > b, dtype, outputs)


@lru_cache(maxsize=64)
def argmin_of(dtype: str, outputs: tuple[str, ...]) -> Reduction:
    """Index of the least element, as `argmax_of`; NaN counts as least."""
    return _argument(minimum_of(dtype, dtype), lambda a, b: a < b, dtype, outputs)


def _argument(
    extreme: Reduction, better: Callable[[Expr, Expr], Expr], dtype: str, outputs: tuple[str, ...]
) -> Reduction:
    """First find the extreme of the block, then the lowest index at which it stands."""
    best, x = Expr.slot("stage0.0", dtype), Expr.slot("x0", dtype)
    place, index, other = (Expr.slot(name, "int32") for name in ("acc0", "index", "other0"))
    hit = x == best
    if KIND[dtype] == "f":
        hit = hit | (x.isnan() & best.isnan())
    nowhere = highest("int32")
    second = Stage(
        (nowhere,), (place.minimum(where(hit, index, nowhere)),), (place.minimum(other),)
    )
    first = Expr.slot("first", "int64")
    block = (best, first + Expr.slot("stage1.0", "int32").to("int64"))
    left, right = slots("left", (dtype, "int64")), slots("right", (dtype, "int64"))
    # Nothing has index -1: then any element is better, even one equal to the start.
    take = better(right[0], left[0]) | (left[1] < 0)
    if KIND[dtype] == "f":
        take = take | (right[0].isnan() & ~left[0].isnan())
    take = take & (right[1] >= 0)
    combine = (where(take, right[0], left[0]), where(take, right[1], left[1]))
    value, where_ = slots("state", (dtype, "int64"))
    finish = (where_,) if len(outputs) == 1 else (value.to(outputs[0]), where_)
    start = (extreme.start[0], Expr.constant(-1, "int64"))
    return Reduction((extreme.stages[0], second), block, start, combine, finish, ordered=True)


@lru_cache(maxsize=64)
def variance_of(dtype: str, outputs: tuple[str, ...], root: bool = False) -> Reduction:
    """The variance (its root if `root`), and the mean if there are two outputs; param0 is the
    correction.

    Each block's mean first, then the squared deviations from it; blocks are combined as Chan, Golub
    and LeVeque do (Updating formulae and a pairwise algorithm for computing sample variances,
    1979). The sum of deviations corrects the rounding of the block's mean.
    """
    zero = Expr.constant(0, dtype)
    x, count = Expr.slot("x0", dtype), Expr.slot("count", "int64").to(dtype)
    acc, other = slots("acc", (dtype, dtype)), slots("other", (dtype, dtype))
    first = Stage((zero,), (acc[0] + x,), (acc[0] + other[0],))
    mean = Expr.slot("stage0.0", dtype) / count
    deviation = x - mean
    second = Stage(
        (zero, zero),
        (acc[0] + deviation, acc[1] + deviation * deviation),
        (acc[0] + other[0], acc[1] + other[1]),
    )
    w = wide(dtype)
    drift, squares = Expr.slot("stage1.0", dtype).to(w), Expr.slot("stage1.1", dtype).to(w)
    n = count.to(w)
    block = (n, mean.to(w) + drift / n, squares - drift * drift / n)
    (na, ma, sa), (nb, mb, sb) = slots("left", (w, w, w)), slots("right", (w, w, w))
    total, delta = na + nb, mb - ma
    share = where(total == 0, 0.0, nb / total)
    combine = (total, ma + delta * share, sa + sb + delta * delta * (na * share))
    seen, mean_all, squares_all = slots("state", (w, w, w))
    mean_all = where(seen == 0, float("nan"), mean_all)
    freedom = Expr.slot("size", "int64").to(w) - Expr.slot("param0", "float64").to(w)
    freedom = where(freedom < 0, 0.0, freedom)
    variance = squares_all / freedom
    results = (variance.sqrt() if root else variance, mean_all)
    zeros = (Expr.constant(0, w),) * 3
    finish = tuple(value.to(output) for value, output in zip(results, outputs))
    return Reduction((first, second), block, zeros, combine, finish, parameters=1)


@lru_cache(maxsize=64)
def logsumexp_of(dtype: str, output: str) -> Reduction:
    """log(sum(exp(x))), safe from overflow: the block's maximum first, then the exponentials of the
    differences.
    """
    extreme = maximum_of(dtype, dtype)
    x, top = Expr.slot("x0", dtype), Expr.slot("stage0.0", dtype)
    acc, other = Expr.slot("acc0", dtype), Expr.slot("other0", dtype)
    second = Stage((Expr.constant(0, dtype),), (acc + (x - _finite(top)).exp(),), (acc + other,))
    block = (top, Expr.slot("stage1.0", dtype))
    (ma, sa), (mb, sb) = slots("left", (dtype, dtype)), slots("right", (dtype, dtype))
    m = where((mb > ma) | mb.isnan(), mb, ma)
    base = _finite(m)
    combine = (m, sa * (_finite(ma) - base).exp() + sb * (_finite(mb) - base).exp())
    top_all, sum_all = slots("state", (dtype, dtype))
    finish = (_finite(top_all) + sum_all.log()).to(output)
    return Reduction(
        (extreme.stages[0], second),
        block,
        (lowest(dtype), Expr.constant(0, dtype)),
        combine,
        (finish,),
    )


def _finite(x: Expr) -> Expr:
    """x, or 0 where x is infinite: infinity minus infinity would be NaN."""
    result: Expr = where(x.isinf(), 0.0, x)
    return result


@lru_cache(maxsize=64)
def norm_of(dtype: str, output: str, p: float | None) -> Reduction:
    """The p-norm of elements of a real `dtype`; p None is the general case, with p in param0."""
    zero = Expr.constant(0, dtype)
    w = wide(dtype)
    if p in (float("inf"), float("-inf")):
        start = zero if p == float("inf") else highest(dtype)

        def pick(a: Expr, b: Expr) -> Expr:
            return where((b > a if p == float("inf") else b < a) | b.isnan(), b, a)

        return _fold(
            start, lambda a, x: pick(a, x.abs()), pick, dtype, dtype, lambda s: s.to(output)
        )
    if p == 0:
        return _fold(
            zero,
            lambda a, x: a + (x != 0).to(dtype),
            lambda a, b: a + b,
            dtype,
            w,
            lambda s: s.to(output),
        )
    if p == 1:
        return _fold(
            zero, lambda a, x: a + x.abs(), lambda a, b: a + b, dtype, w, lambda s: s.to(output)
        )
    if p == 2:
        return _fold(
            zero,
            lambda a, x: a + x * x,
            lambda a, b: a + b,
            dtype,
            w,
            lambda s: s.sqrt().to(output),
        )
    power = Expr.slot("param0", "float64")
    return _fold(
        zero,
        lambda a, x: a + x.abs().pow(power.to(dtype)),
        lambda a, b: a + b,
        dtype,
        w,
        lambda s: s.pow((1 / power).to(w)).to(output),
        parameters=1,
    )
