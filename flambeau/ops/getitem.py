"""`x[...]` on either side of `=`: what the indices mean, and which op answers.

Ints, slices, None and Ellipsis give a view with one plan. Where bools, lists or tensors are among
them, the basic part is applied as a view first and the tensors go to ops.index. `Reading` is the
reading of an index, shared by both sides.

    >>> torch.arange(6).view(2, 3)[1, ::2]
    tensor([3, 5])
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.core.strides import expand_strides
from flambeau.ops import from_data
from flambeau.ops.index import _index, index_at, index_plan, resolve
from flambeau.ops.kernels.masks import Found
from flambeau.ops.kinds import Call, Structured, composite
from flambeau.ops.mask import (
    _mask_take,
    as_mask,
    check_covers,
    check_number,
    fill_rows,
    is_canonical,
    number_tensor,
)
from flambeau.ops.plan import Operand, Plan
from flambeau.ops.registry import engine, is_tensor
from flambeau.ops.view import geometry

INVALID = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
    "valid indices (got {kind})"
)
ZERO_DIM = (
    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` "
    "in C++ to convert a 0-dim tensor to a number"
)
SEQUENCES = (list, tuple, range, str, bytes)


class Reading:
    """An index read against a spec: the view that its basic part makes, and the tensors that index
    the view's dimensions.

    shape, strides, offset: the view; tensors: one entry for each of its dimensions (masks: for the
    dimensions they cover); basic: an index that gives the view; node: torch's name of the graph
    node.
    """

    def __init__(self, spec: Spec, index: Any):
        self.spec = spec
        self.shape: list[int] = []
        self.strides: list[int] = []
        self.offset, self.dim = 0, 0
        self.tensors: list[Any] = []
        self.basic: list[Any] = []
        self.node = "AliasBackward0"
        items = as_items(index)
        self.alone = not isinstance(index, tuple)
        items = [as_index(item) for item in items]
        given = sum(consumed(item) for item in items)
        if given > spec.ndim:
            raise too_many(spec, index)
        seen = False
        for position, item in enumerate(items):
            self.position = position
            if item is Ellipsis:
                if not seen:
                    self.keep(spec.ndim - given)
                seen = True
            else:
                self.add(item)
        self.keep(spec.ndim - self.dim)

    @property
    def advanced(self) -> bool:
        """Whether tensors are among the indices."""
        return any(t is not None for t in self.tensors)

    def keep(self, count: int) -> None:
        """The next dimensions as they are."""
        self.shape.extend(self.spec.shape[self.dim : self.dim + count])
        self.strides.extend(self.spec.strides[self.dim : self.dim + count])
        self.tensors.extend([None] * count)
        self.basic.extend([slice(None)] * count)
        self.dim += count

    def new(self, tensor: Any) -> None:
        """A new dimension of size 1."""
        following = self.dim < self.spec.ndim
        self.shape.append(1)
        self.strides.append(
            self.spec.shape[self.dim] * self.spec.strides[self.dim] if following else 1
        )
        self.tensors.append(tensor)
        self.basic.append(None)
        self.node = "UnsqueezeBackward0"

    def add(self, item: Any) -> None:
        """One index that is no Ellipsis."""
        if item is None:
            self.new(None)
        elif isinstance(item, bool):
            self.new(truth_tensor(item, self.spec))
        elif isinstance(item, int):
            self.number(item)
        elif isinstance(item, slice):
            self.range(item)
        else:
            self.tensor(item)

    def number(self, index: int) -> None:
        """One index of the next dimension, which goes away."""
        size = self.spec.shape[self.dim]
        if not -size <= index < size:
            raise errors.index_out_of_bounds(index, self.position, size)
        self.offset += (index + size if index < 0 else index) * self.spec.strides[self.dim]
        self.basic.append(index)
        self.dim += 1
        self.node = "SelectBackward0"

    def range(self, item: slice) -> None:
        """A range of the next dimension."""
        size = self.spec.shape[self.dim]
        step = bound(item.step, 1)
        if step == 0:
            raise ValueError("slice step cannot be zero")
        if step < 0:
            raise ValueError("step must be greater than zero")
        first, last, _ = slice(bound(item.start, None), bound(item.stop, None), None).indices(size)
        count = len(range(first, last, step))
        whole = (
            item.start in (None, 0)
            and (item.stop is None or bound(item.stop, 0) >= size)
            and step == 1
        )
        if self.alone or not whole:
            self.node = "SliceBackward0"
        self.shape.append(count)
        self.strides.append(self.spec.strides[self.dim] * step)
        self.offset += first * self.spec.strides[self.dim]
        self.tensors.append(None)
        self.basic.append(item)
        self.dim += 1

    def tensor(self, item: Any) -> None:
        """An index tensor; 0-d ones count as truth values or numbers."""
        kind = item.dtype
        if item.ndim == 0 and kind.name in ("bool", "uint8"):
            self.new(item.reshape(1).to(dtypes.bool_))
            return
        if item.ndim == 0 and kind.category == 1:
            self.number(int(item.item()))
            return
        count = consumed(item)
        self.tensors.extend([item] + [COVERED] * (count - 1))
        self.shape.extend(self.spec.shape[self.dim : self.dim + count])
        self.strides.extend(self.spec.strides[self.dim : self.dim + count])
        self.basic.extend([slice(None)] * count)
        self.dim += count

    @property
    def plain(self) -> bool:
        """Whether the basic part changes nothing: the tensors index the tensor itself."""
        return (
            tuple(self.shape) == tuple(self.spec.shape)
            and tuple(self.strides) == self.spec.strides
            and self.offset == 0
        )

    def window(self, input: Any) -> Any:
        """The view that the basic part makes."""
        return (
            input if all(item == slice(None) for item in self.basic) else input[tuple(self.basic)]
        )

    def entries(self) -> list[Any]:
        """The tensors as ops.index takes them: one entry for each dimension,
        or for all that a mask covers.
        """
        return [t for t in self.tensors if t is not COVERED]


COVERED = object()  # a dimension that the mask before it covers too


def too_many(spec: Spec, index: Any) -> IndexError:
    """The error for more indices than dimensions;
    torch words it by what a 0-d tensor was indexed with.
    """
    if spec.ndim == 0 and isinstance(index, slice):
        return IndexError("slice() cannot be applied to a 0-dim tensor.")
    if spec.ndim == 0 and isinstance(index, int):
        return errors.index_out_of_bounds(index, 0, 0) if index else IndexError(ZERO_DIM)
    return errors.too_many_indices(spec.ndim)


def as_items(index: Any) -> list[Any]:
    """The entries of an index; lists that hold slices, tensors or sequences count as tuples,
    as they did in NumPy.
    """
    if isinstance(index, tuple):
        return list(index)
    if isinstance(index, list) and len(index) < 32:
        if any(
            item is None
            or item is Ellipsis
            or isinstance(item, (slice, *SEQUENCES))
            or is_tensor(item)
            for item in index
        ):
            return list(index)
    return [index]


def as_index(item: Any) -> Any:
    """One entry as None, Ellipsis, bool, int, slice or tensor."""
    if item is None or item is Ellipsis or isinstance(item, (bool, int, slice)) or is_tensor(item):
        return item
    if isinstance(item, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
    if isinstance(item, SEQUENCES) or hasattr(item, "__array__") and getattr(item, "ndim", None):
        return sequence_tensor(item)
    if hasattr(item, "__index__"):
        return item.__index__()
    if (
        hasattr(item, "__array__")
        or hasattr(item, "__getitem__")
        and hasattr(item, "__len__")
        and not isinstance(item, dict)
    ):
        return sequence_tensor(item)
    raise IndexError(INVALID.format(kind=type(item).__name__))


def consumed(item: Any) -> int:
    """How many dimensions an entry stands for."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if is_tensor(item) and item.dtype.name in ("bool", "uint8"):
        return int(item.ndim)
    return 1


