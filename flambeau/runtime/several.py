"""Many kernels as one: each runs on its own operands, in chunks that the threads share. Native
code; ops.several makes the parameters.

    engine.core.run_rows(plan, rows, numbers)       # one step of an optimizer, see optim._fused
    run_several                                     # the kernel of such a plan, in programs too

A model has hundreds of small parameters: what a step costs is looking at each of them, so the parts
of that which are the same for all optimizers are here too: finding state and gradients, counting
steps.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Signature,
    f32p,
    f64,
    f64p,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    void,
)
from flambeau.runtime.execution import PyFloat_AsDouble, run_kernel
from flambeau.runtime.memory import (
    DATA,
    FLAG_INFERENCE,
    FLAGS,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    new_storage,
)
from flambeau.runtime.objects import (
    LEAF_GRAD,
    LEAF_TYPE,
    NONE,
    PARAMETER_TYPE,
    PLAN_BLOCK,
    SLOT_NODE,
    SLOT_SPEC,
    SLOT_STORAGE,
    TENSOR_TYPE,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    slot,
    type_of,
    world,
)
from flambeau.runtime.plan_block import B_PARAMS, MAX_BUFFERS
from flambeau.runtime.plan_table import PyList_GetItem, PyList_Size
from flambeau.runtime.records import PyTuple_New, PyTuple_SetItem
from flambeau.runtime.replay import PyDict_GetItem, first_byte

PyList_New = Extern("PyList_New", ptr, i64)
PyList_Append = Extern("PyList_Append", i64, ptr, ptr)
PyFloat_FromDouble = Extern("PyFloat_FromDouble", ptr, f64)
Kernel = Signature(void, ptr, ptr, i64, i64)

# words of the parameters: addresses of the parts, of the chunks, and of the specs of the rows; then
# for rows of tensors how many there are, and how many tensors and numbers each has
S_PARTS, S_CHUNKS, S_SPECS, S_ROWS, S_TENSORS, S_NUMBERS = range(6)
PART_WORDS = 5  # kernel, its parameters, its items, number of buffers, address of their places
CHUNK_WORDS = 4  # first part, last part, and which items of it if it is one part


@native
def run_several(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Chunks of the parts; `buffers` holds the buffers of all of them."""
    own = stack(ptr, MAX_BUFFERS)
    for number in range(start, stop):
        chunk: i64p = ptr(params[S_CHUNKS] + 8 * CHUNK_WORDS * number)
        for index in range(chunk[0], chunk[1] + 1):
            part: i64p = ptr(params[S_PARTS] + 8 * PART_WORDS * index)
            places: i64p = ptr(part[4])
            for i in range(part[3]):
                own[i] = buffers[places[i]]
            if chunk[0] == chunk[1]:
                Kernel(part[0])(own, ptr(part[1]), chunk[2], chunk[3])
            else:
                Kernel(part[0])(own, ptr(part[1]), 0, part[2])


@native
def is_tensor(x: ptr) -> i64:
    """Whether this is a tensor of no other class."""
    kind = type_of(x)
    return 1 if kind == world[TENSOR_TYPE] or kind == world[PARAMETER_TYPE] else 0


@native
def find_row(row: ptr, specs: i64p, tensors: i64, scalars: i64, numbers: ptr, place: ptrp) -> i64:
    """The buffers of a row: tensors, numbers, and what is written, all but the second tensor. 0
    where the row is not what the plan was made for, or another tensor lies in the first one's
    memory.
    """
    if PyTuple_Size(row) != tensors:
        return 0
    written = place + tensors + scalars
    target = slot(PyTuple_GetItem(row, 0), world[SLOT_STORAGE])
    for j in range(tensors):
        x = PyTuple_GetItem(row, j)
        if is_tensor(x) == 0:
            return 0
        storage: i64p = slot(x, world[SLOT_STORAGE])
        if i64(slot(x, world[SLOT_SPEC])) != specs[j] or storage[FLAGS] & FLAG_INFERENCE:
            return 0
        if j > 0 and storage == target:
            return 0
        place[j] = ptr(first_byte(x))
        if j != 1:
            written[0] = place[j]
            written = written + 1
    for k in range(scalars):
        place[tensors + k] = numbers + 8 * k
    return 1


