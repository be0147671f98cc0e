"""Views that see the same memory as other elements: view(dtype), view_as_real, view_as_complex,
real, imag.

The element size changes and with it the unit of the storage offset, so these plans run in Python
(`use_python`).

    >>> torch.tensor([1 + 2j]).imag
    tensor([2.])
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.inplace import share
from flambeau.core import dtype as dtypes
from flambeau.core.spec import Spec
from flambeau.ops.arrays import record
from flambeau.ops.kinds import structured
from flambeau.ops.registry import engine
from flambeau.runtime import plan_block as fields

PROPERTIES = ("real", "imag")


def retyped(plan: Any, size_before: int, size_after: int, shift: int = 0) -> Any:
    """Finishes a plan whose result is a window of other elements on input 0;
    `shift` counts the new elements.
    """

    def run(x: Any) -> Any:
        position = x._offset * size_before
        result = engine.core.make_tensor(
            x._storage, plan.outputs[0], position // size_after + shift
        )
        share(result, x)
        record(plan, [x], [result])
        return result

    return plan.use_python(run)


def view_dtype(call: Any, spec: Spec, dtype: dtypes.dtype) -> Any:
    """The plan of `x.view(dtype)`."""
    old, new = spec.itemsize, dtype.itemsize
    shape, strides = list(spec.shape), list(spec.strides)
    if old == new:
        pass
    elif spec.ndim == 0:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {spec.dtype.scalar_name} as {dtype.scalar_name} "
            "(different element sizes)"
        )
    elif old > new:
        ratio = old // new
        if strides[-1] != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {spec.dtype.scalar_name} as "
                f"{dtype.scalar_name} (different element sizes), "
                f"but got {strides[-1]}"
            )
        shape[-1] *= ratio
        strides = [s * ratio for s in strides[:-1]] + [1]
    else:
        shape, strides = wider(call, spec, dtype)
    output = Spec.of(tuple(shape), tuple(strides), dtype, spec.device)
    plan = call.plan(["input"], [output])
    if dtype is not spec.dtype:
        plan.gradient = None
        plan.words[fields.B_DIFFERENTIABLE] = 0
    return plan.use_view(0) if old == new else retyped(plan, old, new)


def wider(call: Any, spec: Spec, dtype: dtypes.dtype) -> tuple[list[int], list[int]]:
    """Geometry of a view as larger elements; torch's checks."""
    ratio = dtype.itemsize // spec.itemsize
    what = f"to view {spec.dtype.scalar_name} as {dtype.scalar_name} (different element sizes)"
    offset = call.arguments["input"]._offset
    if spec.shape[-1] % ratio:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {ratio} {what}, but got {spec.shape[-1]}"
        )
    if offset % ratio:
        raise RuntimeError(
            f"self.storage_offset() must be divisible by {ratio} {what}, but got {offset}"
        )
    if spec.strides[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {what}, but got {spec.strides[-1]}")
    for dim, stride in enumerate(spec.strides[:-1]):
        if stride % ratio:
            raise RuntimeError(
                f"self.stride({dim}) must be divisible by {ratio} {what}, but got {stride}"
            )
    return [*spec.shape[:-1], spec.shape[-1] // ratio], [
        *(s // ratio for s in spec.strides[:-1]),
        1,
    ]


@structured(grad=lambda g: g.contiguous().view_as_complex(), methods=("view_as_real",))
def view_as_real(call, input):
    """A complex tensor as real numbers: a last dimension of size 2 holds real and imaginary parts.

    >>> torch.view_as_real(torch.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if not spec.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    part = spec.dtype.to_real()
    strides = (*(2 * s for s in spec.strides), 1)
    output = Spec.of((*spec.shape, 2), strides, part, spec.device)
    return retyped(call.plan(["input"], [output]), spec.itemsize, part.itemsize)


@structured(grad=lambda g: g.view_as_real(), methods=("view_as_complex",))
def view_as_complex(call, input):
    """Pairs of real numbers in the last dimension as complex ones.

    >>> torch.view_as_complex(torch.tensor([[1.0, 2.0]]))
    tensor([1.+2.j])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.dtype not in (dtypes.float32, dtypes.float64, dtypes.float16):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, "
            "but got a tensor of scalar type: "
            f"{spec.dtype.scalar_name}"
        )
    if spec.ndim == 0:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if spec.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if spec.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in spec.strides[:-1]):
        dim = next(d for d, s in enumerate(spec.strides[:-1]) if s % 2)
        raise RuntimeError(
            f"Tensor must have a stride divisible by 2 for all but last dimension (dimension {dim})"
        )
    if input._offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    pair = spec.dtype.to_complex()
    output = Spec.of(
        tuple(spec.shape[:-1]), tuple(s // 2 for s in spec.strides[:-1]), pair, spec.device
    )
    return retyped(call.plan(["input"], [output]), spec.itemsize, pair.itemsize)


def part(call: Any, spec: Spec, shift: int) -> Any:
    """The plan of real (shift 0) or imag (shift 1) of a complex tensor."""
    dtype = spec.dtype.to_real()
    output = Spec.of(spec.shape, tuple(2 * s for s in spec.strides), dtype, spec.device)
    return retyped(call.plan(["input"], [output]), spec.itemsize, dtype.itemsize, shift)


@structured(node="SelectBackward", grad=lambda g, input_like: _complex_of(g, 1))
def real(call, input):
    """The real parts, as a view; real tensors are returned as they are.

    >>> torch.real(torch.tensor([1 + 2j]))
    tensor([1.])
    """
    spec = call.op.check_tensor(input, "input")._spec
    return (
        part(call, spec, 0) if spec.dtype.is_complex else call.plan(["input"], [spec]).use_input()
    )


@structured(node="SelectBackward", grad=lambda g, input_like: _complex_of(g, 1j))
def imag(call, input):
    """The imaginary parts of a complex tensor, as a view.

    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    spec = call.op.check_tensor(input, "input")._spec
    if not spec.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return part(call, spec, 1)


def _complex_of(g: Any, unit: Any) -> Any:
    """A real gradient times 1 or i, as a complex one."""
    return g.to(g.dtype.to_complex()) * unit
