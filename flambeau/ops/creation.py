"""Making tensors of a size: empty, zeros, ones, full, and their `_like` forms.

>>> torch.zeros(2, 3)
tensor([[0., 0., 0.],
        [0., 0., 0.]])

Tensors made from data are in ops.from_data; `x.new_zeros(...)` and its kin in ops.creation_methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core import layout as layouts
from flambeau.core.device import get_default_device
from flambeau.core.promotion import number_dtype as of_number
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import dense_strides, format_strides
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.creation_arguments import (
    NEVER_CALLED,
    blank,
    check_dtype,
    check_layout,
    finish,
    place,
    sizes_of,
)
from flambeau.ops.kinds import structured
from flambeau.ops.registry import is_tensor, plain_number

# ---- uninitialised and constant tensors ----------------------------------------------------------


def empty(
    *size: Any,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
    names: Any = None,
) -> Any:
    """A tensor whose contents are whatever the memory held.

    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    shape = sizes_of("empty", size)
    if out is not None:
        return out.resize_(shape)
    check_layout(layout, names)
    strides = (
        None
        if memory_format in (None, layouts.contiguous_format, layouts.preserve_format)
        else format_strides(shape, memory_format)
    )
    return finish(
        empty_of(Spec.of(shape, strides, check_dtype("empty", dtype), place(device))),
        requires_grad,
        pin_memory,
    )


def sized(name: str, value: Any, general: Callable[..., Any]) -> Callable[..., Any]:
    """The function `name`: without options but a dtype, which is the usual wish, by a plan and
    filled with `value` (None: not at all), else by `general`; `size` may be a keyword too.
    """

    def function(*args: Any, dtype: Any = None, **options: Any) -> Any:
        plain = not options and (dtype is None or isinstance(dtype, dtypes.dtype))
        if not plain or get_default_device() is not CPU:
            size = options.pop("size", None)
            return general(*args if size is None else (tuple(size),), dtype=dtype, **options)
        made = blank.call(args, dtype or dtypes.get_default_dtype(), name)
        return made if value is None else filled(made, value)

    function.__name__, function.__doc__ = name, general.__doc__
    function.__wrapped__ = general  # type: ignore[attr-defined]
    return function


def filled(made: Any, value: Any) -> Any:
    """A new tensor filled with a value, which is no change of it."""
    made._fill_(value)
    made._storage.version = 0
    return made


def constant(name: str, value: Any, text: str) -> Callable[..., Any]:
    """zeros and ones."""

    def function(
        *size: Any,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        names: Any = None,
    ) -> Any:
        shape = sizes_of(name, size)
        check_layout(layout, names)
        if out is not None:
            return out.resize_(shape).fill_(value)
        made = empty_of(Spec.of(shape, None, check_dtype(name, dtype), place(device)))
        made.fill_(value)
        return finish(made, requires_grad, pin_memory)

    function.__name__, function.__doc__ = name, text
    return sized(name, value, function)


zeros = constant(
    "zeros", 0, "A tensor of zeros.\n\n    >>> torch.zeros(2)\n    tensor([0., 0.])\n    "
)
ones = constant("ones", 1, "A tensor of ones.\n\n    >>> torch.ones(2)\n    tensor([1., 1.])\n    ")
empty = sized("empty", None, empty)


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Any:
    """A tensor filled with one value.

    >>> torch.full((2,), 7)
    tensor([7, 7])
    """
    if not isinstance(size, (tuple, list)):
        raise errors.argument_type_error("full", "size", 1, "tuple of ints", size)
    fill_value = plain_number(fill_value)
    if dtype is None:
        dtype = fill_value.dtype if is_tensor(fill_value) else number_dtype(fill_value)
    if out is None and layout is None and device is None and get_default_device() is CPU:
        made = blank.call((size,), check_dtype("full", dtype), "full")
        made = made.fill_(fill_value) if is_tensor(fill_value) else filled(made, fill_value)
        return finish(made, requires_grad, pin_memory) if requires_grad or pin_memory else made
    shape = sizes_of("full", (size,))
    check_layout(layout, names)
    made = (
        empty_of(Spec.of(shape, None, dtype, place(device))) if out is None else out.resize_(shape)
    )
    return finish(made.fill_(fill_value), requires_grad, pin_memory)


