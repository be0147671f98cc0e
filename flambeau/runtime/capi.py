"""CPython's structures for making types and functions by ctypes, and `Numbered`, the part of a
graph node that is no Python object.

    members = (MemberDefinition * 2)(MemberDefinition(b"data", T_LONGLONG, 16, READONLY,
    b"address")) make_type(TypeSpecification(b"flambeau.Storage", 64, 0, TPFLAGS_DEFAULT, slots),
    members, slots)

Used by runtime.native (storages, builtins) and autograd.graph (nodes).
"""

from __future__ import annotations

import ctypes
from typing import Any


class MethodDefinition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class MemberDefinition(ctypes.Structure):
    """PyMemberDef."""

    _fields_ = [
        ("name", ctypes.c_char_p), ("type", ctypes.c_int), ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    ]  # fmt: skip


class GetterDefinition(ctypes.Structure):
    """PyGetSetDef."""

    _fields_ = [
        ("name", ctypes.c_char_p), ("get", ctypes.c_void_p), ("set", ctypes.c_void_p),
        ("doc", ctypes.c_char_p), ("closure", ctypes.c_void_p),
    ]  # fmt: skip


class TypeSlot(ctypes.Structure):
    """PyType_Slot."""

    _fields_ = [("slot", ctypes.c_int), ("function", ctypes.c_void_p)]


class TypeSpecification(ctypes.Structure):
    """PyType_Spec."""

    _fields_ = [
        ("name", ctypes.c_char_p), ("size", ctypes.c_int), ("item_size", ctypes.c_int),
        ("flags", ctypes.c_uint), ("slots", ctypes.POINTER(TypeSlot)),
    ]  # fmt: skip


PY_BF_GETBUFFER, PY_TP_DEALLOC, PY_TP_DOC, PY_TP_MEMBERS, PY_TP_GETSET = 1, 52, 56, 72, 73
METH_FASTCALL, METH_KEYWORDS = 0x80, 0x2
T_OBJECT, T_LONGLONG, READONLY = 6, 17, 1
TPFLAGS_DEFAULT, TPFLAGS_BASETYPE = 0, 1 << 10
_keep: list[Any] = []  # CPython refers to the structures as long as the types live


def make_type(specification: TypeSpecification, *parts: Any) -> Any:
    """The type that a specification describes; `parts` are the structures that it points to."""
    _keep.extend((specification, *parts))
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p]
    return make(ctypes.addressof(specification))


def slot_offset(owner: type, name: str) -> int:
    """Byte offset of a __slots__ member in instances, read from its descriptor
    (PyMemberDescrObject).
    """
    descriptor = vars(owner)[name]
    definition = ctypes.c_void_p.from_address(
        id(descriptor) + object.__basicsize__ + 3 * ctypes.sizeof(ctypes.c_void_p)
    )
    assert definition.value is not None
    return int(MemberDefinition.from_address(definition.value).offset)


def _numbered() -> Any:
    """A class with three machine words: native code fills them in without making int objects for
    every recorded call.
    """
    first = object.__basicsize__
    members = (MemberDefinition * 4)(
        MemberDefinition(
            b"_order",
            T_LONGLONG,
            first,
            0,
            b"falls from node to node: backward runs the smallest first",
        ),
        MemberDefinition(
            b"_needs", T_LONGLONG, first + 8, 0, b"bits of the inputs that need a gradient"
        ),
        MemberDefinition(b"_place", T_LONGLONG, first + 16, 0, b"its number in a backward pass"),
    )
    text = ctypes.c_char_p(b"What native code writes into a graph node.")
    slots = (TypeSlot * 3)(
        TypeSlot(PY_TP_MEMBERS, ctypes.addressof(members)),
        TypeSlot(PY_TP_DOC, ctypes.cast(text, ctypes.c_void_p).value),
    )
    flags = TPFLAGS_DEFAULT | TPFLAGS_BASETYPE
    return make_type(
        TypeSpecification(b"flambeau.Numbered", first + 24, 0, flags, slots), members, slots
    )


Numbered = _numbered()
