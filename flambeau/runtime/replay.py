"""Replays compiled functions in native code: checks the guards, finds the operands, runs the steps.

    replay(program, arguments, kept)    # a tensor, a tuple of them ..., or the object P_MISS

Called by compiler.compiled with the address of a program (runtime.replay_block). Nothing here looks
at ops: a step is a kernel with its buffers, or a call of Python for what has no kernel. Temporary
memory is one block, taken for the call and given back at its end, so that calls of several threads
and calls within calls do not meet.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    copy_memory,
    f64p,
    i32,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    void,
)  # fmt: skip
from flambeau.runtime.execution import PyFloat_AsDouble, run_kernel
from flambeau.runtime.memory import (
    DATA,
    FLAG_INFERENCE,
    FLAGS,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    borrow_storage,
    new_storage,
)  # fmt: skip
from flambeau.runtime.objects import (
    LEAF_GRAD,
    LEAF_TYPE,
    NODE_HOOKS,
    NONE,
    PARAMETER_TYPE,
    SLOT_BASE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_SPEC,
    SLOT_STORAGE,
    SPEC_ITEMSIZE,
    TENSOR_TYPE,
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
from flambeau.runtime.plan_block import MAX_BUFFERS
from flambeau.runtime.plan_table import PyList_GetItem, PyList_Size
from flambeau.runtime.records import (
    PyObject_Call,
    PyTuple_New,
    PyTuple_SetItem,
    new_tensor,
)  # fmt: skip
from flambeau.runtime.replay_block import (
    BASE_KEPT,
    BASE_TEMPORARY,
    BASE_ZERO,
    CALL_FOR_NUMBERS,
    CALL_FOR_TENSORS,
    EXTERNAL_WORDS,
    FIRST_BASE,
    FOUND_ARGUMENT,
    FOUND_GRADIENT,
    GUARD_ARGUMENT,
    GUARD_CELL,
    GUARD_ELEMENT,
    GUARD_ELEMENTS,
    GUARD_EQUAL,
    GUARD_ITEM,
    GUARD_LENGTH,
    GUARD_WORDS,
    KEEP_MADE,
    KEEP_NOTHING,
    KERNEL_ON_SLOTS,
    LEAF_WORDS,
    NO_GRADIENT,
    P_APART,
    P_APART_ROWS,
    P_ARGUMENTS,
    P_CONSTANT,
    P_EXTERNAL_ROWS,
    P_EXTERNALS,
    P_GUARD_ROWS,
    P_GUARDS,
    P_KEEP,
    P_KEPT,
    P_LEAF_ROWS,
    P_LEAVES,
    P_MISS,
    P_MODE,
    P_OUTPUT_ROWS,
    P_OUTPUTS,
    P_RESULT_ROWS,
    P_RESULTS,
    P_SHAPE,
    P_SLOT_ROWS,
    P_SLOTS,
    P_STEP_ROWS,
    P_STEPS,
    P_TEMPORARY,
    P_WRITTEN,
    P_WRITTEN_ROWS,
    RESULT_WORDS,
    RETURN_CONSTANT,
    RETURN_TENSOR,
    SLOT_WORDS,
    STANDS_ALONE,
    STANDS_AS_LEAF,
    STANDS_ON_OTHERS,
    WRITTEN_WORDS,
)  # fmt: skip
from flambeau.runtime.thread_modes import thread_mode

PyDict_GetItem = Extern("PyDict_GetItem", ptr, ptr, ptr)
PyDict_Size = Extern("PyDict_Size", i64, ptr)
PyObject_RichCompareBool = Extern("PyObject_RichCompareBool", i32, ptr, ptr, i32)
PY_EQ = 2
PyCell_Get = Extern("PyCell_Get", ptr, ptr)


# ---- guards --------------------------------------------------------------------------------------
@native
def standing(tensor: ptr) -> i64:
    """How a tensor stands in the graph: alone, as a leaf that needs a gradient, on others; more
    than these when its gradient is watched by hooks.
    """
    node = slot(tensor, world[SLOT_NODE])
    if i64(node) == world[NONE]:
        return STANDS_ALONE
    if type_of(node) == world[LEAF_TYPE]:
        if i64(slot(node, world[NODE_HOOKS])) != world[NONE]:
            return i64(slot(node, world[NODE_HOOKS]))
        return STANDS_AS_LEAF
    return STANDS_ON_OTHERS


@native
def holds(guard: i64p, args: ptr) -> i64:
    """Whether one guard holds."""
    kind, target, key = guard[0], ptr(guard[1]), ptr(guard[2])
    if kind == GUARD_ITEM:
        return 1 if i64(PyDict_GetItem(target, key)) == guard[3] else 0
    if kind == GUARD_LENGTH:
        return 1 if PyDict_Size(target) == guard[3] else 0
    if kind == GUARD_ELEMENT:
        return 1 if i64(PyList_GetItem(target, i64(key))) == guard[3] else 0
    if kind == GUARD_ELEMENTS:
        return 1 if PyList_Size(target) == guard[3] else 0
    if kind == GUARD_CELL:
        value = PyCell_Get(target)
        if value != None:  # noqa: E711
            Py_DecRef(value)
        return 1 if i64(value) == guard[3] else 0
    if kind == GUARD_ARGUMENT:
        return 1 if i64(PyTuple_GetItem(args, i64(key))) == guard[3] else 0
    if kind == GUARD_EQUAL:
        return 1 if PyObject_RichCompareBool(target, ptr(guard[3]), PY_EQ) == 1 else 0
    # a tensor's spec and standing
    if i64(slot(target, world[SLOT_SPEC])) != guard[2]:
        return 0
    return 1 if standing(target) == guard[3] else 0


@native
def find_external(row: i64p, args: ptr) -> ptr:
    """The tensor of a row, borrowed; null when it is not what the program was made for."""
    tensor = ptr(row[1])
    if row[0] == FOUND_ARGUMENT:
        tensor = PyTuple_GetItem(args, row[1])
        kind = type_of(tensor)
        if kind != world[TENSOR_TYPE] and kind != world[PARAMETER_TYPE]:
            return None
    elif row[0] == FOUND_GRADIENT:
        node = slot(tensor, world[SLOT_NODE])
        if i64(node) == world[NONE] or type_of(node) != world[LEAF_TYPE]:
            return None
        tensor = slot(node, world[LEAF_GRAD])
        if i64(tensor) == world[NONE]:
            return None
    if i64(slot(tensor, world[SLOT_SPEC])) != row[2] or standing(tensor) != row[3]:
        return None
    if i64p(slot(tensor, world[SLOT_STORAGE]))[FLAGS] & FLAG_INFERENCE:
        return None
    return tensor


@native
def first_byte(tensor: ptr) -> i64:
    """The address of a tensor's first element."""
    address = i64p(slot(tensor, world[SLOT_STORAGE]))[DATA]
    offset = slot(tensor, world[SLOT_OFFSET])
    if i64(offset) == world[ZERO]:
        return address
    return address + as_integer(offset) * as_integer(
        slot(slot(tensor, world[SLOT_SPEC]), world[SPEC_ITEMSIZE])
    )


