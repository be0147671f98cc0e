"""Native functions as Python builtins: integers, floats and memory in, nothing out.

For kernels that work outside the dispatcher, such as the random number loops:

    UNIT = Unit("example", [negate])            # negate(values: f64p, count: i64) -> void
    link(UNIT).negate(array, array.size)        # compiled and linked on first use

Where the native function takes a pointer the builtin takes an address or a writable, contiguous
buffer (a NumPy array). A call costs 40 ns, 15 ns more for a buffer, against 1 us through ctypes.
The GIL is held, which also keeps two threads from drawing from one generator at once. Integers wrap
around to the parameter's width; what is not a number raises TypeError.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from flambeau.codegen.llvm import c_function, load
from flambeau.codegen.native import Extern, FunctionCompiler, NativeFunction, Type, Unit, void
from flambeau.runtime.capi import METH_FASTCALL, MethodDefinition

_VERSION = 2  # part of the cached object code's name: raise it when the wrappers change
_DECLARATIONS = """
declare i64 @PyLong_AsUnsignedLongLongMask(ptr)
declare double @PyFloat_AsDouble(ptr)
declare ptr @PyErr_Occurred()
declare i32 @PyErr_BadArgument()
declare void @Py_IncRef(ptr)
declare i32 @PyObject_CheckBuffer(ptr)
declare i32 @PyObject_GetBuffer(ptr, ptr, i32)
declare void @PyBuffer_Release(ptr)
"""
_C_API = [line.split("@")[1].split("(")[0] for line in _DECLARATIONS.splitlines() if line]


class Linked:
    """The builtins of one unit, as attributes."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AttributeError(f"the native unit exports no function {name!r}")


_linked: dict[Unit, Linked] = {}
_keep: list[MethodDefinition] = []  # CPython refers to the definitions as long as the builtins live


def link(unit: Unit) -> Linked:
    """The unit's exported functions as builtins; compiled (or read from the disk cache) once.

    Units are told apart by name in the cache: give each its own.
    """
    found = _linked.get(unit)
    return found if found is not None else _link(unit)


def _link(unit: Unit) -> Linked:
    entries = [_entry(unit, function) for function in unit.functions]

    def text() -> str:
        return "\n".join(
            [
                unit.text_with_intrinsics(),
                _DECLARATIONS,
                *(_wrapper(unit, f) for f in unit.functions),
            ]
        )

    names = [*_C_API, *(extern.symbol for extern in _externs(unit))]
    imports = {name: c_function(name) for name in names}
    symbols = load(f"{unit.name}-{_VERSION}-{unit.key()}", text, entries, imports)
    linked = Linked()
    for function, entry in zip(unit.functions, entries, strict=True):
        setattr(linked, function.name, _builtin(function.name, symbols[entry]))
    return _linked.setdefault(unit, linked)


def _entry(unit: Unit, function: NativeFunction) -> str:
    return f"{unit.symbol(function)}.python"


def _externs(unit: Unit) -> list[Extern]:
    """C functions that the modules of the unit's functions name."""
    scopes = {id(f.function.__globals__): f.function.__globals__ for f in unit.functions}
    return [
        value for scope in scopes.values() for value in scope.values() if isinstance(value, Extern)
    ]


def _wrapper(unit: Unit, function: NativeFunction) -> str:
    """IR of `entry(self, arguments, count)`; self is None, which is also what it returns."""
    result, types = FunctionCompiler(unit, function, False).types_of(function)
    if result is not void:
        raise NotImplementedError(
            f"native function {function.name} returns a value: let it write to memory"
        )
    lines = [
        f'define ptr @"{_entry(unit, function)}"(ptr %self, ptr %arguments, i64 %count) {{',
        "entry:",
        "  %view = alloca [16 x i64]",  # a Py_buffer; its first word is the address
        f"  %fits = icmp eq i64 %count, {len(types)}",
        "  br i1 %fits, label %convert, label %misfit",
        "convert:",
    ]
    for index, type in enumerate(types):
        lines.append(f"  %p{index} = getelementptr ptr, ptr %arguments, i64 {index}")
        lines.append(f"  %o{index} = load ptr, ptr %p{index}")
        lines += [line.replace("#", str(index)) for line in _conversion(type)]
    values = ", ".join(f"{type.llvm} %v{index}" for index, type in enumerate(types))
    lines += [
        "  %error = call ptr @PyErr_Occurred()",
        "  %failed = icmp ne ptr %error, null",
        "  br i1 %failed, label %fail, label %run",
        "run:",
        f'  call void @"{unit.symbol(function)}"({values})',
        "  call void @Py_IncRef(ptr %self)",
        "  ret ptr %self",
        "misfit:",
        "  %ignored = call i32 @PyErr_BadArgument()",
        "  br label %fail",
        "fail:",
        "  ret ptr null",
        "}",
    ]
    return "\n".join(lines)


def _conversion(type: Type) -> list[str]:
    """IR that makes %v# of `type` from the Python object %o#."""
    if type.kind == "float":
        if type.bits == 64:
            return ["  %v# = call double @PyFloat_AsDouble(ptr %o#)"]
        return [
            "  %d# = call double @PyFloat_AsDouble(ptr %o#)",
            f"  %v# = fptrunc double %d# to {type.llvm}",
        ]
    whole = "call i64 @PyLong_AsUnsignedLongLongMask(ptr %o#)"
    if type.kind == "int":
        if type.bits == 64:
            return [f"  %v# = {whole}"]
        return [f"  %i# = {whole}", f"  %v# = trunc i64 %i# to {type.llvm}"]
    return [
        "  %kind# = call i32 @PyObject_CheckBuffer(ptr %o#)",
        "  %plain# = icmp eq i32 %kind#, 0",
        "  br i1 %plain#, label %address#, label %buffer#",
        "address#:",
        f"  %i# = {whole}",
        "  %a# = inttoptr i64 %i# to ptr",
        "  br label %next#",
        "buffer#:",
        "  %status# = call i32 @PyObject_GetBuffer(ptr %o#, ptr %view, i32 1)",  # PyBUF_WRITABLE
        "  %bad# = icmp ne i32 %status#, 0",
        "  br i1 %bad#, label %fail, label %have#",
        "have#:",
        "  %b# = load ptr, ptr %view",
        "  call void @PyBuffer_Release(ptr %view)",  # the caller holds the object during the call
        "  br label %next#",
        "next#:",
        "  %v# = phi ptr [ %a#, %address# ], [ %b#, %have# ]",
    ]


def _builtin(name: str, address: int) -> Any:
    definition = MethodDefinition(name.encode(), address, METH_FASTCALL, None)
    _keep.append(definition)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = (
        ctypes.py_object,
        [ctypes.c_void_p, ctypes.py_object, ctypes.py_object],
    )
    return new(ctypes.addressof(definition), None, "flambeau")
