"""Tensors as NumPy arrays without copies, for ops whose CPU work NumPy does (sorting, LAPACK,
irregular indexing).

    array = as_array(tensor)                    # same memory; bfloat16 comes as a float32 copy
    tensor = from_array(array, dtype)           # takes over the array's memory

Called by ops.kinds.Call.numpy and by op modules. NumPy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

from flambeau.autograd.recording import record as record
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import CPU, Spec
from flambeau.ops.plan import output_bytes
from flambeau.runtime.system import engine


def as_array(tensor: Any) -> Any:
    """The tensor's memory as an ndarray (bfloat16: a float32 copy, which NumPy cannot hold)."""
    import numpy

    spec = tensor._spec
    if spec.dtype is dtypes.bfloat16:
        return raw_array(tensor, "uint16").astype(numpy.uint32).__lshift__(16).view(numpy.float32)
    return raw_array(tensor, spec.dtype.numpy_name)


def raw_array(tensor: Any, numpy_name: str | None) -> Any:
    """The tensor's memory seen as elements of `numpy_name`."""
    import numpy

    spec, storage = tensor._spec, tensor._storage
    if spec.numel == 0:
        return numpy.empty(tuple(spec.shape), numpy_name)
    if spec.device.type == "meta":
        raise errors.no_data()
    shape, kind, strides = _layout(spec, numpy_name)
    return numpy.ndarray(shape, kind, storage, tensor._offset * spec.itemsize, strides)


@lru_cache(4096)
def _layout(spec: Spec, numpy_name: str | None) -> tuple[Any, ...]:
    """Shape, dtype and strides of an array over a tensor's memory."""
    import numpy

    steps = [step * spec.itemsize for step in spec.strides]
    return tuple(spec.shape), numpy.dtype(numpy_name), tuple(steps)


@lru_cache(4096)
def _spec_of(shape: tuple[int, ...], steps: tuple[int, ...], kind: Any) -> Spec:
    """The spec of a tensor over a contiguous array's memory, with NumPy's own strides: those of
    dimensions of size 1, and of empty arrays, may be any.
    """
    return Spec.of(shape, tuple([step // kind.itemsize for step in steps]), _of_numpy(kind), CPU)


@cache
def _of_numpy(kind: Any) -> dtypes.dtype:
    """Our dtype for a NumPy dtype."""
    return dtypes.DTYPES[kind.name]


def from_array(array: Any, dtype: dtypes.dtype | None = None) -> Any:
    """A tensor over the array's memory where dtype and layout allow it, else over a copy."""
    import numpy

    array = numpy.asarray(array)
    kind = _of_numpy(array.dtype)
    if dtype is None:
        dtype = kind
    if dtype is dtypes.bfloat16:
        return to_bfloat16(array)
    if kind is not dtype:
        array = array.astype(dtype.numpy_name)
    if array.flags.c_contiguous and array.dtype.isnative:
        spec = _spec_of(array.shape, array.strides, array.dtype)
        storage = engine.core.make_borrowed(engine.core.address_of(array), array.nbytes, array, 0)
        return engine.core.make_tensor(storage, spec, 0)
    if any(s < 0 or s % array.itemsize for s in array.strides) or not array.dtype.isnative:
        array = numpy.array(array, order="C", dtype=array.dtype.newbyteorder("="))
    strides = tuple(s // array.itemsize for s in array.strides)
    spec = Spec.of(tuple(array.shape), strides, dtype, CPU)
    extent = (
        (1 + sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True))) * array.itemsize
        if array.size
        else 0
    )
    storage = engine.core.make_borrowed(engine.core.address_of(array), extent, array, 0)
    return engine.core.make_tensor(storage, spec, 0)


def to_bfloat16(array: Any) -> Any:
    """float values rounded to bfloat16 (to nearest even) as a tensor."""
    return from_array(array.astype("float32")).to(dtypes.bfloat16)


def run_numpy(
    plan: Any, compute: Callable[..., Any], inputs: Sequence[Any], finish: Any = None
) -> Any:
    """Runs `compute` on the inputs' arrays; results take the plan's specs and are recorded."""
    if plan.is_meta:
        tensors = [empty(spec) for spec in plan.outputs]
    else:
        arrays = [as_array(x) if isinstance(x, engine.Tensor) else x for x in inputs]
        results = compute(*arrays)
        results = results if isinstance(results, tuple) and len(plan.outputs) > 1 else (results,)
        tensors = [place(array, spec) for array, spec in zip(results, plan.outputs, strict=True)]
    record(plan, inputs, tensors)
    if len(tensors) == 1:
        return tensors[0]
    return tuple(tensors) if finish is None else finish(*tensors)


def place(array: Any, spec: Spec) -> Any:
    """An array as a fresh tensor of exactly this spec."""
    import numpy

    if not spec.numel:
        return empty(spec)
    array = numpy.asarray(array)
    if (
        array.base is None
        and array.flags.c_contiguous
        and array.flags.writeable
        and spec.contiguous
        and array.dtype.name == spec.dtype.numpy_name
    ):
        return from_array(array.reshape(tuple(spec.shape)), spec.dtype)
    tensor = empty(spec)
    if spec.dtype is dtypes.bfloat16:
        tensor.copy_(
            from_array(numpy.ascontiguousarray(array, dtype="float32").reshape(tuple(spec.shape)))
        )
    elif spec.numel:
        raw_array(tensor, spec.dtype.numpy_name)[...] = array.reshape(tuple(spec.shape))
    return tensor


def empty(spec: Spec) -> Any:
    """A tensor of this spec with undefined contents."""
    if spec.device.type == "meta":
        storage = engine.core.make_borrowed(0, output_bytes(spec), None, 1)
    else:
        storage = allocate(output_bytes(spec))
    return engine.core.make_tensor(storage, spec, 0)


def allocate(nbytes: int) -> Any:
    """A storage of its own; when memory is out,
    an error that says how much was asked and what is held.
    """
    return engine.core.make_storage(nbytes)
