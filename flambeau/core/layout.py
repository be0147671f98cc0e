"""`layout` and `memory_format`: two small families of constants that print as in torch.

Only the strided layout carries tensors; the sparse ones exist so that programs can name them.

>>> strided, channels_last
(torch.strided, torch.channels_last)
"""

from __future__ import annotations

from typing import Any

from flambeau.core.naming import Immutable, PublicConstants


class _Constant(Immutable):
    __slots__ = ("name",)

    name: str

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __copy__(self) -> _Constant:
        return self

    def __deepcopy__(self, memo: object) -> _Constant:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _constant_by_name, (type(self).__name__, self.name)


class layout(_Constant, metaclass=PublicConstants):
    """How a tensor's elements are laid out in storage.

    >>> strided
    torch.strided
    """

    __slots__ = ()


class memory_format(_Constant, metaclass=PublicConstants):
    """Which dimension order a new tensor's strides follow.

    >>> contiguous_format
    torch.contiguous_format
    """

    __slots__ = ()


def _make_layout(name: str) -> layout:
    new: layout = object.__new__(layout)
    object.__setattr__(new, "name", name)
    return new


def _make_format(name: str) -> memory_format:
    new: memory_format = object.__new__(memory_format)
    object.__setattr__(new, "name", name)
    return new


strided = _make_layout("strided")
sparse_coo = _make_layout("sparse_coo")
sparse_csr = _make_layout("sparse_csr")
sparse_csc = _make_layout("sparse_csc")
sparse_bsr = _make_layout("sparse_bsr")
sparse_bsc = _make_layout("sparse_bsc")
jagged = _make_layout("jagged")
_mkldnn = _make_layout("_mkldnn")

contiguous_format = _make_format("contiguous_format")
preserve_format = _make_format("preserve_format")
channels_last = _make_format("channels_last")
channels_last_3d = _make_format("channels_last_3d")

LAYOUTS: dict[str, layout] = {
    each.name: each
    for each in (
        strided,
        sparse_coo,
        sparse_csr,
        sparse_csc,
        sparse_bsr,
        sparse_bsc,
        jagged,
        _mkldnn,
    )
}
MEMORY_FORMATS: dict[str, memory_format] = {
    each.name: each
    for each in (contiguous_format, preserve_format, channels_last, channels_last_3d)
}


def _constant_by_name(family: str, name: str) -> layout | memory_format:
    return LAYOUTS[name] if family == "layout" else MEMORY_FORMATS[name]