def bound(value: Any, default: Any) -> Any:
    """A bound of a slice as an int."""
    if value is None:
        return default
    if hasattr(value, "__index__"):
        return value.__index__()
    raise TypeError("slice indices must be integers or None or have an __index__ method")


def truth_tensor(value: bool, spec: Spec) -> Any:
    """True or False as a mask of one element."""
    return from_data.tensor([value], device=spec.device)


def sequence_tensor(value: Any) -> Any:
    """A list or array as an index tensor."""
    if isinstance(value, range):
        value = list(value)
    found = from_data.tensor(value)
    return found.to(dtypes.int64) if found.numel() == 0 and found.dtype.is_floating_point else found


def is_basic(index: Any) -> bool:
    """Whether an index is made of ints, slices, None and Ellipsis only."""
    items = index if type(index) is tuple else (index,)
    return all(
        type(item) is int or type(item) is slice or item is None or item is Ellipsis
        for item in items
    )


class GetItem(Structured):
    """`x[index]`: always two arguments. Ints and the bounds of slices are no part of a plan's key
    (see runtime.indexing).
    """

    takes_index = True

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The tensor and the index."""
        return {"input": args[0], "index": args[1]}


def int_tensor(values: list[int]) -> Any:
    """A list of ints as an index."""
    words = (ctypes.c_int64 * len(values))(*values)
    storage = engine.core.make_borrowed(ctypes.addressof(words), 8 * len(values), words, 0)
    return engine.core.make_tensor(storage, Spec.of((len(values),), None, dtypes.int64), 0)


@partial(
    GetItem,
    public=None,
    methods=("__getitem__",),
    grad=lambda g, input_like, y_like, steps, place: g._window_backward(
        tuple(input_like.shape), tuple(y_like.shape), steps, place
    ),
)
def getitem(call, input, index):
    """`input[index]`.

    >>> torch.arange(4)[1:3]
    tensor([1, 2])
    """
    if type(index) is list and input.ndim and index and all(type(i) is int for i in index):
        return input._index([int_tensor(index)], (0,))
    reading = Reading(input._spec, index)
    if is_basic(index):
        return window_plan(call, reading)
    if not reading.advanced:
        return reading.window(input)
    entries = reading.entries()
    given = [t for t in entries if t is not None]
    if reading.plain and all(call.places.holds(t) for t in given):
        if all(t.dtype.name == "int64" for t in given):
            tensors, dims = resolve(input, entries)
            return index_plan(_index, call.places, input, tensors, dims)
        if (
            len(given) == 1
            and entries[0] is given[0]
            and given[0].dtype is dtypes.bool_
            and is_canonical(input._spec)
        ):
            return delegate(_mask_take, call.places, input=input, mask=entries[0])
    return index_at(reading.window(input), entries)


def delegate(op: Any, places: Any, **arguments: Any) -> Any:
    """Another op's plan for operands of this call."""
    return op.function(Call(op, arguments, places), **arguments)