@native
def fits(program: i64p, args: ptr, bases: i64p, tensors: ptrp) -> i64:
    """Whether the program is right for this call; finds the externals on the way."""
    if thread_mode() != program[P_MODE] or PyTuple_Size(args) != program[P_ARGUMENTS]:
        return 0
    guard: i64p = ptr(program[P_GUARD_ROWS])
    for _ in range(program[P_GUARDS]):
        if holds(guard, args) == 0:
            return 0
        guard = guard + GUARD_WORDS
    row: i64p = ptr(program[P_EXTERNAL_ROWS])
    for i in range(program[P_EXTERNALS]):
        tensors[i] = find_external(row, args)
        if tensors[i] == None:  # noqa: E711
            return 0
        bases[FIRST_BASE + i] = first_byte(tensors[i])
        row = row + EXTERNAL_WORDS
    pair: i64p = ptr(program[P_APART_ROWS])
    for _ in range(program[P_APART]):
        first, second = (
            slot(tensors[pair[0]], world[SLOT_STORAGE]),
            slot(tensors[pair[1]], world[SLOT_STORAGE]),
        )
        if i64p(first)[DATA] == i64p(second)[DATA]:
            return 0
        pair = pair + 2
    return 1


# ---- steps ---------------------------------------------------------------------------------------
@native
def call_for_numbers(step: i64p, table: i64p) -> i64:
    """Writes the numbers that a Python function returns where kernels read them; 0 if it failed."""
    nothing = PyTuple_New(0)
    numbers = PyObject_Call(ptr(step[1]), nothing, None)
    Py_DecRef(nothing)
    if numbers == None:  # noqa: E711
        return 0
    for i in range(step[2]):
        cell: f64p = ptr(table[step[3 + i]])
        cell[0] = PyFloat_AsDouble(PyTuple_GetItem(numbers, i))
    Py_DecRef(numbers)
    return 1


