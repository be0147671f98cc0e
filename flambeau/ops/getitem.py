"""`x[...]` on either side of `=`: what the indices mean, and which op answers.

Ints, slices, None and Ellipsis give a view with one plan; where bools, lists or tensors are among them, the basic part is applied
as a view first and the rest goes to ops.index. `parse` is the reading of an index, shared by both sides.

    >>> torch.arange(6).view(2, 3)[1, ::2]
    tensor([3, 5])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.kinds import composite, structured
from flambeau.ops.registry import is_tensor
from flambeau.ops.view import geometry
from flambeau.ops.window import put_back

INVALID = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {kind})"
)


class Reading:
    """An index read against a spec: the view that its basic part makes, and the tensors that index the view's dimensions.

    shape, strides, offset: the view; tensors: for each of its dimensions an index tensor or None; node: name of the graph node.
    """

    def __init__(self, spec: Spec, index: Any):
        self.spec = spec
        self.shape: list[int] = []
        self.strides: list[int] = []
        self.offset, self.dim = 0, 0
        self.tensors: list[Any] = []
        self.node = "AliasBackward0"
        items = index if isinstance(index, tuple) else (index,)
        given = sum(consumed(item) for item in items)
        if given > spec.ndim:
            raise errors.too_many_indices(spec.ndim)
        for item in items:
            if item is Ellipsis:
                self.keep(spec.ndim - given)
                given = spec.ndim
            else:
                self.add(item, alone=len(items) == 1)
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
        self.dim += count

    def new(self, tensor: Any) -> None:
        """A new dimension of size 1."""
        following = self.dim < self.spec.ndim
        self.shape.append(1)
        self.strides.append(self.spec.shape[self.dim] * self.spec.strides[self.dim] if following else 1)
        self.tensors.append(tensor)
        self.node = "UnsqueezeBackward0"

    def add(self, item: Any, alone: bool) -> None:
        """One index that is no Ellipsis."""
        if item is None:
            self.new(None)
        elif isinstance(item, bool):
            self.new(truth_tensor(item))
        elif isinstance(item, int):
            self.number(item)
        elif isinstance(item, slice):
            self.range(item, alone)
        elif is_tensor(item):
            self.tensor(item)
        elif isinstance(item, (list, tuple, range)) or hasattr(item, "__array__"):
            self.tensor(index_tensor(item))
        elif hasattr(item, "__index__"):
            self.number(item.__index__())
        else:
            raise IndexError(INVALID.format(kind=type(item).__name__))

    def number(self, index: int) -> None:
        """One index of the next dimension, which goes away."""
        if self.dim >= self.spec.ndim:
            raise errors.too_many_indices(self.spec.ndim)
        size = self.spec.shape[self.dim]
        if not -size <= index < size:
            raise errors.index_out_of_bounds(index, self.dim, size)
        self.offset += (index + size if index < 0 else index) * self.spec.strides[self.dim]
        self.dim += 1
        self.node = "SelectBackward0"

    def range(self, item: slice, alone: bool) -> None:
        """A range of the next dimension."""
        size = self.spec.shape[self.dim]
        step = bound(item.step, 1)
        if step == 0:
            raise ValueError("step cannot be zero")
        if step < 0:
            raise ValueError("step must be greater than zero")
        first, last, _ = slice(bound(item.start, None), bound(item.stop, None), None).indices(size)
        count = len(range(first, last, step))
        if count != size or alone or step != 1:
            self.node = "SliceBackward0"
        self.shape.append(count)
        self.strides.append(self.spec.strides[self.dim] * step)
        self.offset += first * self.spec.strides[self.dim]
        self.tensors.append(None)
        self.dim += 1

    def tensor(self, item: Any) -> None:
        """An index tensor; 0-d ones count as numbers or truth values."""
        dtype = item.dtype
        if item.ndim == 0 and dtype.category == 0:
            self.new(item)
        elif item.ndim == 0 and dtype.category == 1 and not item.requires_grad:
            self.number(int(item.item()))
        else:
            count = item.ndim if dtype.name in ("bool", "uint8") else 1
            self.tensors.extend([item] + [SPANNED] * (count - 1))
            self.shape.extend(self.spec.shape[self.dim : self.dim + count])
            self.strides.extend(self.spec.strides[self.dim : self.dim + count])
            self.dim += count


SPANNED = object()  # a dimension that the mask before it covers too


def consumed(item: Any) -> int:
    """How many dimensions an index stands for."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if is_tensor(item) and item.dtype.name in ("bool", "uint8"):
        return int(item.ndim)
    if isinstance(item, (int, slice)) or is_tensor(item):
        return 1
    return 1


