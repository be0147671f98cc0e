"""Runs plans, in native code: allocates results, calls kernels, records for gradients.

Called by runtime.dispatch with the block of a plan (runtime.plan_block) and the call's operands:

    result = execute(block, operands, thread_mode())      # a Tensor, or a tuple of them
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Signature,
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
    unlikely,
    void,
)
from flambeau.runtime.memory import (
    DATA,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    PyErr_NoMemory,
    new_storage,
)
from flambeau.runtime.objects import (
    FAIL,
    NODE_TYPE,
    NONE,
    REFRESH,
    SLOT_BASE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_SEEN,
    SLOT_STORAGE,
    TRUE,
    ZERO,
    PyLong_FromLongLong,
    as_integer,
    set_slot,
    slot,
    type_of,
    world,
)
from flambeau.runtime.plan_block import (
    B_CAN_FAIL,
    B_DELTA,
    B_DIFFERENTIABLE,
    B_FINISH,
    B_GRAIN,
    B_INPLACE,
    B_INPUT,
    B_INPUTS,
    B_ITEMS,
    B_KERNEL,
    B_KIND,
    B_OUTPUT,
    B_OUTPUTS,
    B_PARAMS,
    B_PLAN,
    B_RELEASE,
    B_SCRATCH,
    B_THEN,
    B_THEN_ITEMS,
    B_THEN_PARAMS,
    KIND_INPUT,
    KIND_VIEW,
    MAX_BUFFERS,
    MAX_INPUTS,
    MAX_OUTPUTS,
    NUMBER_BOOL,
    NUMBER_FLOAT,
    NUMBER_INT,
)
from flambeau.runtime.records import new_result, new_tensor, record
from flambeau.runtime.thread_modes import NO_GRAD
from flambeau.runtime.threads import parallel_for

PyTuple_New = Extern("PyTuple_New", ptr, i64)
PyTuple_SetItem = Extern("PyTuple_SetItem", i32, ptr, i64, ptr)
PyFloat_AsDouble = Extern("PyFloat_AsDouble", f64, ptr)
PyComplex_RealAsDouble = Extern("PyComplex_RealAsDouble", f64, ptr)
PyComplex_ImagAsDouble = Extern("PyComplex_ImagAsDouble", f64, ptr)
PyObject_Call = Extern("PyObject_Call", ptr, ptr, ptr, ptr)
PyEval_SaveThread = Extern("PyEval_SaveThread", ptr)
PyEval_RestoreThread = Extern("PyEval_RestoreThread", void, ptr)
Kernel = Signature(void, ptr, ptr, i64, i64)


@native
def run_kernel(block: i64p, buffers: ptrp) -> i64:
    """Calls the kernel, over threads and without the GIL when it is long.

    0 when it failed (exception set).
    """
    n = block[B_INPUTS] + (i64(1) if block[B_INPLACE] >= 0 else block[B_OUTPUTS])
    flag, split = stack(i64, 1), stack(ptr, MAX_BUFFERS)
    scratch: i64p = None
    flag[0] = 0
    first = buffers
    if block[B_SCRATCH] != 0:
        scratch = new_storage(block[B_SCRATCH])
        if scratch == None:  # noqa: E711
            return 0
        if block[B_THEN] != 0:
            copy_memory(split, buffers, 8 * block[B_INPUTS])
            split[block[B_INPUTS]] = ptr(scratch[DATA])
            first = split
        else:
            buffers[n] = ptr(scratch[DATA])
            n += 1
    if block[B_CAN_FAIL]:
        buffers[n] = flag
    if block[B_ITEMS] > 0:
        if block[B_RELEASE] != 0:
            thread = PyEval_SaveThread()
            parallel_for(
                ptr(block[B_KERNEL]), first, ptr(block[B_PARAMS]), block[B_ITEMS], block[B_GRAIN]
            )
            PyEval_RestoreThread(thread)
        else:
            Kernel(block[B_KERNEL])(first, ptr(block[B_PARAMS]), 0, block[B_ITEMS])
    if block[B_THEN] != 0:
        split[0] = ptr(scratch[DATA])
        copy_memory(split + 1, buffers + block[B_INPUTS], 8 * block[B_OUTPUTS])
        Kernel(block[B_THEN])(split, ptr(block[B_THEN_PARAMS]), 0, block[B_THEN_ITEMS])
    if scratch != None:  # noqa: E711
        Py_DecRef(scratch)
    if unlikely(flag[0] != 0):
        arguments = PyTuple_New(2)
        Py_IncRef(ptr(block[B_PLAN]))
        PyTuple_SetItem(arguments, 0, ptr(block[B_PLAN]))
        PyTuple_SetItem(arguments, 1, PyLong_FromLongLong(flag[0]))
        result = PyObject_Call(ptr(world[FAIL]), arguments, None)
        Py_DecRef(arguments)
        if result != None:  # noqa: E711
            Py_DecRef(result)
        return 0
    return 1


@native
def as_tuple(items: ptrp, n: i64) -> ptr:
    result = PyTuple_New(n)
    for i in range(n):
        Py_IncRef(items[i])
        PyTuple_SetItem(result, i, items[i])
    return result


@native
def is_stale(x: ptr) -> i64:
    """Whether x is a view of a recorded tensor whose memory was written since x was made."""
    base = slot(x, world[SLOT_BASE])
    if i64(base) == world[NONE]:
        return 0
    if i64(slot(base, world[SLOT_NODE])) == world[NONE]:
        return 0
    seen = slot(x, world[SLOT_SEEN])
    if seen == None:  # noqa: E711
        return 1
    return 1 if as_integer(seen) != i64p(slot(x, world[SLOT_STORAGE]))[VERSION] else 0


@native
def refresh(x: ptr) -> i64:
    """Gives a view its place in the graph that its base has now; 0 when that fails."""
    arguments = PyTuple_New(1)
    Py_IncRef(x)
    PyTuple_SetItem(arguments, 0, x)
    result = PyObject_Call(ptr(world[REFRESH]), arguments, None)
    Py_DecRef(arguments)
    if result == None:  # noqa: E711
        return 0
    Py_DecRef(result)
    return 1


@native
def mark_seen(view: ptr) -> void:
    """Notes the version of the memory that a new view shows."""
    version = i64p(slot(view, world[SLOT_STORAGE]))[VERSION]
    set_slot(view, world[SLOT_SEEN], PyLong_FromLongLong(version))


FAILED = -1  # in place of the bits of collect_inputs: an exception is set


@native
def collect_inputs(
    block: i64p, operands: ptrp, inputs: ptrp, buffers: ptrp, numbers: i64p, mode: i64
) -> i64:
    """Orders the operands as the plan wants them, finds their data;
    returns the bits of those that need a gradient.
    """
    needs = i64(0)
    for i in range(block[B_INPUTS]):
        x = operands[block[B_INPUT + 3 * i + 2]]
        inputs[i] = x
        size = block[B_INPUT + 3 * i]
        if size >= 0:
            storage: i64p = slot(x, world[SLOT_STORAGE])
            offset = slot(x, world[SLOT_OFFSET])
            place = i64(0)
            if i64(offset) != world[ZERO]:
                place = as_integer(offset) * size
            buffers[i] = ptr(storage[DATA]) + place
            if mode & NO_GRAD == 0:
                if unlikely(is_stale(x) != 0):
                    if refresh(x) == 0:
                        return FAILED
            if i64(slot(x, world[SLOT_NODE])) != world[NONE]:
                needs = needs | (i64(1) << i)
        else:
            if size == NUMBER_FLOAT:
                numbers[2 * i] = bitcast(i64, PyFloat_AsDouble(x))
            elif size == NUMBER_INT:
                numbers[2 * i] = as_integer(x)
            elif size == NUMBER_BOOL:
                numbers[2 * i] = i64(1) if i64(x) == world[TRUE] else i64(0)
            else:
                numbers[2 * i] = bitcast(i64, PyComplex_RealAsDouble(x))
                numbers[2 * i + 1] = bitcast(i64, PyComplex_ImagAsDouble(x))
            buffers[i] = numbers + 2 * i
    return needs


@native
def view_of(block: i64p, x: ptr, moved_by: i64p) -> ptr:
    """The result of a view: another window on x's storage."""
    result: ptr = None
    storage = slot(x, world[SLOT_STORAGE])
    offset = slot(x, world[SLOT_OFFSET])
    Py_IncRef(storage)
    delta = block[B_DELTA]
    if block[B_INPUTS] > 1:
        delta += moved_by[0]
    if delta == 0:
        result = new_tensor(storage, ptr(block[B_OUTPUT]), offset)
    else:
        moved = PyLong_FromLongLong(as_integer(offset) + delta)
        result = new_tensor(storage, ptr(block[B_OUTPUT]), moved)
        Py_DecRef(moved)
    if result == None:  # noqa: E711
        return None
    base = slot(x, world[SLOT_BASE])
    if i64(base) == world[NONE]:
        base = x
    Py_IncRef(base)
    set_slot(result, world[SLOT_BASE], base)
    mark_seen(result)
    Py_DecRef(ptr(world[NONE]))
    return result


