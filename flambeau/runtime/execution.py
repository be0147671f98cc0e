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
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    unlikely,
    void,
)  # fmt: skip
from flambeau.core.graph_errors import BY_INFERENCE, BY_NO_GRAD, BY_VIEW
from flambeau.runtime.memory import (
    DATA,
    EPOCH,
    FLAG_INFERENCE,
    FLAGS,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    new_storage,
)  # fmt: skip
from flambeau.runtime.objects import (
    FAIL,
    LEAF_TYPE,
    NODE_HOOKS,
    NONE,
    SLOT_BASE,
    SLOT_MADE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_STORAGE,
    TAPE,
    TRACER,
    TRUE,
    ZERO,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    set_slot,
    slot,
    type_of,
    world,
)  # fmt: skip
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
    KIND_KERNEL,
    KIND_VIEW,
    MAX_BUFFERS,
    MAX_INPUTS,
    MAX_OUTPUTS,
    NUMBER_BOOL,
    NUMBER_FLOAT,
    NUMBER_INT,
)  # fmt: skip
from flambeau.runtime.records import (
    PyObject_Call,
    PyTuple_New,
    PyTuple_SetItem,
    new_result,
    new_tensor,
    node_of,
    record,
    save_mask,
)  # fmt: skip
from flambeau.runtime.thread_modes import INFERENCE, NO_GRAD, TRACE
from flambeau.runtime.threads import parallel_for

PyFloat_AsDouble = Extern("PyFloat_AsDouble", f64, ptr)
PyComplex_RealAsDouble = Extern("PyComplex_RealAsDouble", f64, ptr)
PyComplex_ImagAsDouble = Extern("PyComplex_ImagAsDouble", f64, ptr)
PyEval_SaveThread = Extern("PyEval_SaveThread", ptr)
PyEval_RestoreThread = Extern("PyEval_RestoreThread", void, ptr)
Kernel = Signature(void, ptr, ptr, i64, i64)
ODD = 1 << 62  # in the bits of inputs that need a gradient: one of them wants a closer look


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
def collect_inputs(block: i64p, operands: ptrp, inputs: ptrp, buffers: ptrp, numbers: i64p) -> i64:
    """Orders the operands as the plan wants them, finds their data;
    returns the bits of those that need a gradient, and ODD.
    """
    needs, odd = i64(0), i64(0)
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
            odd = odd | storage[EPOCH] | (storage[FLAGS] & FLAG_INFERENCE)
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
    return needs if odd == 0 else needs | ODD


@native
def is_for_python(block: i64p, inputs: ptrp, needs: i64, mode: i64) -> i64:
    """Whether a view among the inputs is older than its base's place in the graph, or an inference
    tensor stands where none may.
    """
    mask = save_mask(block, needs)
    for i in range(block[B_INPUTS]):
        if block[B_INPUT + 3 * i] >= 0:
            x = inputs[i]
            storage: i64p = slot(x, world[SLOT_STORAGE])
            if storage[EPOCH] != 0 and mode & NO_GRAD == 0 and block[B_DIFFERENTIABLE] != 0:
                if i64(slot(x, world[SLOT_BASE])) != world[NONE]:
                    made = slot(x, world[SLOT_MADE])
                    if made == None or as_integer(made) >> 3 != storage[EPOCH]:  # noqa: E711
                        return 1
            if storage[FLAGS] & FLAG_INFERENCE and mode & INFERENCE == 0:
                if (mask >> i) & 1 or i == block[B_INPLACE]:
                    return 1
    return 0


@native
def make_view(view: ptr, x: ptr, made: i64, mode: i64) -> void:
    """Makes a fresh tensor a view of x (or of what that is a view of); `_made` says how, when."""
    base, before = slot(x, world[SLOT_BASE]), slot(x, world[SLOT_MADE])
    how = i64p(slot(x, world[SLOT_STORAGE]))[EPOCH] * 8
    if i64(base) == world[NONE]:
        base = x
    elif before != None:  # noqa: E711
        how = as_integer(before)
    if how & 7 == BY_VIEW:
        if unlikely(mode & NO_GRAD):
            made = i64(BY_INFERENCE) if mode & INFERENCE else i64(BY_NO_GRAD)
        how = how | made
    if how != 0:
        set_slot(view, world[SLOT_MADE], PyLong_FromLongLong(how))
    Py_IncRef(base)
    Py_DecRef(slot(view, world[SLOT_BASE]))
    set_slot(view, world[SLOT_BASE], base)


@native
def view_of(block: i64p, x: ptr, moved_by: i64p, mode: i64) -> ptr:
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
    make_view(result, x, BY_VIEW, mode)
    return result


@native
def records_in_place(block: i64p, inputs: ptrp, needs: i64, target: ptr) -> i64:
    """Whether native code can record an in-place call: the target is no leaf, no view and has no
    hooks, and no gradient rule asks for the values that are about to go.
    """
    if needs == 0 or i64(slot(target, world[SLOT_BASE])) != world[NONE]:
        return 0
    node = node_of(slot(target, world[SLOT_NODE]))
    if node != None:  # noqa: E711
        if type_of(node) == world[LEAF_TYPE] or i64(slot(node, world[NODE_HOOKS])) != world[NONE]:
            return 0
    mask = save_mask(block, needs)
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
def may_write(block: i64p, inputs: ptrp, buffers: ptrp, needs: i64, mode: i64) -> i64:
    """Whether native code may write into the in-place operand: it can record the call if a graph
    is concerned, and no operand shares part of the memory.
    """
    target = inputs[block[B_INPLACE]]
    if mode & NO_GRAD == 0:
        made = slot(target, world[SLOT_MADE])
        if made != None and as_integer(made) & 7 != BY_VIEW:  # noqa: E711
            return 0
        if needs != 0 or i64(slot(target, world[SLOT_NODE])) != world[NONE]:
            if records_in_place(block, inputs, needs, target) == 0:
                return 0
    return 1 if shares_elements(block, inputs, buffers, target) == 0 else 0


