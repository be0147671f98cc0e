"""`Spec`: everything about a tensor but its memory and its place in it: shape, strides, dtype,
device.

Specs are interned: equal ones are the same object, so that the plan of an op (see runtime.dispatch)
is found by identity. They are immutable, and whatever follows from them (element count, contiguity)
is computed once.

>>> from flambeau.core.dtype import float32
>>> Spec.of((2, 3), None, float32) is Spec.of((2, 3), (3, 1), float32)
True
"""

from __future__ import annotations

from flambeau.core.device import device as Device
from flambeau.core.dtype import dtype as DType
from flambeau.core.shape import Size, numel
from flambeau.core.strides import contiguous_strides, is_contiguous

LIMIT = 1 << 16
CPU = Device("cpu")
_specs: dict[tuple[tuple[int, ...], tuple[int, ...] | None, DType, Device], Spec] = {}


class Spec:
    """Shape, strides (in elements), dtype and device of a tensor, with what follows from them."""

    __slots__ = (
        "shape", "strides", "dtype", "device", "ndim", "numel", "contiguous", "itemsize", "nbytes",
        "__weakref__",
    )  # fmt: skip

    shape: Size
    strides: tuple[int, ...]
    dtype: DType
    device: Device
    ndim: int
    numel: int
    contiguous: bool
    itemsize: int
    nbytes: int

    def __init__(
        self, shape: tuple[int, ...], strides: tuple[int, ...], dtype: DType, device: Device
    ):
        self.shape, self.strides, self.dtype, self.device = Size(shape), strides, dtype, device
        self.ndim, self.numel = len(shape), numel(shape)
        self.contiguous = is_contiguous(shape, strides)
        self.itemsize = dtype.itemsize
        self.nbytes = self.numel * self.itemsize

    @staticmethod
    def of(
        shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: DType, device: Device = CPU
    ) -> Spec:
        """The one spec with these values; `strides=None` means contiguous."""
        key = (shape, strides, dtype, device)
        found = _specs.get(key)
        if found is None:
            # identity is a cache key, never a meaning: forgetting only costs look-ups
            if len(_specs) >= LIMIT:
                _specs.clear()
            shape = tuple(shape)
            full = contiguous_strides(shape) if strides is None else tuple(strides)
            exact = (shape, full, dtype, device)
            found = _specs.get(exact)
            if found is None:
                found = _specs.setdefault(exact, Spec(shape, full, dtype, device))
            _specs[(shape, strides, dtype, device)] = found
        return found

    def like(
        self,
        shape: tuple[int, ...] | None = None,
        strides: tuple[int, ...] | None = None,
        dtype: DType | None = None,
    ) -> Spec:
        """This spec with another shape (contiguous unless strides are given) or dtype."""
        if shape is None:
            return Spec.of(self.shape, self.strides, dtype or self.dtype, self.device)
        return Spec.of(tuple(shape), strides, dtype or self.dtype, self.device)

    def __repr__(self) -> str:
        return f"Spec({tuple(self.shape)}, strides={self.strides}, {self.dtype}, {self.device})"