@native
def call_for_tensors(step: i64p, table: i64p) -> i64:
    """Calls a Python function on tensors over the slots' memory and puts what it returns into
    slots; 0 if it failed.
    """
    count = step[2]
    operands = PyTuple_New(count)
    row = step + 3
    for i in range(count):
        storage = borrow_storage(table[row[0]], row[2], ptr(world[NONE]), 0)
        PyTuple_SetItem(operands, i, new_tensor(storage, ptr(row[1]), ptr(world[ZERO])))
        row = row + 3
    found = PyObject_Call(ptr(step[1]), operands, None)
    Py_DecRef(operands)
    if found == None:  # noqa: E711
        return 0
    results = row[0]
    row = row + 1
    for i in range(results):
        tensor = PyTuple_GetItem(found, i)
        copy_memory(ptr(table[row[0]]), ptr(first_byte(tensor)), row[1])
        row = row + 2
    Py_DecRef(found)
    return 1


@native
def replay_steps(program: i64p, table: i64p) -> i64:
    """Runs the steps in order; 0 with an exception set when one failed."""
    buffers = stack(ptr, MAX_BUFFERS)
    step: i64p = ptr(program[P_STEP_ROWS])
    for _ in range(program[P_STEPS]):
        if step[0] == CALL_FOR_NUMBERS:
            if call_for_numbers(step, table) == 0:
                return 0
            step = step + 3 + step[2]
        elif step[0] == CALL_FOR_TENSORS:
            if call_for_tensors(step, table) == 0:
                return 0
            step = step + 3 + 3 * step[2]
            step = step + 1 + 2 * step[0]
        elif step[0] == KERNEL_ON_SLOTS:
            if run_kernel(ptr(step[1]), table) == 0:
                return 0
            step = step + 2
        else:
            for i in range(step[1]):
                buffers[i] = ptr(table[step[2 + i]])
            if run_kernel(ptr(step[0]), buffers) == 0:
                return 0
            step = step + 2 + step[1]
    return 1


# ---- what the call leaves behind -----------------------------------------------------------------
@native
def set_gradient(leaf: ptr, gradient: ptr) -> void:
    """leaf.grad = gradient; takes over the reference."""
    node = slot(leaf, world[SLOT_NODE])
    before = slot(node, world[LEAF_GRAD])
    set_slot(node, world[LEAF_GRAD], gradient)
    Py_DecRef(before)


@native
def drop_gradients(program: i64p) -> void:
    """Lets go of the gradients that this call replaces, so that their memory is used again."""
    row: i64p = ptr(program[P_LEAF_ROWS])
    for _ in range(program[P_LEAVES]):
        Py_IncRef(ptr(world[NONE]))
        set_gradient(ptr(row[0]), ptr(world[NONE]))
        row = row + LEAF_WORDS


@native
def tensor_over(storage: ptr, spec: i64, offset: i64) -> ptr:
    Py_IncRef(storage)
    return new_tensor(storage, ptr(spec), ptr(offset))


@native
def leave_gradients(program: i64p, storages: ptrp) -> void:
    row: i64p = ptr(program[P_LEAF_ROWS])
    for _ in range(program[P_LEAVES]):
        if row[1] != NO_GRADIENT:
            set_gradient(ptr(row[0]), tensor_over(storages[row[1]], row[2], row[3]))
        row = row + LEAF_WORDS


@native
def window_on(tensor: ptr, row: i64p) -> ptr:
    """A result that shares the memory of a tensor from outside."""
    moved = PyLong_FromLongLong(as_integer(slot(tensor, world[SLOT_OFFSET])) + row[2])
    result = tensor_over(slot(tensor, world[SLOT_STORAGE]), row[1], i64(moved))
    Py_DecRef(moved)
    if row[4]:
        base = slot(tensor, world[SLOT_BASE])
        if i64(base) == world[NONE]:
            base = tensor
        Py_IncRef(base)
        Py_DecRef(slot(result, world[SLOT_BASE]))
        set_slot(result, world[SLOT_BASE], base)
    return result


@native
def make_result(row: i64p, storages: ptrp, tensors: ptrp) -> ptr:
    result: ptr = None
    if row[0] < 0:
        result = window_on(tensors[-1 - row[0]], row)
    else:
        result = tensor_over(storages[row[0]], row[1], row[2])
    if row[3] != 0:
        Py_IncRef(ptr(row[3]))
        Py_DecRef(slot(result, world[SLOT_NODE]))
        set_slot(result, world[SLOT_NODE], ptr(row[3]))
    return result


