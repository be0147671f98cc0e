"""Views that rearrange dimensions: transpose, permute, movedim, squeeze, unsqueeze, expand.

Each is a rule from (shape, strides) to (shape, strides) with the transposed operation as its
gradient; nothing is copied.

    >>> torch.arange(6).view(2, 3).T.shape
    torch.Size([3, 2])
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from operator import index as as_int
from typing import Any

from flambeau.core import errors
from flambeau.core.shape import wrap_dim, wrap_dims
from flambeau.core.spec import Spec
from flambeau.core.strides import expand_strides
from flambeau.ops.kinds import Dims, Sizes, composite, structured, view
from flambeau.ops.view import geometry, int_list

PROPERTIES = ("T", "mT", "H", "mH")

# ---- the order of dimensions ---------------------------------------------------------------------


def exchanged(spec: Spec, dim0: int, dim1: int) -> tuple[Any, Any, int]:
    """Geometry with two dimensions exchanged."""
    order = list(range(spec.ndim))
    a, b = wrap_dim(dim0, spec.ndim), wrap_dim(dim1, spec.ndim)
    if order:
        order[a], order[b] = b, a
    return [spec.shape[d] for d in order], [spec.strides[d] for d in order], 0


@view(grad=lambda g, dim0, dim1: g.transpose(dim0, dim1))
def transpose(input, dim0, dim1):
    """Two dimensions exchanged.

    >>> torch.zeros(2, 3, 4).transpose(0, 2).shape
    torch.Size([4, 3, 2])
    """
    return exchanged(input, as_int(dim0), as_int(dim1))


@view(node="TransposeBackward", grad=lambda g, axis0, axis1: g.transpose(axis0, axis1))
def swapaxes(input, axis0, axis1):
    """NumPy's name of `transpose(axis0, axis1)`.

    >>> torch.zeros(2, 3).swapaxes(0, 1).shape
    torch.Size([3, 2])
    """
    return exchanged(input, as_int(axis0), as_int(axis1))


@view(node="TransposeBackward", grad=lambda g, dim0, dim1: g.transpose(dim0, dim1))
def swapdims(input, dim0, dim1):
    """`transpose(dim0, dim1)`.

    >>> torch.zeros(2, 3).swapdims(0, 1).shape
    torch.Size([3, 2])
    """
    return exchanged(input, as_int(dim0), as_int(dim1))


@view(grad=lambda g: g.t())
def t(input):
    """The transposed matrix; vectors and scalars as they are.

    >>> torch.tensor([[1, 2]]).t().shape
    torch.Size([2, 1])
    """
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return (
        exchanged(input, 0, input.ndim - 1) if input.ndim == 2 else (input.shape, input.strides, 0)
    )


@view(public=None, node="PermuteBackward", grad=lambda g: g.permute(*range(g.ndim - 1, -1, -1)))
def T(input):
    """The dimensions in reverse order."""
    if input.ndim not in (0, 2):
        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated and it will throw an "
            "error in a future release. Consider `x.mT` to transpose batches of matrices or "
            "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return input.shape[::-1], input.strides[::-1], 0


@view(public=None, node="TransposeBackward", grad=lambda g: g.mT)
def mT(input):
    """The last two dimensions exchanged."""
    if input.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. "
            f"Got {input.ndim}-D tensor."
        )
    return exchanged(input, -2, -1)


@structured(public=None, node="TransposeBackward", grad=lambda g: g.transpose(-2, -1).conj())
def mH(call, input):
    """The last two dimensions exchanged, complex elements conjugated."""
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim == 0:
        return conjugate_scalar(input, "Tensor.mH is")
    if spec.ndim < 2:
        raise RuntimeError(
            "tensor.mH is only supported on matrices or batches of matrices. "
            f"Got {spec.ndim}-D tensor."
        )
    return adjoint_plan(call, input, spec)


@structured(public=None, node="TransposeBackward", grad=lambda g: g.t().conj())
def H(call, input):
    """The conjugate transpose of a matrix."""
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {spec.ndim}-D tensor."
        )
    if spec.ndim == 0:
        return conjugate_scalar(input, "Tensor.H is")
    return adjoint_plan(call, input, spec)


def conjugate_scalar(input: Any, what: str) -> Any:
    """A 0-d tensor has no dimensions to exchange: torch still answers, with a warning."""
    warnings.warn(
        f"{what} deprecated on 0-D tensors. Consider using x.conj().", UserWarning, stacklevel=4
    )
    return input.conj()


@structured(node="TransposeBackward", grad=lambda g: g.transpose(-2, -1).conj())
def adjoint(call, input):
    """The conjugate transpose of the last two dimensions.

    >>> torch.zeros(2, 3).adjoint().shape
    torch.Size([3, 2])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim == 0:
        return conjugate_scalar(input, "adjoint() is")
    if spec.ndim < 2:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. "
            f"Got {spec.ndim}-D tensor."
        )
    return adjoint_plan(call, input, spec)


