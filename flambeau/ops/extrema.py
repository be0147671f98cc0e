"""Greatest and least elements: max, min, amax, amin, aminmax, argmax, argmin.

`max` and `min` are three functions each, told apart by their second argument: of all elements,
along a dimension (value and index), of two tensors. The first two are reductions of their own here,
the third is `maximum` or `minimum`.

    >>> torch.tensor([[1, 3], [4, 2]]).max(1).indices
    tensor([1, 0])
"""

from __future__ import annotations

from typing import Any

from flambeau import return_types
from flambeau.codegen import monoids
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.ops.kinds import Dims, reduced_dims, reduction, structured
from flambeau.ops.outputs import same_dtype
from flambeau.ops.reduce import unreduce
from flambeau.ops.registry import OPS, is_tensor

# ---- checks --------------------------------------------------------------------------------------


def check_nonempty(
    name: str, input: Spec, dim: Any, error: type[Exception] = RuntimeError, colon: str = "()"
) -> None:
    """Errors for an extreme of no elements."""
    if input.numel:
        return
    if dim is None or isinstance(dim, (tuple, list)) and not dim:
        hint = "" if error is IndexError else " Specify the reduction dim with the 'dim' argument."
        raise error(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0.{hint}"
        )
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        d = wrap_dim(d, input.ndim)
        if input.ndim and input.shape[d] == 0:
            raise IndexError(f"{name}{colon}: Expected reduction dim {d} to have non-zero size.")


def check_whole(name: str, kernel: str) -> Any:
    """The check of an extreme of all elements."""

    def check(input: Spec, **rest: Any) -> None:
        if input.dtype.is_complex:
            raise errors.not_implemented_for(kernel, input.dtype.scalar_name)
        check_nonempty(name, input, None)

    return check


def check_along(name: str) -> Any:
    """The check of an extreme with its index."""

    def check(input: Spec, dim: Any, **rest: Any) -> None:
        if input.dtype.is_complex:
            raise RuntimeError(f"{name}(): does not support complex input")
        if isinstance(dim, int):
            wrap_dim(dim, input.ndim)
        check_nonempty(name, input, dim)

    return check


def check_argument(name: str) -> Any:
    """The check of argmax and argmin."""

    def check(input: Spec, dim: Any, **rest: Any) -> None:
        if input.dtype.is_complex or input.dtype is dtypes.bool_:
            raise RuntimeError(
                f"{name}(): does not support {'complex' if input.dtype.is_complex else 'bool'} "
                "input"
            )
        check_nonempty(name, input, dim, IndexError)

    return check


def check_values(name: str, kernel: str) -> Any:
    """The check of amax and amin."""

    def check(input: Spec, dim: Any, **rest: Any) -> None:
        reduced_dims(dim, input.ndim)
        check_nonempty(name, input, dim)
        if input.dtype.is_complex:
            raise errors.not_implemented_for(kernel, input.dtype.scalar_name)

    return check


def check_both(input: Spec, dim: Any, **rest: Any) -> None:
    """The check of aminmax."""
    if dim is None and not input.numel:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    check_nonempty("aminmax", input, dim, colon="")
    if input.dtype.is_complex:
        raise errors.not_implemented_for("aminmax_cpu", input.dtype.scalar_name)


# ---- gradients -----------------------------------------------------------------------------------


