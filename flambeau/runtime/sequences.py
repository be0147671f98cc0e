"""Python numbers and nested lists of them read in native code: what `torch.tensor([[1, 2]])` does.

    core.measure_numbers([[1, 2], [3, 4]])             # (NUMBER_INTS, 2, 2): kind, then the shape
    core.write_numbers(data, storage, AS_INT64)        # into a storage of that many elements

Both look at exact lists, tuples, floats, ints and bools only, and answer None for all else (other
objects, ragged data, integers beyond 64 bits): ops.sequences then finds out what is wrong.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    f32,
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
)  # fmt: skip
from flambeau.runtime.memory import DATA
from flambeau.runtime.objects import (
    BOOL_TYPE,
    FLOAT_TYPE,
    LIST_TYPE,
    LONG_TYPE,
    TRUE,
    TUPLE_TYPE,
    PyLong_AsLongLongAndOverflow,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    type_of,
    world,
)  # fmt: skip
from flambeau.runtime.plan_table import PyList_GetItem, PyList_Size
from flambeau.runtime.records import PyTuple_New, PyTuple_SetItem, none

PyFloat_AsDouble = Extern("PyFloat_AsDouble", f64, ptr)

NUMBER_NONE, NUMBER_BOOLS, NUMBER_INTS, NUMBER_FLOATS = range(4)  # the kinds, by what they hold
AS_BOOL, AS_INT64, AS_FLOAT32, AS_FLOAT64 = range(4)
MAX_DEPTH = 16
KIND, DEPTH, KNOWN, SIZES = range(4)  # words of a measurement; KNOWN: all of its depth is known


@native
def is_sequence(x: ptr) -> i64:
    kind = type_of(x)
    return 1 if kind == world[LIST_TYPE] or kind == world[TUPLE_TYPE] else 0


@native
def length(x: ptr) -> i64:
    if type_of(x) == world[LIST_TYPE]:
        return PyList_Size(x)
    return PyTuple_Size(x)


@native
def item_of(x: ptr, place: i64) -> ptr:
    if type_of(x) == world[LIST_TYPE]:
        return PyList_GetItem(x, place)
    return PyTuple_GetItem(x, place)


@native
def kind_of(x: ptr) -> i64:
    """What kind of number it is; NUMBER_NONE for anything else."""
    kind = type_of(x)
    if kind == world[FLOAT_TYPE]:
        return NUMBER_FLOATS
    if kind == world[LONG_TYPE]:
        return NUMBER_INTS
    return NUMBER_BOOLS if kind == world[BOOL_TYPE] else NUMBER_NONE


@native
def measure(x: ptr, depth: i64, found: i64p) -> i64:
    """Takes a number, or a sequence and all below it, into the measurement; 0: it is not plain."""
    if is_sequence(x) == 0:
        kind = kind_of(x)
        found[KNOWN] = 1
        if kind == NUMBER_NONE or depth != found[DEPTH]:
            return 0
        if kind > found[KIND]:
            found[KIND] = kind
        return 1
    size = length(x)
    if depth == found[DEPTH]:
        if found[KNOWN] or depth == MAX_DEPTH:
            return 0
        found[SIZES + depth] = size
        found[DEPTH] = depth + 1
        if size == 0:
            found[KNOWN] = 1
    elif size != found[SIZES + depth]:
        return 0
    for i in range(size):
        if measure(item_of(x, i), depth + 1, found) == 0:
            return 0
    return 1


@native
def measure_numbers(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """measure_numbers(data): the kind of its numbers, then its shape."""
    found = stack(i64, SIZES + MAX_DEPTH)
    found[KIND], found[DEPTH], found[KNOWN] = NUMBER_NONE, 0, 0
    if measure(args[0], 0, found) == 0:
        return none()
    result = PyTuple_New(1 + found[DEPTH])
    PyTuple_SetItem(result, 0, PyLong_FromLongLong(found[KIND]))
    for d in range(found[DEPTH]):
        PyTuple_SetItem(result, d + 1, PyLong_FromLongLong(found[SIZES + d]))
    return result


@native
def write_number(x: ptr, target: ptr, code: i64) -> i64:
    """Writes one number; 0 if it does not fit."""
    whole, fraction = i64(0), f64(0.0)
    kind = type_of(x)
    if kind == world[FLOAT_TYPE]:
        fraction = PyFloat_AsDouble(x)
    elif kind == world[BOOL_TYPE]:
        whole = 1 if i64(x) == world[TRUE] else 0
        fraction = f64(whole)
    else:
        overflow = stack(i32, 1)
        whole = PyLong_AsLongLongAndOverflow(x, overflow)
        if overflow[0] != 0:
            return 0
        fraction = f64(whole)
    if code == AS_FLOAT32:
        f32p(target)[0] = f32(fraction)
    elif code == AS_FLOAT64:
        f64p(target)[0] = fraction
    elif code == AS_INT64:
        i64p(target)[0] = whole
    else:
        pointer(i8)(target)[0] = i8(whole)
    return 1


@native
def write_all(x: ptr, place: i64p, size: i64, code: i64) -> i64:
    """Writes the numbers in order; `place` holds the address of the next."""
    if is_sequence(x) == 0:
        target = ptr(place[0])
        place[0] = place[0] + size
        return write_number(x, target, code)
    for i in range(length(x)):
        if write_all(item_of(x, i), place, size, code) == 0:
            return 0
    return 1


@native
def write_numbers(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """write_numbers(data, storage, code): the storage, with the numbers in it."""
    storage: i64p = args[1]
    code = as_integer(args[2])
    place = stack(i64, 1)
    place[0] = storage[DATA]
    size = i64(8)
    if code == AS_BOOL:
        size = 1
    elif code == AS_FLOAT32:
        size = 4
    return PyLong_FromLongLong(write_all(args[0], place, size, code))
