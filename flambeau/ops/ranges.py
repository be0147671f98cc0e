"""Evenly spaced numbers: arange, linspace, logspace, and eye.

>>> torch.arange(1, 10, 3)
tensor([1, 4, 7])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.device import get_default_device
from flambeau.core.spec import CPU, Spec
from flambeau.ops.arrays import empty as empty_of
from flambeau.ops.arrays import from_array, raw_array
from flambeau.ops.creation import zeros
from flambeau.ops.creation_arguments import blank, check_layout, finish, number_of, place
from flambeau.ops.kernels.counting import counting_address, spread_address
from flambeau.ops.overwrite import Overwrite

counted = Overwrite("_count_up", "first step", counting_address)
spread = Overwrite("_spread", "first last", spread_address)


def arange(
    *bounds: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Evenly spaced numbers in [start, end).

    >>> torch.arange(1, 10, 3)
    tensor([1, 4, 7])
    """
    if len(bounds) == 1 and type(bounds[0]) is int and bounds[0] >= 0:  # the usual wish
        plain = step is None and out is None and dtype is None and layout is None and device is None
        if plain and end is None and start is None and get_default_device() is CPU:
            made = blank.call((bounds,), dtypes.int64, "arange")
            counted.in_place.call(made, 0, 1)
            return finish(made, requires_grad, pin_memory)
    check_layout(layout)
    first, last, by = range_of(bounds, start, end, step)
    if dtype is None:
        dtype = (
            dtypes.int64
            if all(isinstance(v, int) for v in (first, last, by))
            else dtypes.get_default_dtype()
        )
    check_countable("arange_cpu", dtype, complex_too=False)
    if out is not None and not out.dtype.is_floating_point and int(by) == 0:
        raise ValueError("step must be nonzero")
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(v) for v in (first, last)):
        raise RuntimeError(f"unsupported range: {first} -> {last}")
    if (last - first) * by < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = (
        math.ceil((last - first) / by)
        if not all(isinstance(v, int) for v in (first, last, by))
        else -((first - last) // by)
    )
    where = place(device)
    made = empty_of(Spec.of((count,), None, dtype, where)) if out is None else out.resize_((count,))
    if takes(counted, made):
        number = int if made.dtype.category < 2 else float
        counted.in_place.call(made, number(first), number(by))
    elif where.type != "meta" and count:
        write(made, lambda numpy: first + numpy.arange(count, dtype=counting_dtype(dtype)) * by)
    return finish(made, requires_grad, pin_memory)


def range_of(bounds: tuple[Any, ...], start: Any, end: Any, step: Any) -> tuple[Any, Any, Any]:
    """First number, bound and step of `arange`, in any mixture of positions and keywords."""
    if len(bounds) > 3:
        raise TypeError("arange() takes at most 3 numbers")
    if len(bounds) == 1 and end is None:
        first, last, by = start or 0, bounds[0], step
    elif len(bounds) == 1:
        first, last, by = bounds[0], end, step
    else:
        values = [*bounds, None, None, None]
        first = start if values[0] is None else values[0]
        last = end if values[1] is None else values[1]
        by = step if values[2] is None else values[2]
    if last is None:
        raise TypeError('arange() missing 1 required positional arguments: "end"')
    first, by = 0 if first is None else first, 1 if by is None else by
    return number_of(first), number_of(last), number_of(by)


def check_countable(kernel: str, dtype: Any, complex_too: bool = True) -> None:
    """torch's error for dtypes that cannot count."""
    if dtype.category == 0 or dtype.is_complex and not complex_too:
        raise errors.not_implemented_for(kernel, dtype.scalar_name)


def counting_dtype(dtype: Any) -> str:
    """The dtype in which a sequence is computed."""
    return "int64" if dtype.category < 2 else "float64"


def write(made: Any, compute: Callable[[Any], Any]) -> None:
    """Writes the array that `compute(numpy)` gives into a new tensor."""
    import numpy

    values = compute(numpy)
    if made.dtype.numpy_name is None:
        made.copy_(from_array(values.astype("float32")))
    else:
        raw_array(made, made.dtype.numpy_name)[...] = values.astype(made.dtype.numpy_name)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """`steps` evenly spaced numbers from `start` to `end`, both included.

    >>> torch.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    dtype = sequence_dtype("linspace", start, end, steps, dtype)
    start, end = number_of(start), number_of(end)
    made = (
        empty_of(Spec.of((steps,), None, dtype, place(device)))
        if out is None
        else out.resize_((steps,))
    )
    if takes(spread, made) and not isinstance(start, complex) and not isinstance(end, complex):
        spread.in_place.call(made, float(start), float(end))
    elif made.device.type != "meta" and steps:
        write(made, lambda numpy: spaced(numpy, start, end, steps, dtype))
    return finish(made, requires_grad, pin_memory)


def takes(op: Overwrite, made: Any) -> bool:
    """Whether the native op can fill a new tensor."""
    return op.takes(made.dtype) and made._spec.contiguous and made.device is CPU


def sequence_dtype(name: str, start: Any, end: Any, steps: Any, dtype: Any) -> Any:
    """dtype of linspace and logspace; their errors."""
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise TypeError(
            f"{name}(): argument 'steps' (position 3) must be int, not {errors.type_name(steps)}"
        )
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype is not None:
        check_countable(f"{name}_cpu", dtype)
        return dtype
    if any(isinstance(number_of(v), complex) for v in (start, end)):
        return dtypes.default_complex_dtype()
    return dtypes.get_default_dtype()


def spaced(numpy: Any, start: Any, end: Any, steps: int, dtype: Any) -> Any:
    """The values of linspace: counted from both ends, in the dtype's own arithmetic,
    as torch does it.
    """
    kind = {"float16": "float32", "bfloat16": "float32"}.get(
        dtype.name, dtype.name if dtype.category > 1 else "float64"
    )
    number = numpy.dtype(kind).type
    if steps == 1:
        return numpy.array([start], kind)
    if dtype.category < 2:
        step = (float(end) - float(start)) / (steps - 1)
        i = numpy.arange(steps)
        values = numpy.where(i < steps // 2, start + step * i, end - step * (steps - i - 1))
        return numpy.trunc(values)
    step = number((number(end) - number(start)) / number(steps - 1))
    i = numpy.arange(steps).astype(kind)
    return numpy.where(
        i < steps // 2, number(start) + step * i, number(end) - step * (steps - 1 - i)
    )


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """`base` to the powers of a linspace.

    >>> torch.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    dtype = sequence_dtype("logspace", start, end, steps, dtype)
    start, end, base = number_of(start), number_of(end), number_of(base)
    made = (
        empty_of(Spec.of((steps,), None, dtype, place(device)))
        if out is None
        else out.resize_((steps,))
    )
    if made.device.type != "meta" and steps:
        wide = dtypes.float64 if dtype.category < 2 else dtype
        write(
            made,
            lambda numpy: numpy.power(
                numpy.array(base, "complex128" if wide.is_complex else "float64"),
                spaced(numpy, start, end, steps, wide).astype(
                    "complex128" if wide.is_complex else "float64"
                ),
            ),
        )
    return finish(made, requires_grad, pin_memory)


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """Ones on the diagonal, zeros elsewhere.

    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    check_layout(layout)
    columns = n if m is None else m
    for name, value in (("n", n), ("m", columns)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    if out is not None:
        made = out.resize_((n, columns)).zero_()
    else:
        made = zeros(n, columns, dtype=dtype, **({} if device is None else {"device": device}))
    if n and columns:
        made.diagonal()._fill_(1)
    return finish(made, requires_grad, pin_memory)


def range(start: Any = 0, end: Any = None, step: Any = 1, **options: Any) -> Any:
    """`arange` with the end included (deprecated in torch too).

    >>> torch.range(1, 3)
    tensor([1., 2., 3.])
    """
    first, last, by = (
        number_of(0 if end is None else start),
        number_of(start if end is None else end),
        number_of(step),
    )
    count = int((last - first) / by) + 1
    options.setdefault("dtype", dtypes.get_default_dtype())
    return arange(first, first + by * (count - 0.5), by, **options)


__all__ = ["arange", "eye", "linspace", "logspace", "range"]