@native
def make_results(program: i64p, storages: ptrp, tensors: ptrp, kept: ptr) -> ptr:
    """What the call returns."""
    row: i64p = ptr(program[P_RESULT_ROWS])
    if program[P_SHAPE] == RETURN_CONSTANT:
        Py_IncRef(ptr(program[P_CONSTANT]))
        return ptr(program[P_CONSTANT])
    if program[P_SHAPE] == RETURN_TENSOR:
        return make_result(row, storages, tensors)
    extra = i64(1) if program[P_KEEP] == KEEP_MADE else i64(0)
    results = PyTuple_New(program[P_RESULTS] + extra)
    for i in range(program[P_RESULTS]):
        PyTuple_SetItem(results, i, make_result(row, storages, tensors))
        row = row + RESULT_WORDS
    if extra:
        Py_IncRef(kept)
        PyTuple_SetItem(results, program[P_RESULTS], kept)
    return results


@native
def count_writes(program: i64p, tensors: ptrp) -> void:
    row: i64p = ptr(program[P_WRITTEN_ROWS])
    for _ in range(program[P_WRITTEN]):
        written: i64p = slot(tensors[row[0]], world[SLOT_STORAGE])
        written[VERSION] += row[1]
        row = row + WRITTEN_WORDS


@native
def release(items: ptrp, count: i64) -> void:
    for i in range(count):
        if items[i] != None:  # noqa: E711
            Py_DecRef(items[i])


@native
def fill_table(program: i64p, bases: i64p, table: i64p) -> void:
    """The address of every slot."""
    row: i64p = ptr(program[P_SLOT_ROWS])
    for i in range(program[P_SLOTS]):
        table[i] = bases[row[0]] + row[1]
        row = row + SLOT_WORDS


@native
def run_recording(program: i64p, bases: i64p, tensors: ptrp, kept: ptr) -> ptr:
    """Runs a program whose guards hold and whose externals were found; `bases` begins the block
    of temporary memory.
    """
    externals, outputs = program[P_EXTERNALS], program[P_OUTPUTS]
    table = bases + FIRST_BASE + externals + outputs
    storages: ptrp = table + program[P_SLOTS]
    rows: i64p = ptr(program[P_OUTPUT_ROWS])
    for i in range(externals):
        Py_IncRef(tensors[i])
    drop_gradients(program)
    result: ptr = None
    made = i64(0)
    while made < outputs:
        storage = new_storage(rows[made])
        if storage == None:  # noqa: E711
            break
        storages[made] = storage
        bases[FIRST_BASE + externals + made] = storage[DATA]
        made += 1
    if made == outputs:
        fill_table(program, bases, table)
        if replay_steps(program, table):
            leave_gradients(program, storages)
            count_writes(program, tensors)
            result = make_results(program, storages, tensors, kept)
    release(storages, made)
    release(tensors, externals)
    return result


@native
def replay(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """replay(program, arguments, kept)"""
    program: i64p = ptr(as_integer(args[0]))
    block = new_storage(program[P_TEMPORARY])
    if block == None:  # noqa: E711
        return None
    bases: i64p = ptr(block[DATA])
    # the tensors' place is behind bases, table and storages
    tensors: ptrp = (
        bases + FIRST_BASE + program[P_EXTERNALS] + 2 * program[P_OUTPUTS] + program[P_SLOTS]
    )
    result: ptr = None
    if fits(program, args[1], bases, tensors):
        bases[BASE_ZERO] = 0
        bases[BASE_TEMPORARY] = i64(bases)
        kept: i64p = args[2]
        if program[P_KEEP] == KEEP_MADE:
            kept = new_storage(program[P_KEPT])
        if kept != None:  # noqa: E711
            if program[P_KEEP] != KEEP_NOTHING:
                bases[BASE_KEPT] = kept[DATA]
            result = run_recording(program, bases, tensors, kept)
            if program[P_KEEP] == KEEP_MADE:
                Py_DecRef(kept)
    else:
        Py_IncRef(ptr(program[P_MISS]))
        result = ptr(program[P_MISS])
    Py_DecRef(block)
    return result


@native
def failing_guard(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """failing_guard(program, arguments): number of the first guard that does not hold, or -1."""
    program: i64p = ptr(as_integer(args[0]))
    if PyTuple_Size(args[1]) != program[P_ARGUMENTS]:
        return PyLong_FromLongLong(-1)
    guard: i64p = ptr(program[P_GUARD_ROWS])
    for i in range(program[P_GUARDS]):
        if holds(guard, args[1]) == 0:
            return PyLong_FromLongLong(i)
        guard = guard + GUARD_WORDS
    return PyLong_FromLongLong(-1)
