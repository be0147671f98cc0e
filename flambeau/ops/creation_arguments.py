"""Arguments that all makers of tensors take: sizes, dtype, device, layout, requires_grad; and
in-place filling.

    shape = sizes_of("zeros", (2, 3))           # also ((2, 3),) and (torch.Size([2, 3]),)

Called by ops.creation, ops.ranges, ops.legacy and ops.random.
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.expr import where as choose
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.device import device as device_type
from flambeau.core.device import get_default_device
from flambeau.core.spec import CPU, Spec
from flambeau.ops.arrays import empty
from flambeau.ops.kinds import NONE, pointwise, structured

# the kernel's address in plans of uninitialised tensors: 0 means a result without memory
NEVER_CALLED = 1


def check_fill(input: Any, value: Any) -> None:
    """torch's error for a complex number that a real tensor cannot hold."""
    if isinstance(value, complex) and not input.dtype.is_complex:
        raise errors.conversion_overflow(input.dtype.name)


def no_gradient(g: Any) -> Any:
    """Zeros, of a tensor or an expression."""
    return choose(g == 0, g, 0)


@pointwise(
    promote=NONE,
    promotes=("input",),
    grad={"input": no_gradient, "value": lambda g: g},
    methods=("_fill",),
    public="fill",
    check=check_fill,
)
def fill(input, value):
    """`value` in the shape and dtype of `input`.

    >>> torch.fill(torch.zeros(2), 3.0)
    tensor([3., 3.])
    """
    return value


@pointwise(
    promote=NONE,
    promotes=("input",),
    public=None,
    methods=("_zero",),
    node="ZeroBackward",
    grad=no_gradient,
)
def zero(input):
    """Zeros in the shape and dtype of `input`."""
    return Expr.constant(0, input.dtype)


@pointwise(promote=NONE, promotes=("input",), public=None, methods=(), inplace=False)
def unit(input):
    """Ones in the shape and dtype of `input`: the gradient that backward starts from."""
    return Expr.constant(1, input.dtype)


def sizes_of(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f(torch.Size([2, 3]))` alike."""
    if not sizes:
        raise errors.missing_arguments(name, ["size"])
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    result = []
    for position, size in enumerate(sizes):
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            kind = errors.type_name(size)
            if position == 0:
                raise errors.argument_type_error(name, "size", 1, "tuple of ints", size)
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {position + 1} with "
                f'error "type must be tuple of ints,but got {kind}"'
            )
        number = size.__index__()
        if number < 0 and name == "zeros":
            raise RuntimeError("zeros: Dimension size must be non-negative.")
        if number < 0:
            raise errors.negative_dimension([s.__index__() for s in sizes], number)
        result.append(number)
    return tuple(result)


@structured(public=None, methods=())
def blank(call, size, dtype, name):
    """An uninitialised tensor on the CPU, for the function `name`; `size` as in `sizes_of`."""
    output = Spec.of(sizes_of(name, size), None, dtype, CPU)
    if call.places.items:  # a size that is a tensor: its value is not part of the plan's key
        return empty(output)
    return call.plan([], [output]).use_native(NEVER_CALLED, (), items=0)


def place(where: Any) -> device_type:
    """The device asked for; an error that says what is missing where there is none."""
    if where is None:
        return get_default_device()
    if where is CPU or type(where) is str and where == "cpu":
        return CPU
    found = where if isinstance(where, device_type) else device_type(where)
    if found.type == "cpu":
        return CPU
    if found.type == "meta":
        return found if found.index is None else device_type("meta")
    return missing_device(found)


def missing_device(found: device_type) -> device_type:
    """torch's error for a device that this machine (or this build) has not."""
    if found.type == "cuda":
        raise AssertionError(
            "Torch not compiled with CUDA enabled\n  Flambeau sees no usable GPU: use device='cpu'"
        )
    raise RuntimeError(
        f"PyTorch is not linked with support for {found.type} devices\n  use device='cpu' or 'meta'"
    )


def finish(tensor: Any, requires_grad: bool, pin_memory: bool = False) -> Any:
    """Applies `requires_grad` to a new tensor."""
    if pin_memory:
        raise RuntimeError(
            "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory "
            "allocator is available on this system."
        )
    if requires_grad and tensor.dtype.category < 2:
        raise errors.differentiable_dtypes_only()
    if requires_grad:
        tensor.requires_grad_(True)
    tensor._storage.version = 0  # filling it was no change
    return tensor


def check_layout(layout: Any, names: Any = None) -> None:
    """Only strided tensors exist, and their dimensions have no names."""
    if layout is not None and layout is not layouts.strided:
        raise errors.unsupported(f"layout {layout}")
    if names is not None:
        raise errors.unsupported("named dimensions (names=)")


def check_dtype(name: str, dtype: Any) -> Any:
    """The dtype asked for, or the default one."""
    if dtype is None:
        return dtypes.get_default_dtype()
    if not isinstance(dtype, dtypes.dtype):
        python = {
            float: dtypes.float64,
            int: dtypes.int64,
            bool: dtypes.bool_,
            complex: dtypes.complex128,
        }.get(dtype)
        if python is None:
            raise TypeError(
                f"{name}(): argument 'dtype' must be torch.dtype, not {errors.type_name(dtype)}"
            )
        return python
    return dtype


def number_of(value: Any) -> Any:
    """A Python number from a number, a NumPy scalar or a 0-d tensor."""
    return value.item() if hasattr(value, "item") else value