def bound(value: Any, default: Any) -> Any:
    """A bound of a slice as an int."""
    if value is None:
        return default
    if hasattr(value, "__index__"):
        return value.__index__()
    raise TypeError("slice indices must be integers or None or have an __index__ method")


def truth_tensor(value: bool) -> Any:
    """True or False as an index."""
    import flambeau

    return flambeau.tensor(value)


def index_tensor(value: Any) -> Any:
    """A list or array as an index tensor."""
    import flambeau

    return flambeau.tensor(value)


def is_basic(index: Any) -> bool:
    """Whether an index is made of ints, slices, None and Ellipsis only."""
    items = index if isinstance(index, tuple) else (index,)
    return all(item is None or item is Ellipsis or type(item) is int or type(item) is slice for item in items)


def window_of(spec: Spec, index: Any) -> tuple[Any, Any, int]:
    """Geometry of the view that a basic index makes."""
    reading = Reading(spec, index)
    return reading.shape, reading.strides, reading.offset


@structured(
    public=None, methods=("__getitem__",), grad=lambda g, input_like, index: put_back(g, input_like, lambda s: window_of(s, index))
)
def getitem(call, input, index):  # type: ignore[no-untyped-def]
    """`input[index]`.

    >>> torch.arange(4)[1:3]
    tensor([1, 2])
    """
    spec = input._spec
    reading = Reading(spec, index)
    if not reading.advanced and is_basic(index):
        return view_plan(call, reading)
    return gathered(input, reading)


def view_plan(call: Any, reading: Reading) -> Any:
    """The plan of a basic index."""
    plan = call.plan(["input"], [geometry(reading.spec, reading.shape, reading.strides)])
    plan.node_name = reading.node
    return plan.use_view(reading.offset)


def basic_view(input: Any, reading: Reading) -> Any:
    """The view of the basic part of an index that had tensors in it."""
    if tuple(reading.shape) == input.shape and tuple(reading.strides) == input.stride() and reading.offset == 0:
        return input
    return input.as_strided(tuple(reading.shape), tuple(reading.strides), input._offset + reading.offset)


def gathered(input: Any, reading: Reading) -> Any:
    """The elements that index tensors choose."""
    window = basic_view(input, reading)
    if not reading.advanced:
        return window
    return window._index(indices_of(reading))


def indices_of(reading: Reading) -> list[Any]:
    """The index tensors as `index` takes them: one entry for each index, masks once."""
    tensors = [t for t in reading.tensors if t is not SPANNED]
    while tensors and tensors[-1] is None:
        tensors.pop()
    return tensors


@composite(public=None, methods=("__setitem__",))
def setitem(input: Any, index: Any, value: Any) -> None:
    """`input[index] = value`.

    >>> x = torch.zeros(3)
    >>> x[1:] = 2
    >>> x
    tensor([0., 2., 2.])
    """
    if is_basic(index):
        assign(input[index], value)
        return
    reading = Reading(input._spec, index)
    window = basic_view(input, reading)
    if reading.advanced:
        window._index_assign(indices_of(reading), as_value(input, value))
    else:
        assign(window, value)


def as_value(input: Any, value: Any) -> Any:
    """The right-hand side as a tensor of the input's dtype."""
    if is_tensor(value):
        return value
    import flambeau

    return flambeau.tensor(value, dtype=input.dtype, device=input.device)


def assign(window: Any, value: Any) -> None:
    """Fills a view with a value, which may have extra leading dimensions of size 1."""
    if not is_tensor(value):
        if isinstance(value, (bool, int, float, complex)):
            window.copy_(value)
            return
        value = as_value(window, value)
    extra = value.ndim - window.ndim
    if extra > 0 and all(size == 1 for size in value.shape[:extra]):
        value = value.reshape(value.shape[extra:])
    window.copy_(value)


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (tuple, list)) else (value,)