def number_dtype(value: Any) -> Any:
    """The dtype of a tensor made from a Python number."""
    return of_number(value)


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """An uninitialised tensor with given strides.

    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    check_layout(layout)
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides "
            f"({len(stride)})"
        )
    return finish(
        empty_of(
            Spec.of(tuple(size), tuple(stride), check_dtype("empty_strided", dtype), place(device))
        ),
        requires_grad,
        pin_memory,
    )


def empty_permuted(size: Sequence[int], physical_layout: Sequence[int], **options: Any) -> Any:
    """An uninitialised dense tensor whose dimensions lie in memory in the given order, outermost
    first.

    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(
            (
                "Number of dimensions in the tensor input does not match the length of the "
                "physical "
                f"layout; i.e. len(size) = {len(size)} is not equal to len(physical_layout) = "
                f"{len(physical_layout)}"
            )
            if len(size) != len(physical_layout)
            else "Duplicate dim not allowed"
        )
    strides, step = [0] * len(size), 1
    for d in reversed(physical_layout):
        strides[d] = step
        step *= max(1, size[d])
    return empty_strided(size, strides, **options)


@structured(public=None, methods=())
def blank_like(call, input, dtype):
    """`like` without options but a dtype."""
    spec = input._spec
    strides = spec.strides if spec.contiguous else dense_strides(spec.shape, spec.strides)
    output = Spec.of(spec.shape, strides, dtype or spec.dtype, spec.device)
    return call.plan(["input"], [output]).use_native(NEVER_CALLED, (), items=0)


def like(input: Any, dtype: Any, layout: Any, device: Any, memory_format: Any) -> Any:
    """An uninitialised tensor of the input's shape; its layout is kept where it is dense."""
    if not is_tensor(input):
        raise errors.argument_type_error("empty_like", "input", 1, "Tensor", input)
    if layout is None and device is None and memory_format is None:
        return blank_like.call(input, dtype)
    check_layout(layout)
    spec = input._spec
    if memory_format is None or memory_format is layouts.preserve_format:
        strides = spec.strides if spec.contiguous else dense_strides(spec.shape, spec.strides)
    else:
        strides = format_strides(spec.shape, memory_format)
    return empty_of(
        Spec.of(
            spec.shape,
            strides,
            dtype or spec.dtype,
            spec.device if device is None else place(device),
        )
    )


def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Any:
    """An uninitialised tensor of the input's shape and dtype.

    >>> torch.empty_like(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    return finish(like(input, dtype, layout, device, memory_format), requires_grad, pin_memory)


def filled_like(name: str, value: Any) -> Callable[..., Any]:
    """zeros_like and ones_like."""

    def function(
        input: Any,
        *,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
        memory_format: Any = None,
        out: Any = None,
    ) -> Any:
        made = filled(like(input, dtype, layout, device, memory_format), value)
        return finish(made, requires_grad, pin_memory) if requires_grad or pin_memory else made

    function.__name__ = name
    function.__doc__ = f"A tensor of the input's shape and dtype filled with {value}."
    return function


zeros_like, ones_like = filled_like("zeros_like", 0), filled_like("ones_like", 1)


def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of the input's shape and dtype filled with one value.

    >>> torch.full_like(torch.zeros(2), 5)
    tensor([5., 5.])
    """
    return finish(
        like(input, dtype, layout, device, memory_format).fill_(fill_value),
        requires_grad,
        pin_memory,
    )


__all__ = [
    "empty", "empty_like", "empty_permuted", "empty_strided", "full", "full_like", "ones",
    "ones_like", "zeros", "zeros_like",
]  # fmt: skip
