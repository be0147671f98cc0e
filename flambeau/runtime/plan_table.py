"""Keys of calls and the table of their plans, in native code. Called by runtime.dispatch.

A key is a row of machine words that says all that a plan depends on: the op, the specs of tensors
by identity (they are interned), the values of ints, slices, flags and strings. `add_argument`
appends one argument; `find_plan` and `remember_plan` look it up.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Static,
    bitcast,
    copy_memory,
    f64,
    i32,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    u64,
    void,
)
from flambeau.runtime.memory import Py_DecRef, Py_IncRef, PyObject_Free, PyObject_Malloc
from flambeau.runtime.objects import (
    BOOL_TYPE,
    COMPLEX_TYPE,
    DEVICE_TYPE,
    DTYPE_TYPE,
    ELLIPSIS,
    FLOAT_TYPE,
    FORMAT_TYPE,
    LIST_TYPE,
    LONG_TYPE,
    NONE,
    PARAMETER_TYPE,
    PLAN_BLOCK,
    SIZE_TYPE,
    SLICE_START,
    SLICE_TYPE,
    SLOT_SPEC,
    STRING_TYPE,
    TENSOR_TYPE,
    TUPLE_TYPE,
    PyLong_AsLongLongAndOverflow,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    slot,
    type_of,
    world,
)

PyFloat_AsDouble = Extern("PyFloat_AsDouble", f64, ptr)
PyComplex_RealAsDouble = Extern("PyComplex_RealAsDouble", f64, ptr)
PyComplex_ImagAsDouble = Extern("PyComplex_ImagAsDouble", f64, ptr)
PyList_GetItem = Extern("PyList_GetItem", ptr, ptr, i64)
PyList_Size = Extern("PyList_Size", i64, ptr)
PyObject_Hash = Extern("PyObject_Hash", i64, ptr)

# flag of an op: Python numbers are operands of the kernel, not part of the key
NUMBERS_ARE_OPERANDS = 1
MAX_OPERANDS, MAX_KEY = 57, 256  # one more than a plan takes: longer lists go to Python at once

# the plan table: open addressing over (hash, entry); an entry is words: plan object, block, key
# length, key words...
TABLE_SIZE = 1 << 15
TABLE_LIMIT = 3 * (1 << 13)
table = Static("plan_table", i64, 2 * TABLE_SIZE)
table_count = Static("plan_count", i64, 8)

# tags in keys; addresses are larger than any of them
K_INT, K_FLOAT, K_NUMBER_FLOAT, K_NUMBER_INT, K_NUMBER_BOOL, K_SLICE, K_SEQUENCE = range(1, 8)
K_STRING, K_COMPLEX, K_NUMBER_COMPLEX = 9, 10, 11  # no K_SEQUENCE plus a multiple of 8


@native
def add_operand(x: ptr, tag: i64, key: i64p, operands: ptrp, counts: i64p) -> i64:
    """A number that the kernel is given when it runs: the key says only that there is one."""
    operands[counts[1]] = x
    counts[1] += 1
    key[counts[0]] = tag
    counts[0] += 1
    return 1


@native
def add_integer(x: ptr, key: i64p, operands: ptrp, counts: i64p, flags: i64) -> i64:
    """An int; one that fits into no machine word has no key."""
    overflow = stack(i32, 1)
    value = PyLong_AsLongLongAndOverflow(x, overflow)
    if overflow[0] != 0:
        return 0
    if flags & NUMBERS_ARE_OPERANDS:
        return add_operand(x, K_NUMBER_INT, key, operands, counts)
    n = counts[0]
    key[n] = K_INT
    key[n + 1] = value
    counts[0] = n + 2
    return 1


@native
def add_number(x: ptr, kind: i64, key: i64p, operands: ptrp, counts: i64p, flags: i64) -> i64:
    """A float, complex number or bool."""
    if flags & NUMBERS_ARE_OPERANDS:
        tag = i64(K_NUMBER_BOOL)
        if kind == world[FLOAT_TYPE]:
            tag = K_NUMBER_FLOAT
        elif kind == world[COMPLEX_TYPE]:
            tag = K_NUMBER_COMPLEX
        return add_operand(x, tag, key, operands, counts)
    n = counts[0]
    if kind == world[FLOAT_TYPE]:
        key[n] = K_FLOAT
        key[n + 1] = bitcast(i64, PyFloat_AsDouble(x))
        counts[0] = n + 2
    elif kind == world[COMPLEX_TYPE]:
        key[n] = K_COMPLEX
        key[n + 1] = bitcast(i64, PyComplex_RealAsDouble(x))
        key[n + 2] = bitcast(i64, PyComplex_ImagAsDouble(x))
        counts[0] = n + 3
    else:
        key[n] = i64(x)
        counts[0] = n + 1
    return 1


@native
def add_slice(x: ptr, key: i64p, operands: ptrp, counts: i64p, depth: i64) -> i64:
    """A slice of ints and None."""
    key[counts[0]] = K_SLICE
    counts[0] += 1
    for i in range(3):
        part = slot(x, world[SLICE_START] + 8 * i)
        if i64(part) != world[NONE] and type_of(part) != world[LONG_TYPE]:
            return 0
        if add_argument(part, key, operands, counts, 0, depth + 1) == 0:
            return 0
    return 1


@native
def add_items(
    x: ptr, kind: i64, key: i64p, operands: ptrp, counts: i64p, flags: i64, depth: i64
) -> i64:
    """The items of a list or tuple, after a word that says how many there are."""
    size = i64(0)
    if kind != world[LIST_TYPE]:
        size = PyTuple_Size(x)
    else:
        size = PyList_Size(x)
    key[counts[0]] = K_SEQUENCE + size * 16 + (i64(8) if kind == world[LIST_TYPE] else i64(0))
    counts[0] += 1
    for i in range(size):
        item: ptr = None
        if kind == world[LIST_TYPE]:
            item = PyList_GetItem(x, i)
        else:
            item = PyTuple_GetItem(x, i)
        if add_argument(item, key, operands, counts, flags, depth + 1) == 0:
            return 0
    return 1


@native
def add_argument(x: ptr, key: i64p, operands: ptrp, counts: i64p, flags: i64, depth: i64) -> i64:
    """Appends one argument to the key; counts = (key words, operands).

    Returns 0 when it has no key.
    """
    n = counts[0]
    if n >= MAX_KEY - 8 or counts[1] >= MAX_OPERANDS:
        return 0
    kind = type_of(x)
    if kind == world[TENSOR_TYPE] or kind == world[PARAMETER_TYPE]:
        key[n] = i64(slot(x, world[SLOT_SPEC]))
        operands[counts[1]] = x
        counts[1] += 1
        counts[0] = n + 1
        return 1
    if kind == world[LONG_TYPE]:
        return add_integer(x, key, operands, counts, flags)
    if kind == world[FLOAT_TYPE] or kind == world[BOOL_TYPE] or kind == world[COMPLEX_TYPE]:
        return add_number(x, kind, key, operands, counts, flags)
    if (
        i64(x) == world[NONE]
        or i64(x) == world[ELLIPSIS]
        or kind == world[DTYPE_TYPE]
        or kind == world[DEVICE_TYPE]
        or kind == world[FORMAT_TYPE]
    ):
        key[n] = i64(x)
        counts[0] = n + 1
        return 1
    if kind == world[STRING_TYPE]:  # by content: its address may be another string's later
        key[n] = K_STRING
        key[n + 1] = PyObject_Hash(x)
        counts[0] = n + 2
        return 1
    if kind == world[SLICE_TYPE]:
        return add_slice(x, key, operands, counts, depth)
    if kind == world[TUPLE_TYPE] or kind == world[LIST_TYPE] or kind == world[SIZE_TYPE]:
        if depth < 2:
            return add_items(x, kind, key, operands, counts, flags, depth)
    return 0


@native
def hash_key(key: i64p, n: i64) -> i64:
    h = u64(0x9E3779B97F4A7C15)
    for i in range(n):
        h = (h ^ u64(key[i])) * u64(0x2545F4914F6CDD1D)
        h = h ^ (h >> 29)
    return i64(h)


@native
def find_plan(key: i64p, n: i64, hashed: i64) -> i64p:
    """The entry of this key, or null."""
    place = hashed & (TABLE_SIZE - 1)
    while table[2 * place + 1] != 0:
        if table[2 * place] == hashed:
            entry: i64p = ptr(table[2 * place + 1])
            if entry[2] == n:
                same = 0
                for i in range(n):
                    if entry[3 + i] != key[i]:
                        break
                    same += 1
                if same == n:
                    return entry
        place = (place + 1) & (TABLE_SIZE - 1)
    return None


@native
def clear_plans() -> void:
    """Forgets every plan.

    An entry's plan may be running: its owner holds its own reference meanwhile.
    """
    for i in range(TABLE_SIZE):
        entry: i64p = ptr(table[2 * i + 1])
        table[2 * i + 1] = 0
        if entry != None:  # noqa: E711
            Py_DecRef(ptr(entry[0]))
            PyObject_Free(entry)
    table_count[0] = 0


@native
def remember_plan(key: i64p, n: i64, hashed: i64, plan: ptr) -> void:
    if table_count[0] >= TABLE_LIMIT:
        clear_plans()
    entry: i64p = PyObject_Malloc(8 * (3 + n))
    if entry == None:  # noqa: E711
        return
    Py_IncRef(plan)
    entry[0] = i64(plan)
    entry[1] = as_integer(slot(plan, world[PLAN_BLOCK]))
    entry[2] = n
    copy_memory(entry + 3, key, 8 * n)
    place = hashed & (TABLE_SIZE - 1)
    while table[2 * place + 1] != 0:
        place = (place + 1) & (TABLE_SIZE - 1)
    table[2 * place] = hashed
    table[2 * place + 1] = i64(entry)
    table_count[0] += 1