@native
def records_in_place(block: i64p, inputs: ptrp, needs: i64, target: ptr) -> i64:
    """Whether native code can record an in-place call: the target is no leaf and no view,
    and no gradient rule asks for the values that are about to go.
    """
    if needs == 0 or i64(slot(target, world[SLOT_BASE])) != world[NONE]:
        return 0
    node = slot(target, world[SLOT_NODE])
    if i64(node) != world[NONE] and type_of(node) != world[NODE_TYPE]:
        return 0
    mask = i64(0)
    for i in range(block[B_INPUTS]):
        if (needs >> i) & 1:
            mask = mask | block[B_INPUT + 3 * i + 1]
    for i in range(block[B_INPUTS]):
        if inputs[i] == target and (mask >> i) & 1:
            return 0
    return 1


@native
def shares_elements(block: i64p, inputs: ptrp, buffers: ptrp, target: ptr) -> i64:
    """Whether an operand is another window that might share elements with the target."""
    n, storage = block[B_INPUTS], slot(target, world[SLOT_STORAGE])
    begin = buffers[block[B_INPLACE]]
    extents = block + B_INPUT + 3 * n
    for i in range(n):
        if inputs[i] != target and block[B_INPUT + 3 * i] >= 0:
            if slot(inputs[i], world[SLOT_STORAGE]) == storage and buffers[i] != begin:
                if (
                    buffers[i] < begin + extents[block[B_INPLACE]]
                    and begin < buffers[i] + extents[i]
                ):
                    return 1
    return 0