@native
def run_rows(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """run_rows(plan, rows, numbers): updates the tensors of each row in place; 0 if nothing was
    done because a row is not what the plan was made for.
    """
    block: i64p = ptr(as_integer(slot(args[0], world[PLAN_BLOCK])))
    rows, params = args[1], i64p(ptr(block[B_PARAMS]))
    count, tensors, scalars = params[S_ROWS], params[S_TENSORS], params[S_NUMBERS]
    if PyList_Size(rows) != count:
        return PyLong_FromLongLong(0)
    each = 2 * tensors - 1 + scalars
    memory: i64p = new_storage(8 * (each * count + scalars + 2))
    if memory == None:  # noqa: E711
        return None
    table: ptrp = ptr(memory[DATA])
    numbers: f64p = table + (each * count + 2)
    for k in range(scalars):
        numbers[k] = PyFloat_AsDouble(PyTuple_GetItem(args[2], k))
    fits = i64(1)
    for i in range(count):
        specs: i64p = ptr(params[S_SPECS] + 8 * tensors * i)
        row = PyList_GetItem(rows, i)
        if fits != 0:
            fits = find_row(row, specs, tensors, scalars, numbers, table + each * i)
    if fits != 0:
        if run_kernel(block, table) == 0:
            Py_DecRef(memory)
            return None
        for i in range(count):
            target = PyTuple_GetItem(PyList_GetItem(rows, i), 0)
            storage: i64p = slot(target, world[SLOT_STORAGE])
            storage[VERSION] += 1
    Py_DecRef(memory)
    return PyLong_FromLongLong(fits)


@native
def row_of(p: ptr, gradient: ptr, own: ptr, names: ptr) -> ptr:
    """(p, gradient, *[own[name] for name in names]); null where something is missing."""
    row = PyTuple_New(2 + PyTuple_Size(names))
    Py_IncRef(p)
    PyTuple_SetItem(row, 0, p)
    Py_IncRef(gradient)
    PyTuple_SetItem(row, 1, gradient)
    for k in range(PyTuple_Size(names)):
        value = PyDict_GetItem(own, PyTuple_GetItem(names, k))
        if value == None:  # noqa: E711
            Py_DecRef(row)
            return None
        Py_IncRef(value)
        PyTuple_SetItem(row, 2 + k, value)
    return row


@native
def gather_rows(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """gather_rows(parameters, state, names, step): a list of `row_of` for the parameters that have
    gradients, and a list of their state[p][step], empty where `step` is None. None where Python has
    to look: a parameter that is no leaf of a graph, or has no state yet.
    """
    rows, steps = PyList_New(0), PyList_New(0)
    whole, counted = i64(1), i64(1 if i64(args[3]) != world[NONE] else 0)
    for i in range(PyList_Size(args[0])):
        p = PyList_GetItem(args[0], i)
        node: ptr = None
        if whole != 0 and is_tensor(p) != 0:
            node = slot(p, world[SLOT_NODE])
        if node == None or i64(node) == world[NONE] or type_of(node) != world[LEAF_TYPE]:  # noqa: E711
            whole = 0
        else:
            gradient = slot(node, world[LEAF_GRAD])
            if i64(gradient) != world[NONE]:
                own = PyDict_GetItem(args[1], p)
                row: ptr = None
                if own != None or counted + PyTuple_Size(args[2]) == 0:  # noqa: E711
                    row = row_of(p, gradient, own, args[2])
                if row == None:  # noqa: E711
                    whole = 0
                else:
                    PyList_Append(rows, row)
                    Py_DecRef(row)
                    if counted != 0:
                        step = PyDict_GetItem(own, args[3])
                        if step == None:  # noqa: E711
                            whole = 0
                        else:
                            PyList_Append(steps, step)
    if whole == 0:
        Py_DecRef(rows)
        Py_DecRef(steps)
        Py_IncRef(ptr(world[NONE]))
        return ptr(world[NONE])
    result = PyTuple_New(2)
    PyTuple_SetItem(result, 0, rows)
    PyTuple_SetItem(result, 1, steps)
    return result


@native
def count_up(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """count_up(steps, spec): adds one to each 0-d float32 tensor; their common value now, else a
    list of the values. None, and nothing is counted, where one of them has another spec.
    """
    count = PyList_Size(args[0])
    for i in range(count):
        x = PyList_GetItem(args[0], i)
        if is_tensor(x) == 0 or slot(x, world[SLOT_SPEC]) != args[1]:
            Py_IncRef(ptr(world[NONE]))
            return ptr(world[NONE])
    values, alike = PyList_New(0), i64(1)
    first = f64(0)
    for i in range(count):
        place: f32p = ptr(first_byte(PyList_GetItem(args[0], i)))
        place[0] = place[0] + 1
        value = f64(place[0])
        if i == 0:
            first = value
        if alike != 0 and value != first:
            alike = 0
            for _ in range(i):  # those before it were alike
                same = PyFloat_FromDouble(first)
                PyList_Append(values, same)
                Py_DecRef(same)
        if alike == 0:
            number = PyFloat_FromDouble(value)
            PyList_Append(values, number)
            Py_DecRef(number)
    if alike == 0:
        return values
    Py_DecRef(values)
    return PyFloat_FromDouble(first)