def adjoint_plan(call: Any, input: Any, spec: Spec) -> Any:
    """A view for real elements; complex ones are conjugated in a copy."""
    if spec.dtype.is_complex:
        return input.transpose(-2, -1).conj()
    shape, strides, _ = exchanged(spec, -2, -1)
    return call.plan(["input"], [geometry(spec, shape, strides)]).use_view(0)


@view(grad=lambda g, dims: g.permute(inverse_order(dims)))
def permute(input, dims: Dims):
    """The dimensions in the given order.

    >>> torch.zeros(2, 3, 4).permute(2, 0, 1).shape
    torch.Size([4, 2, 3])
    """
    dims = int_list(dims)
    if len(dims) != input.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = "
            f"{len(dims)}"
        )
    wrapped = [wrap_dim(d, input.ndim) for d in dims]
    if len(set(wrapped)) != len(wrapped):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return [input.shape[d] for d in wrapped], [input.strides[d] for d in wrapped], 0


def inverse_order(dims: Sequence[int]) -> tuple[int, ...]:
    """The order that undoes `permute(dims)`."""
    wrapped = [d % len(dims) for d in int_list(dims)]
    return tuple(wrapped.index(d) for d in range(len(wrapped)))


@view(node="PermuteBackward", grad=lambda g, source, destination: g.movedim(destination, source))
def movedim(input, source, destination):
    """Dimensions `source` moved to the places `destination`, the others in their order.

    >>> torch.zeros(2, 3, 4).movedim(0, -1).shape
    torch.Size([3, 4, 2])
    """
    return moved(input, "movedim", source, destination)


@view(node="PermuteBackward", grad=lambda g, source, destination: g.movedim(destination, source))
def moveaxis(input, source, destination):
    """NumPy's name of `movedim`.

    >>> torch.zeros(2, 3, 4).moveaxis(0, -1).shape
    torch.Size([3, 4, 2])
    """
    return moved(input, "movedim", source, destination)


def moved(spec: Spec, name: str, source: Any, destination: Any) -> tuple[Any, Any, int]:
    """Geometry with some dimensions at other places."""
    source, destination = int_list(source), int_list(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            f"{name}: Invalid source or destination dims: source ({list(source)} dims) should "
            "contain the same number of "
            f"dims as destination ({list(destination)} dims)"
        )
    start = [wrap_dim(d, spec.ndim) for d in source]
    end = [wrap_dim(d, spec.ndim) for d in destination]
    for what, given, wrapped in (("source", source, start), ("destination", destination, end)):
        if len(set(wrapped)) != len(wrapped):
            raise RuntimeError(f"{name}: repeated dim in `{what}` ({list(given)})")
    if spec.ndim == 0:
        return spec.shape, spec.strides, 0
    order = [-1] * spec.ndim
    for a, b in zip(start, end, strict=True):
        order[b] = a
    rest = iter(d for d in range(spec.ndim) if d not in start)
    order = [d if d >= 0 else next(rest) for d in order]
    return [spec.shape[d] for d in order], [spec.strides[d] for d in order], 0


# ---- dimensions of size 1 ------------------------------------------------------------------------