@native
def write_target(block: i64p, inputs: ptrp, buffers: ptrp, needs: i64, mode: i64) -> ptr:
    """An in-place call: the kernel writes into one of its inputs."""
    target = inputs[block[B_INPLACE]]
    written: i64p = slot(target, world[SLOT_STORAGE])
    if needs != 0 or i64(slot(target, world[SLOT_NODE])) != world[NONE] and mode & NO_GRAD == 0:
        if records_in_place(block, inputs, needs, target) == 0:
            return None
    # Python decides what is allowed
    if shares_elements(block, inputs, buffers, target):
        return None
    buffers[block[B_INPUTS]] = buffers[block[B_INPLACE]]
    if block[B_KERNEL] != 0:
        if run_kernel(block, buffers) == 0:
            return None
    written[VERSION] += 1
    outputs = stack(ptr, 1)
    outputs[0] = target
    if needs != 0:
        if record(block, inputs, needs, outputs) == 0:
            return PyErr_NoMemory()
    Py_IncRef(target)
    return target


@native
def compute(block: i64p, buffers: ptrp, outputs: ptrp) -> i64:
    """Makes the results and runs the kernel; 0 when that failed."""
    n, m = block[B_INPUTS], block[B_OUTPUTS]
    for k in range(m):
        outputs[k] = new_result(block, k)
        if unlikely(outputs[k] == None):  # noqa: E711
            for j in range(k):
                Py_DecRef(outputs[j])
            return 0
        buffers[n + k] = ptr(i64p(slot(outputs[k], world[SLOT_STORAGE]))[DATA])
    if block[B_KERNEL] != 0:
        if run_kernel(block, buffers) == 0:
            for k in range(m):
                Py_DecRef(outputs[k])
            return 0
    return 1


@native
def execute(block: i64p, operands: ptrp, mode: i64) -> ptr:
    """Runs a plan of kind kernel or view.

    Returns null without an exception set when only Python can do it.
    """
    inputs, numbers = stack(ptr, MAX_INPUTS), stack(i64, 2 * MAX_INPUTS)
    buffers, outputs = stack(ptr, MAX_BUFFERS), stack(ptr, MAX_OUTPUTS)
    needs = collect_inputs(block, operands, inputs, buffers, numbers, mode)
    if needs == FAILED:
        return None
    if block[B_KIND] == KIND_INPUT:
        Py_IncRef(inputs[0])
        return inputs[0]
    if mode & NO_GRAD or block[B_DIFFERENTIABLE] == 0:
        needs = 0
    if block[B_KIND] == KIND_VIEW:
        outputs[0] = view_of(block, inputs[0], numbers + 2)
        if outputs[0] == None:  # noqa: E711
            return None
    elif block[B_INPLACE] >= 0:
        return write_target(block, inputs, buffers, needs, mode)
    elif compute(block, buffers, outputs) == 0:
        return None
    if needs != 0:
        if record(block, inputs, needs, outputs) == 0:
            return PyErr_NoMemory()
    m = block[B_OUTPUTS]
    if m == 1:
        return outputs[0]
    result = as_tuple(outputs, m)
    for k in range(m):
        Py_DecRef(outputs[k])
    if block[B_FINISH] != 0:
        finished = PyObject_Call(ptr(block[B_FINISH]), result, None)
        Py_DecRef(result)
        return finished
    return result