def window_plan(call: Any, reading: Reading) -> Any:
    """The plan of a view: its offset, and that offset in a row-major tensor,
    are operands (see runtime.indexing).
    """
    spec = reading.spec
    whole = spec if spec.contiguous else Spec.of(spec.shape, None, spec.dtype, spec.device)
    twin = reading if whole is spec else Reading(whole, call.arguments["index"])
    output = geometry(spec, reading.shape, reading.strides)
    arguments = {"input": call.arguments["input"], "steps": tuple(twin.strides)}
    operands = [Operand(spec, call.places.of(arguments["input"])), Operand(int, 1), Operand(int, 2)]
    names = ["input", "start", "place"]
    gradient = call.op.gradient(
        names, {"steps": arguments["steps"]}, [o.spec for o in operands], [output]
    )
    call.places.items[1:] = [reading.offset, twin.offset]
    plan = Plan(
        call.op, operands, [output], {"steps": arguments["steps"]}, gradient, reading.node, names
    )
    return plan.use_view(0)


@composite(public=None, methods=("__setitem__",))
def setitem(input: Any, index: Any, value: Any) -> None:
    """`input[index] = value`.

    >>> x = torch.zeros(3)
    >>> x[1:] = 2
    >>> x
    tensor([0., 2., 2.])
    """
    kind = type(index)
    if kind is int or kind is slice or kind is not engine.Tensor and is_basic(index):
        assign(input[index], value)
        return
    if kind is engine.Tensor and type(value) in (int, float) and index._spec.ndim:
        if index._spec.dtype is dtypes.bool_ and index._spec.shape == input._spec.shape:
            input._mask_assign_(index, value)
            return
        if index._spec.dtype is dtypes.int64 and input._spec.ndim:
            input._index_put_([index], (0,), number_tensor(value, input), False)
            return
    if index is True or index is False:
        if index:
            assign(input[None], value)
        return
    reading = Reading(input._spec, index)
    window = reading.window(input)
    if reading.advanced:
        assign_at(window, reading.entries(), value)
    else:
        assign(window if window is not input else input[...], value)


