"""`x[3, 1:5]` in native code: reads an index of ints, slices, None and Ellipsis (see
runtime.dispatch, which calls `add_index`).

What the result looks like depends on where ints stand and on the lengths and steps of slices; only
its offset depends on the ints themselves and on where slices begin. So only the former are in the
plan's key, and a loop over `x[i]` or `x[i : i + 32]` runs one plan. The offset is worked out here
and handed to the plan as an operand; a second one counts in a row-major tensor of x's shape, where
the gradient will be put. Anything else (tensors, lists, bools, indices out of range) is left to
Python.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Signature,
    i32,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    unlikely,
    void,
)
from flambeau.runtime.memory import DATA, PyObject_Free, PyObject_Malloc, touch
from flambeau.runtime.objects import (
    ELLIPSIS,
    LONG_TYPE,
    NONE,
    PARAMETER_TYPE,
    SLICE_START,
    SLICE_TYPE,
    SLOT_OFFSET,
    SLOT_SPEC,
    SLOT_STORAGE,
    SPEC_CONTIGUOUS,
    SPEC_ITEMSIZE,
    SPEC_SHAPE,
    SPEC_STRIDES,
    TENSOR_TYPE,
    TRUE,
    TUPLE_TYPE,
    PyLong_AsLongLongAndOverflow,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    slot,
    type_of,
    world,
)
from flambeau.runtime.threads import parallel_for

K_INDEX, K_RANGE, K_WINDOW = 8, 9, 10  # tags in keys, beside those of runtime.dispatch
MAX_ITEMS = 20
DIM, START, PLACE, SIZE, STRIDE, ROW_STRIDE, NEXT, STATE_WORDS = range(8)
PyEval_SaveThread = Extern("PyEval_SaveThread", ptr)
PyEval_RestoreThread = Extern("PyEval_RestoreThread", void, ptr)
Kernel = Signature(void, ptr, ptr, i64, i64)


@native
def exact_int(x: ptr, value: i64p) -> i64:
    """Reads a Python int that fits into a word; 0 for anything else."""
    if type_of(x) != world[LONG_TYPE]:
        return 0
    overflow = stack(i32, 1)
    value[0] = PyLong_AsLongLongAndOverflow(x, overflow)
    return 1 if overflow[0] == 0 else 0


@native
def read_bound(x: ptr, size: i64, default: i64, value: i64p) -> i64:
    """A bound of a slice, counted from the front and clipped to the dimension;
    0 if it is no int.
    """
    if i64(x) == world[NONE]:
        value[0] = default
        return 1
    if exact_int(x, value) == 0:
        return 0
    if value[0] < 0:
        value[0] = value[0] + size
    if value[0] < 0:
        value[0] = 0
    if value[0] > size:
        value[0] = size
    return 1


@native
def next_dimension(spec: ptr, state: i64p) -> i64:
    """Loads size and strides of the next dimension into the state; 0 when there is none."""
    shape, strides = slot(spec, world[SPEC_SHAPE]), slot(spec, world[SPEC_STRIDES])
    dim, ndim = state[DIM], PyTuple_Size(shape)
    if dim >= ndim:
        return 0
    state[SIZE] = as_integer(PyTuple_GetItem(shape, dim))
    state[STRIDE] = as_integer(PyTuple_GetItem(strides, dim))
    state[ROW_STRIDE] = state[STRIDE]
    if i64(slot(spec, world[SPEC_CONTIGUOUS])) != world[TRUE]:
        step = i64(1)
        for d in range(dim + 1, ndim):
            step = step * as_integer(PyTuple_GetItem(shape, d))
        state[ROW_STRIDE] = step
    state[DIM] = dim + 1
    return 1


@native
def add_item(item: ptr, spec: ptr, skipped: i64, key: i64p, state: i64p) -> i64:
    """One entry of the index: moves the offset, adds to the key; 0 when Python must look at it."""
    n = state[NEXT]
    value, bounds = stack(i64, 1), stack(i64, 3)
    if i64(item) == world[NONE]:
        key[n] = world[NONE]
        state[NEXT] = n + 1
        return 1
    if i64(item) == world[ELLIPSIS]:
        key[n] = world[ELLIPSIS]
        state[NEXT] = n + 1
        state[DIM] = state[DIM] + skipped
        return 1
    if next_dimension(spec, state) == 0:
        return 0
    size = state[SIZE]
    if exact_int(item, value):
        place = value[0] + size if value[0] < 0 else value[0]
        if unlikely(place < 0 or place >= size):
            return 0
        state[START] = state[START] + place * state[STRIDE]
        state[PLACE] = state[PLACE] + place * state[ROW_STRIDE]
        key[n] = K_INDEX
        state[NEXT] = n + 1
        return 1
    if type_of(item) != world[SLICE_TYPE]:
        return 0
    first = slot(item, world[SLICE_START])
    last = slot(item, world[SLICE_START] + 8)
    by = slot(item, world[SLICE_START] + 16)
    bounds[2] = 1
    if i64(by) != world[NONE]:
        if exact_int(by, bounds + 2) == 0:
            return 0
    if bounds[2] <= 0:
        return 0
    if read_bound(first, size, 0, bounds) == 0 or read_bound(last, size, size, bounds + 1) == 0:
        return 0
    whole = i64(0)  # a slice that leaves the dimension as it is does not name the graph node
    if bounds[2] == 1 and bounds[1] == size and bounds[0] == 0:
        if i64(first) == world[NONE] or as_integer(first) == 0:
            if i64(last) == world[NONE] or as_integer(last) >= 0:
                whole = 1
    count = (
        (bounds[1] - bounds[0] + bounds[2] - 1) // bounds[2] if bounds[1] > bounds[0] else i64(0)
    )
    state[START] = state[START] + bounds[0] * state[STRIDE]
    state[PLACE] = state[PLACE] + bounds[0] * state[ROW_STRIDE]
    key[n] = K_RANGE
    key[n + 1] = count
    key[n + 2] = bounds[2]
    key[n + 3] = whole
    state[NEXT] = n + 4
    return 1


@native
def add_index(x: ptr, index: ptr, key: i64p, counts: i64p, moved: i64p) -> i64:
    """Puts `x[index]` into the key and the offsets into `moved`; 0 when it is not made of ints,
    slices, None and Ellipsis.
    """
    kind = type_of(x)
    if kind != world[TENSOR_TYPE] and kind != world[PARAMETER_TYPE]:
        return 0
    spec = slot(x, world[SLOT_SPEC])
    state = stack(i64, STATE_WORDS)
    state[DIM], state[START], state[PLACE] = 0, 0, 0
    key[2] = K_WINDOW
    key[3] = i64(spec)
    state[NEXT] = 5
    if type_of(index) != world[TUPLE_TYPE]:
        key[4] = -1
        skipped = i64(0)
        if i64(index) == world[ELLIPSIS]:
            skipped = PyTuple_Size(slot(spec, world[SPEC_SHAPE]))
        if add_item(index, spec, skipped, key, state) == 0:
            return 0
    else:
        size = PyTuple_Size(index)
        if size > MAX_ITEMS:
            return 0
        key[4] = size
        skipped = PyTuple_Size(slot(spec, world[SPEC_SHAPE])) - size
        for i in range(size):
            item = i64(PyTuple_GetItem(index, i))
            if item == world[NONE] or item == world[ELLIPSIS]:
                skipped += 1
        if skipped < 0:
            return 0
        for i in range(size):
            item = i64(PyTuple_GetItem(index, i))
            if add_item(ptr(item), spec, skipped, key, state) == 0:
                return 0
            if item == world[ELLIPSIS]:
                skipped = 0
    moved[0], moved[1] = state[START], state[PLACE]
    counts[0], counts[1] = state[NEXT], 1
    return 1


@native
def call_kernel(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """call_kernel(address, params, items, grain, *tensors): runs a kernel on the tensors' memory;
    returns its flag.

    For ops whose result sizes depend on values, and for more operands than a plan takes.
    """
    count = nargs - 4
    buffers: ptrp = PyObject_Malloc(8 * (count + 1))
    flag = stack(i64, 1)
    flag[0] = 0
    for i in range(count):
        x = args[4 + i]
        storage: i64p = slot(x, world[SLOT_STORAGE])
        if touch(storage) == 0:
            PyObject_Free(buffers)
            return None
        itemsize = as_integer(slot(slot(x, world[SLOT_SPEC]), world[SPEC_ITEMSIZE]))
        buffers[i] = ptr(storage[DATA]) + as_integer(slot(x, world[SLOT_OFFSET])) * itemsize
    buffers[count] = flag
    address, items, grain = ptr(as_integer(args[0])), as_integer(args[2]), as_integer(args[3])
    params = ptr(as_integer(args[1]))
    if items > 0:
        if grain > 0 and items > grain:
            thread = PyEval_SaveThread()
            parallel_for(address, buffers, params, items, grain)
            PyEval_RestoreThread(thread)
        else:
            Kernel(address)(buffers, params, 0, items)
    PyObject_Free(buffers)
    return PyLong_FromLongLong(flag[0])
