"""Tensors of one element as Python numbers, in native code: `x.item()`, `float(x)`, `int(x)`,
`bool(x)`; and the addresses of other libraries' arrays.

    core.number_methods(Tensor)                         # puts them there
    core.address_of(array)                                              # of the first element

What is rare (other dtypes, subclasses, tensors without memory or of more elements, what warns) is
answered by the methods of `ops.values`, which the tuple NUMBER_METHODS of `world` holds.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    f32p,
    f64,
    f64p,
    i8,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    void,
)  # fmt: skip
from flambeau.runtime.memory import DATA, Py_DecRef, Py_IncRef, touch
from flambeau.runtime.objects import (
    BOOL_DTYPE,
    FLOAT32_DTYPE,
    FLOAT64_DTYPE,
    INT64_DTYPE,
    NONE,
    NUMBER_METHODS,
    PARAMETER_TYPE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_SPEC,
    SLOT_STORAGE,
    SPEC_DTYPE,
    SPEC_NUMEL,
    TENSOR_TYPE,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    as_integer,
    slot,
    type_of,
    world,
)  # fmt: skip
from flambeau.runtime.records import PyObject_Call, PyTuple_New, PyTuple_SetItem

PyFloat_FromDouble = Extern("PyFloat_FromDouble", ptr, f64)
PyLong_FromDouble = Extern("PyLong_FromDouble", ptr, f64)
PyBool_FromLong = Extern("PyBool_FromLong", ptr, i64)
PyObject_GetBuffer = Extern("PyObject_GetBuffer", i32, ptr, ptr, i32)
PyBuffer_Release = Extern("PyBuffer_Release", void, ptr)

METHODS = (
    "item",
    "__float__",
    "__int__",
    "__bool__",
)  # those that `ask_method` names by their place
ITEM, FLOAT, INT, BOOL = range(4)
ODD, FRACTION, WHOLE, TRUTH, FAILED = range(
    5
)  # what `read_element` finds; FAILED: an exception is set
STRIDED = 0x18  # PyBUF_STRIDES
BUFFER_WORDS = 16  # more than a Py_buffer has


@native
def read_element(x: ptr, fraction: f64p, whole: i64p) -> i64:
    """Reads the element of a plain tensor that has one: a float, an integer or a truth value."""
    kind = type_of(x)
    if kind != world[TENSOR_TYPE] and kind != world[PARAMETER_TYPE]:
        return ODD
    spec = slot(x, world[SLOT_SPEC])
    if as_integer(slot(spec, world[SPEC_NUMEL])) != 1:
        return ODD
    storage: i64p = slot(x, world[SLOT_STORAGE])
    place, dtype = as_integer(slot(x, world[SLOT_OFFSET])), i64(slot(spec, world[SPEC_DTYPE]))
    if storage[DATA] == 0:
        return ODD
    if touch(storage) == 0:
        return FAILED
    if dtype == world[FLOAT32_DTYPE]:
        fraction[0] = f64(f32p(storage[DATA])[place])
        return FRACTION
    if dtype == world[FLOAT64_DTYPE]:
        fraction[0] = f64p(storage[DATA])[place]
        return FRACTION
    if dtype == world[INT64_DTYPE]:
        whole[0] = i64p(storage[DATA])[place]
        return WHOLE
    if dtype == world[BOOL_DTYPE]:
        whole[0] = i64(pointer(i8)(storage[DATA])[place])
        return TRUTH
    return ODD


@native
def ask_method(method: i64, self: ptr, args: ptrp, nargs: i64) -> ptr:
    """What the method in Python answers."""
    arguments = PyTuple_New(nargs + 1)
    Py_IncRef(self)
    PyTuple_SetItem(arguments, 0, self)
    for i in range(nargs):
        Py_IncRef(args[i])
        PyTuple_SetItem(arguments, i + 1, args[i])
    result = PyObject_Call(PyTuple_GetItem(ptr(world[NUMBER_METHODS]), method), arguments, None)
    Py_DecRef(arguments)
    return result


@native
def to_number(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """x.item()"""
    fraction, whole = stack(f64, 1), stack(i64, 1)
    found = read_element(self, fraction, whole) if nargs == 0 else i64(ODD)
    if found == FRACTION:
        return PyFloat_FromDouble(fraction[0])
    if found == WHOLE:
        return PyLong_FromLongLong(whole[0])
    if found == TRUTH:
        return PyBool_FromLong(whole[0])
    return None if found == FAILED else ask_method(ITEM, self, args, nargs)


@native
def to_float(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """float(x)"""
    fraction, whole = stack(f64, 1), stack(i64, 1)
    found = read_element(self, fraction, whole)
    if found == FRACTION and i64(slot(self, world[SLOT_NODE])) == world[NONE]:  # else it may warn
        return PyFloat_FromDouble(fraction[0])
    return None if found == FAILED else ask_method(FLOAT, self, args, nargs)


@native
def to_int(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """int(x)"""
    fraction, whole = stack(f64, 1), stack(i64, 1)
    found = read_element(self, fraction, whole)
    if found == WHOLE or found == TRUTH:
        return PyLong_FromLongLong(whole[0])
    if found == FRACTION:
        return PyLong_FromDouble(fraction[0])
    return None if found == FAILED else ask_method(INT, self, args, nargs)


@native
def to_bool(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """bool(x)"""
    fraction, whole = stack(f64, 1), stack(i64, 1)
    found = read_element(self, fraction, whole)
    if found == FRACTION:
        return PyBool_FromLong(1 if fraction[0] != 0.0 else 0)
    if found == WHOLE or found == TRUTH:
        return PyBool_FromLong(1 if whole[0] != 0 else 0)
    return None if found == FAILED else ask_method(BOOL, self, args, nargs)


@native
def address_of(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """address_of(array): where the memory of an object with the buffer protocol begins."""
    view = stack(i64, BUFFER_WORDS)
    if PyObject_GetBuffer(args[0], view, i32(STRIDED)) != 0:
        return None
    address = view[0]
    PyBuffer_Release(view)
    return PyLong_FromLongLong(address)