def assign(window: Any, value: Any) -> None:
    """Fills a view with a value, which may have extra leading dimensions of size 1."""
    if type(value) is engine.Tensor:
        write(window, value)
    elif isinstance(value, (bool, int, float, complex)):
        window._fill_(check_number(value, window._spec.dtype))
    else:
        write(window, as_value(window, value))


def write(window: Any, value: Any) -> None:
    """`window.copy_(value)`; torch words a shape that does not fit as `expand` does."""
    if value._spec.ndim > window._spec.ndim:
        value = without_leading(value)
    try:
        window.copy_(value)
    except RuntimeError:
        value = without_leading(value)
        own, strides = value._spec.shape, value._spec.strides
        expand_strides(own, strides, window._spec.shape, value.dtype.tensor_type)
        raise


def as_value(target: Any, value: Any) -> Any:
    """The right-hand side as a tensor."""
    if is_tensor(value):
        return value
    if isinstance(value, (bool, int, float, complex)):
        return number_tensor(value, target)
    if hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:
        return number_tensor(value.item(), target)
    raise TypeError(f"can't assign a {type(value).__name__} to a {target.dtype.tensor_type}")


def without_leading(value: Any) -> Any:
    """The value without leading dimensions of size 1, as torch takes it."""
    shape = value._spec.shape
    if not shape or shape[0] != 1:
        return value
    first = next((d for d, size in enumerate(shape) if size != 1), len(shape))
    return value.reshape(tuple(shape[first:]))


def assign_at(window: Any, entries: list[Any], value: Any) -> None:
    """`window[entries] = value` with tensors among the entries."""
    value = without_leading(as_value(window, value))
    given = [t for t in entries if t is not None]
    if (
        len(given) == 1
        and entries[0] is given[0]
        and given[0].dtype is dtypes.bool_
        and value.dtype is window.dtype
    ):
        mask = given[0]
        check_covers(window._spec, mask)
        if value.numel() == 1:
            wide = mask.reshape((*mask.shape, *(1,) * (window.ndim - mask.ndim)))
            window._mask_assign_(wide, value.reshape(()) if value.ndim else value)
            return
        if put_masked(window, mask, value):
            return
    tensors, dims = resolve(window, entries)
    window._index_put_(tensors, tuple(dims), value, False)


def put_masked(window: Any, mask: Any, value: Any) -> bool:
    """Writes rows one after the other where no graph is concerned and the value has a row
    for each true element.
    """
    recorded = (
        window._node is not None
        or value._node is not None
        or window._base is not None
        and window._base._node is not None
    )
    if (
        recorded
        or not window._spec.contiguous
        or window._storage is value._storage
        or window.device.type != "cpu"
    ):
        return False
    found = Found(as_mask(mask))
    if tuple(value.shape) != (found.total, *window.shape[mask.ndim :]):
        return False
    fill_rows(window, found, value)
    window._storage.version += 1
    return True