@structured(grad=lambda g, input_like: g.reshape(input_like.shape))
def squeeze(call, input, dim: Dims = None):
    """Without the dimensions of size 1: all of them, or those named.

    >>> torch.zeros(1, 2, 1).squeeze(-1).shape
    torch.Size([1, 2])
    """
    spec = call.op.check_tensor(input, "input")._spec
    plan = call.plan(["input"], [geometry(spec, *squeezed(spec, dim))])
    plan.node_name = (
        "SqueezeBackward0"
        if dim is None
        else "SqueezeBackward"
        + ("2" if isinstance(call.arguments["dim"], list) else squeeze_kind(dim))
    )
    return plan.use_view(0)


def squeeze_kind(dim: Any) -> str:
    """Number of torch's node for a squeeze: 1 for one dimension, 2 for a list of them."""
    return "1" if isinstance(dim, int) or isinstance(dim, tuple) and len(dim) == 1 else "2"


def squeezed(spec: Spec, dim: Any) -> tuple[list[int], list[int]]:
    """Geometry without the named dimensions where their size is 1."""
    dims = range(spec.ndim) if dim is None else wrap_dims(int_list(dim), spec.ndim)
    kept = [d for d in range(spec.ndim) if d not in dims or spec.shape[d] != 1]
    return [spec.shape[d] for d in kept], [spec.strides[d] for d in kept]


@view(grad=lambda g, dim: g.squeeze(dim))
def unsqueeze(input, dim):
    """With a new dimension of size 1 at place `dim`.

    >>> torch.zeros(2, 3).unsqueeze(1).shape
    torch.Size([2, 1, 3])
    """
    shape, strides = unsqueezed(input, as_int(dim))
    return shape, strides, 0


def unsqueezed(spec: Spec, dim: int) -> tuple[list[int], list[int]]:
    """Geometry with one more dimension."""
    dim = wrap_dim(dim, spec.ndim + 1)
    stride = 1 if dim == spec.ndim else spec.shape[dim] * spec.strides[dim]
    return [*spec.shape[:dim], 1, *spec.shape[dim:]], [
        *spec.strides[:dim],
        stride,
        *spec.strides[dim:],
    ]


# ---- expansion -----------------------------------------------------------------------------------


@view(grad=lambda g, input_like: g.sum_to_size(input_like.shape))
def expand(input, size: Sizes, *, implicit=False):
    """Dimensions of size 1 stretched, new ones put in front, without copying; -1 keeps a size.

    >>> torch.tensor([[1], [2]]).expand(-1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    shape, strides = expand_strides(
        input.shape, input.strides, int_list(size), input.dtype.tensor_type
    )
    return shape, strides, 0


@view(node="ExpandBackward", grad=lambda g, input_like: g.sum_to_size(input_like.shape))
def broadcast_to(input, size: Sizes):
    """NumPy's name of `expand`.

    >>> torch.tensor([1, 2]).broadcast_to((2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    shape, strides = expand_strides(
        input.shape, input.strides, int_list(size), input.dtype.tensor_type
    )
    return shape, strides, 0


@composite(methods=("expand_as",), public=None)
def expand_as(input: Any, other: Any) -> Any:
    """`input.expand(other.shape)`.

    >>> torch.tensor([1]).expand_as(torch.zeros(3))
    tensor([1, 1, 1])
    """
    return input.expand(other.shape)


@composite(methods=("sum_to_size",), public=None)
def sum_to_size(input: Any, *size: Any) -> Any:
    """Summed over the dimensions that broadcasting `size` to the tensor's shape would stretch.

    >>> torch.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    shape = int_list(size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size)
    own = input.shape
    added = len(own) - len(shape)
    if added < 0 or any(a != b and a != 1 for a, b in zip(shape, own[added:], strict=True)):
        raise RuntimeError(
            f"size {{{errors.brackets(shape)}}} is not expandable to size "
            f"{{{errors.brackets(own)}}}."
        )
    if own == shape and shape:
        return input
    if not shape:
        return input.sum()
    dims = [d for d in range(len(own)) if d < added or shape[d - added] == 1 and own[d] != 1]
    total = input.sum(dims, True) if dims else input
    return total.view(shape) if added else total