def shared(g: Any, y: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of an extreme: in equal shares to the elements that attain it."""
    spec = input._spec
    hit = input == unreduce(y, spec, dim, keepdim)
    count = hit.sum() if dim is None else hit.sum(dim, True)
    return (unreduce(g, spec, dim, keepdim) * hit) / count


def shared_whole(g: Any, y: Any, input: Any) -> Any:
    """The same for the extreme of all elements; where it is NaN, the NaNs share."""
    hit = (input == y) | (input.isnan() & y.isnan())
    return hit * (g / hit.sum())


def chosen(g: Any, index: Any, input_like: Spec, dim: int, keepdim: bool) -> Any:
    """The gradient of elements chosen along a dimension: to those elements, zero to the others."""
    if input_like.ndim == 0:
        return g
    if not keepdim:
        g, index = g.unsqueeze(dim), index.unsqueeze(dim)
    return g.new_zeros(tuple(input_like.shape)).scatter(dim, index, g)


# ---- max, min ------------------------------------------------------------------------------------


def value_and_index(dtype: Any, compute: Any, **rest: Any) -> Any:
    """Result dtypes of an extreme with its index."""
    return dtype, dtypes.int64


def _whole(name: str, monoid: Any, node: str) -> Any:
    @reduction(
        name=f"_{name}_whole",
        public=None,
        methods=(),
        node=lambda **_: node,
        check=check_whole(name, f"{name}_all"),
        monoid=lambda element, out, **_: monoid(element, out[0]),
        grad=shared_whole,
    )
    def whole(input: Any) -> Any:
        return input

    return whole


def _along(name: str, monoid: Any, node: str) -> Any:
    @reduction(
        name=f"_{name}_along",
        public=None,
        methods=(),
        node=lambda **_: node,
        check=check_along(name),
        outputs=value_and_index,
        monoid=lambda element, out, **_: monoid(element, out),
        finish=getattr(return_types, name).of,
        grad=lambda g, y1, input_like, dim, keepdim: chosen(g, y1, input_like, dim, keepdim),
    )
    def along(input: Any, dim: Any, keepdim: bool = False) -> Any:
        return input

    return along


_max_whole = _whole("max", monoids.maximum_of, "MaxBackward1")
_max_along = _along("max", monoids.argmax_of, "MaxBackward0")
_min_whole = _whole("min", monoids.minimum_of, "MinBackward1")
_min_along = _along("min", monoids.argmin_of, "MinBackward0")


def _choose(call: Any, name: str, input: Any, dim: Any, keepdim: Any, other: Any) -> Any:
    """The plan of the function that the arguments mean."""
    if is_tensor(dim) and other is None:
        dim, other = None, dim
    arguments = {"input": call.op.check_tensor(input, "input")}
    if is_tensor(other) and dim is None:
        return OPS[f"{name}imum"].make({**arguments, "other": other}, call.places)
    if dim is None and other is None and keepdim is False:
        return OPS[f"_{name}_whole"].make(arguments, call.places)
    if type(dim) is int and other is None:
        return OPS[f"_{name}_along"].make(
            {**arguments, "dim": dim, "keepdim": bool(keepdim)}, call.places
        )
    extra = {
        k: v
        for k, v in (("dim", dim), ("keepdim", keepdim), ("other", other))
        if v is not None and v is not False
    }
    raise errors.invalid_combination(
        name, [input], extra, [s.replace("NAME", name) for s in SIGNATURES]
    )


SIGNATURES = (
    "(Tensor input, *, Tensor out = None)",
    "(Tensor input, Tensor other, *, Tensor out = None)",
    "(Tensor input, int dim, bool keepdim = False, *, tuple of Tensors out = None)",
    "(Tensor input, name dim, bool keepdim = False, *, tuple of Tensors out = None)",
)


@structured()
def max(call, input, dim=None, keepdim=False, *, other=None):
    """The greatest element; with `dim`, the greatest along it and their indices; with another
    tensor, the greater of each pair.

    >>> torch.max(torch.tensor([3, 1, 2]))
    tensor(3)
    """
    return _choose(call, "max", input, dim, keepdim, other)


@structured()
def min(call, input, dim=None, keepdim=False, *, other=None):
    """The least element; with `dim`, the least along it and their indices; with another tensor, the
    lesser of each pair.

    >>> torch.min(torch.tensor([[3, 1], [2, 4]]), 0).values
    tensor([2, 1])
    """
    return _choose(call, "min", input, dim, keepdim, other)


# ---- amax, amin, aminmax -------------------------------------------------------------------------


@reduction(
    monoid=lambda element, out, **_: monoids.maximum_of(element, out[0]),
    check=check_values("amax", "max_values_cpu"),
    grad=lambda g, y, input, dim, keepdim: shared(g, y, input, dim, keepdim),
)
def amax(input, dim: Dims = (), keepdim=False):
    """The greatest elements over one or several dimensions; equal ones share the gradient.

    >>> torch.amax(torch.tensor([[3, 1], [2, 4]]), dim=(0, 1))
    tensor(4)
    """
    return input


@reduction(
    monoid=lambda element, out, **_: monoids.minimum_of(element, out[0]),
    check=check_values("amin", "min_values_cpu"),
    grad=lambda g, y, input, dim, keepdim: shared(g, y, input, dim, keepdim),
)
def amin(input, dim: Dims = (), keepdim=False):
    """The least elements over one or several dimensions; equal ones share the gradient.

    >>> torch.amin(torch.tensor([[3, 1], [2, 4]]), 1)
    tensor([1, 2])
    """
    return input


def shared_both(g0: Any, g1: Any, y0: Any, y1: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of aminmax: the sum of those of its two results."""
    parts = [shared(g, y, input, dim, keepdim) for g, y in ((g0, y0), (g1, y1)) if g is not None]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


@reduction(
    monoid=lambda element, out, **_: monoids.both_extremes_of(element, out),
    check=check_both,
    finish=return_types.aminmax.of,
    outputs=lambda dtype, compute, **_: (dtype, dtype),
    grad=shared_both,
)
def aminmax(input, *, dim=None, keepdim=False):
    """The least and the greatest element, of all or along a dimension, in one pass.

    >>> torch.aminmax(torch.tensor([3, 1, 2])).max
    tensor(3)
    """
    return input


aminmax.out_check = same_dtype()

# ---- argmax, argmin ------------------------------------------------------------------------------


@reduction(
    monoid=lambda element, out, **_: monoids.argmax_of(element, out),
    check=check_argument("argmax"),
    outputs=lambda *_, **rest: (dtypes.int64,),
)
def argmax(input, dim=None, keepdim=False):
    """Index of the greatest element, along `dim` or in the flattened tensor; of equal ones the
    first.

    >>> torch.argmax(torch.tensor([[3, 1], [2, 4]]))
    tensor(3)
    """
    return input


@reduction(
    monoid=lambda element, out, **_: monoids.argmin_of(element, out),
    check=check_argument("argmin"),
    outputs=lambda *_, **rest: (dtypes.int64,),
)
def argmin(input, dim=None, keepdim=False):
    """Index of the least element, along `dim` or in the flattened tensor; of equal ones the first.

    >>> torch.argmin(torch.tensor([[3, 1], [2, 4]]), 1)
    tensor([1, 0])
    """
    return input