@native
def write_target(
    block: i64p, inputs: ptrp, buffers: ptrp, outputs: ptrp, needs: i64, mode: i64
) -> i64:
    """An in-place call: the kernel writes into one of its inputs. 0 when it did not."""
    if may_write(block, inputs, buffers, needs, mode) == 0:
        return 0
    outputs[0] = inputs[block[B_INPLACE]]
    buffers[block[B_INPUTS]] = buffers[block[B_INPLACE]]
    if unlikely(world[TAPE] != 0):
        if tell(TAPE, block, inputs, outputs) == 0:  # before the operand changes
            return 0
    if block[B_KERNEL] != 0:
        if run_kernel(block, buffers) == 0:
            return 0
    written: i64p = slot(outputs[0], world[SLOT_STORAGE])
    written[VERSION] += 1
    if needs != 0:
        written[EPOCH] += 1
    Py_IncRef(outputs[0])
    return 1


@native
def tell(listener: i64, block: i64p, inputs: ptrp, outputs: ptrp) -> i64:
    """Tells a listener in Python of a plan: listener(plan, inputs, results). 0: failed."""
    arguments = PyTuple_New(3)
    Py_IncRef(ptr(block[B_PLAN]))
    PyTuple_SetItem(arguments, 0, ptr(block[B_PLAN]))
    PyTuple_SetItem(arguments, 1, as_tuple(inputs, block[B_INPUTS]))
    PyTuple_SetItem(arguments, 2, as_tuple(outputs, block[B_OUTPUTS]))
    answer = PyObject_Call(ptr(world[listener]), arguments, None)
    Py_DecRef(arguments)
    if answer == None:  # noqa: E711
        return 0
    Py_DecRef(answer)
    return 1


@native
def tell_all(block: i64p, inputs: ptrp, outputs: ptrp, mode: i64) -> i64:
    """Tells those who listen that a plan has run. 0: failed."""
    if mode & TRACE:
        if tell(TRACER, block, inputs, outputs) == 0:
            return 0
    if world[TAPE] != 0 and block[B_KIND] == KIND_KERNEL and block[B_INPLACE] < 0:
        return tell(TAPE, block, inputs, outputs)
    return 1


@native
def forget(items: ptrp, n: i64) -> void:
    for i in range(n):
        Py_DecRef(items[i])


@native
def compute(block: i64p, buffers: ptrp, outputs: ptrp, mode: i64) -> i64:
    """Makes the results and runs the kernel; 0 when that failed."""
    n, m = block[B_INPUTS], block[B_OUTPUTS]
    for k in range(m):
        outputs[k] = new_result(block, k, mode)
        if unlikely(outputs[k] == None):  # noqa: E711
            forget(outputs, k)
            return 0
        buffers[n + k] = ptr(i64p(slot(outputs[k], world[SLOT_STORAGE]))[DATA])
    if block[B_KERNEL] != 0:
        if run_kernel(block, buffers) == 0:
            forget(outputs, m)
            return 0
    return 1


@native
def execute(block: i64p, operands: ptrp, mode: i64) -> ptr:
    """Runs a plan of kind kernel or view.

    Returns null without an exception set when only Python can do it.
    """
    inputs, numbers = stack(ptr, MAX_INPUTS), stack(i64, 2 * MAX_INPUTS)
    buffers, outputs = stack(ptr, MAX_BUFFERS), stack(ptr, MAX_OUTPUTS)
    needs = collect_inputs(block, operands, inputs, buffers, numbers)
    if block[B_KIND] == KIND_INPUT:
        Py_IncRef(inputs[0])
        return inputs[0]
    odd = needs & ODD
    needs = needs & ~ODD
    if mode & (NO_GRAD | INFERENCE) or block[B_DIFFERENTIABLE] == 0:
        needs = 0
    if unlikely(odd != 0):
        if is_for_python(block, inputs, needs, mode):
            return None
    if block[B_KIND] == KIND_VIEW:
        outputs[0] = view_of(block, inputs[0], numbers + 2, mode)
        if outputs[0] == None:  # noqa: E711
            return None
    elif block[B_INPLACE] >= 0:
        if write_target(block, inputs, buffers, outputs, needs, mode) == 0:
            return None
    elif compute(block, buffers, outputs, mode) == 0:
        return None
    m = block[B_OUTPUTS]
    if needs != 0:
        if record(block, inputs, needs, outputs, mode) == 0:
            forget(outputs, m)
            return None
    if unlikely(mode & TRACE or world[TAPE] != 0):
        if tell_all(block, inputs, outputs, mode) == 0:
            forget(outputs, m)
            return None
    if m == 1:
        return outputs[0]
    result = as_tuple(outputs, m)
    forget(outputs, m)
    if block[B_FINISH] != 0:
        finished = PyObject_Call(ptr(block[B_FINISH]), result, None)
        Py_DecRef(result)
        return finished
    return result


@native
def is_unchanged(saved: ptr) -> i64:
    """Whether the saved tensors still have the versions that they were saved with."""
    for i in range(PyTuple_Size(saved) // 2):
        version = PyTuple_GetItem(saved, 2 * i + 1)
        if i64(version) != world[NONE]:
            storage: i64p = slot(PyTuple_GetItem(saved, 2 * i), world[SLOT_STORAGE])
            if storage[VERSION] != as_integer(version):
                return 0
    return 1


@native
def check_saved(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """check_saved(saved): whether nothing that a node saved was changed since."""
    return PyLong_FromLongLong(is_unchanged(args[0]))
