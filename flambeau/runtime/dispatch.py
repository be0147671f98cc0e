"""The hot path: from a Python call such as `a + b` to a kernel and back, in native code (see
codegen.native).

Every op has a number. Python sees it as builtin functions and methods (made by runtime.native)
whose native side is `call_function` or a `method_N` stub; both end in `dispatch`:

1. The arguments are flattened into a key of machine words: the op, the identity of each tensor's
   interned spec, the values of ints, slices and flags. Arguments of other kinds (subclasses of
   Tensor, NumPy arrays ...) go to Python: `fallback`.
2. The key is looked up in the plan table. Unknown: Python's `miss(op, args, kwargs)` applies the
   op's full rule (checks, broadcasting, promotion, choice of kernel) and returns a Plan, which is
   kept under this key.
3. `execute` runs the plan's block of words: allocate the results, call the kernel on the data
   pointers, wrap the results.
4. Where an operand needs a gradient, `record` makes the graph node: the plan, the edges, and just
   the operands that the gradient rule names.

So a call of ten floats takes about 150 ns, and everything that is not yet known, and every error,
is ordinary Python.
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Signature,
    Static,
    bitcast,
    copy_memory,
    f64,
    i8,
    i32,
    i64,
    i64p,
    native,
    pointer,
    ptr,
    ptrp,
    stack,
    unlikely,
    void,
)
from flambeau.runtime.indexing import add_index
from flambeau.runtime.memory import (
    DATA,
    FLAG_META,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    PyErr_NoMemory,
    borrow_storage,
    new_storage,
)
from flambeau.runtime.objects import (
    EDGE_INDEX,
    EDGE_NODE,
    EDGE_TYPE,
    FAIL,
    FALLBACK,
    MISS,
    MODE_THREADS,
    NODE_EDGES,
    NODE_EXTRA,
    NODE_HOOKS,
    NODE_PLAN,
    NODE_SAVED,
    NODE_TYPE,
    NONE,
    PARAMETER_TYPE,
    PLAN_BLOCK,
    PLAN_TYPE,
    REVISE,
    SLOT_BASE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_SPEC,
    SLOT_STORAGE,
    TENSOR_TYPE,
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
)
from flambeau.runtime.plan_table import (
    MAX_KEY,
    MAX_OPERANDS,
    add_argument,
    find_plan,
    hash_key,
    remember_plan,
)
from flambeau.runtime.threads import parallel_for

i8p = pointer(i8)
PyTuple_New = Extern("PyTuple_New", ptr, i64)
PyTuple_SetItem = Extern("PyTuple_SetItem", i32, ptr, i64, ptr)
PyList_GetItem = Extern("PyList_GetItem", ptr, ptr, i64)
PyList_Size = Extern("PyList_Size", i64, ptr)
PyDict_New = Extern("PyDict_New", ptr)
PyDict_SetItem = Extern("PyDict_SetItem", i32, ptr, ptr, ptr)
PyFloat_AsDouble = Extern("PyFloat_AsDouble", f64, ptr)
PyComplex_RealAsDouble = Extern("PyComplex_RealAsDouble", f64, ptr)
PyComplex_ImagAsDouble = Extern("PyComplex_ImagAsDouble", f64, ptr)
PyObject_Call = Extern("PyObject_Call", ptr, ptr, ptr, ptr)
PyType_GenericAlloc = Extern("PyType_GenericAlloc", ptr, ptr, i64)
PyEval_SaveThread = Extern("PyEval_SaveThread", ptr)
PyEval_RestoreThread = Extern("PyEval_RestoreThread", void, ptr)
PyThread_get_thread_ident = Extern("PyThread_get_thread_ident", i64)
Kernel = Signature(void, ptr, ptr, i64, i64)

op_flags = Static("op_flags", i64, 2048)
# added to the op's number for Python: the first argument stood before the dot
METHOD_CALL = 1 << 16
TAKES_INDEX = 2  # flag of the op behind x[...]: see runtime.indexing

# thread modes: threads whose mode is not the default, as (thread identity, mode bits)
MAX_THREADS = 64
mode_table = Static("mode_table", i64, 2 * MAX_THREADS)
NO_GRAD, INFERENCE, PYTHON_ONLY = 1, 2, 4

# words of a plan's block
(
    B_KIND, B_KERNEL, B_PARAMS, B_ITEMS, B_GRAIN, B_INPUTS, B_OUTPUTS, B_PLAN, B_DIFFERENTIABLE,
    B_DELTA, B_INPLACE, B_CAN_FAIL, B_RUN, B_SCRATCH, B_FINISH, B_RELEASE,
) = range(16)  # fmt: skip
# second kernel of a split reduction, from the scratch memory to the results
B_THEN, B_THEN_PARAMS, B_THEN_ITEMS = 16, 17, 18
# two words for each of up to 8 results; three for each input, as many as there are
B_OUTPUT, B_INPUT = 20, 36
KIND_KERNEL, KIND_VIEW, KIND_PYTHON, KIND_INPUT = 1, 2, 3, 4
MAX_INPUTS, MAX_OUTPUTS = 56, 8
MAX_BUFFERS = MAX_INPUTS + MAX_OUTPUTS + 2  # and the scratch memory and the error flag
SAVE_OUTPUT = 56  # in a save mask: bit 56 + k stands for output k
# in place of an item size: how a Python number is passed
NUMBER_FLOAT, NUMBER_INT, NUMBER_BOOL, NUMBER_COMPLEX = -1, -2, -3, -4


@native
def thread_mode() -> i64:
    """Mode bits of the calling thread; no thread has any, nearly always."""
    if world[MODE_THREADS] == 0:
        return 0
    me = PyThread_get_thread_ident()
    for i in range(MAX_THREADS):
        if mode_table[2 * i] == me and mode_table[2 * i + 1] != 0:
            return mode_table[2 * i + 1]
    return 0


@native
def set_thread_mode(mode: i64) -> i64:
    """Sets the calling thread's mode, returns the one before; -1 when too many threads have one."""
    me = PyThread_get_thread_ident()
    place = i64(-1)
    for i in range(MAX_THREADS):
        if mode_table[2 * i + 1] != 0:
            if mode_table[2 * i] == me:
                before = mode_table[2 * i + 1]
                mode_table[2 * i + 1] = mode
                if mode == 0:
                    world[MODE_THREADS] -= 1
                return before
        elif place < 0:
            place = i
    if mode != 0:
        if place < 0:
            return -1
        mode_table[2 * place] = me
        mode_table[2 * place + 1] = mode
        world[MODE_THREADS] += 1
    return 0


# ---- 3. running a plan ---------------------------------------------------------------------------


@native
def new_tensor(storage: ptr, spec: ptr, offset: ptr) -> ptr:
    """A Tensor of the plain class; takes over the reference to `storage`, borrows the others."""
    tensor = PyType_GenericAlloc(ptr(world[TENSOR_TYPE]), 0)
    if unlikely(tensor == None):  # noqa: E711
        Py_DecRef(storage)
        return None
    Py_IncRef(spec)
    Py_IncRef(offset)
    Py_IncRef(ptr(world[NONE]))
    set_slot(tensor, world[SLOT_STORAGE], storage)
    set_slot(tensor, world[SLOT_SPEC], spec)
    set_slot(tensor, world[SLOT_OFFSET], offset)
    set_slot(tensor, world[SLOT_NODE], ptr(world[NONE]))
    Py_IncRef(ptr(world[NONE]))
    set_slot(tensor, world[SLOT_BASE], ptr(world[NONE]))
    return tensor


@native
def new_result(block: i64p, index: i64) -> ptr:
    spec, nbytes = ptr(block[B_OUTPUT + 2 * index]), block[B_OUTPUT + 2 * index + 1]
    storage: ptr = None
    if block[B_KIND] == KIND_KERNEL and block[B_KERNEL] == 0:
        storage = borrow_storage(0, nbytes, ptr(world[NONE]), FLAG_META)
    else:
        storage = new_storage(nbytes)
    if storage == None:  # noqa: E711
        return None
    return new_tensor(storage, spec, ptr(world[ZERO]))


@native
def save(saved: ptr, place: i64, tensor: ptr) -> void:
    """Puts a tensor and its storage's version into the tuple; steals the reference to `tensor`."""
    PyTuple_SetItem(saved, 2 * place, tensor)
    kind = type_of(tensor)
    if kind == world[TENSOR_TYPE] or kind == world[PARAMETER_TYPE]:
        PyTuple_SetItem(
            saved,
            2 * place + 1,
            PyLong_FromLongLong(i64p(slot(tensor, world[SLOT_STORAGE]))[VERSION]),
        )
    else:
        skip(saved, 2 * place + 1)


@native
def skip(into: ptr, place: i64) -> void:
    Py_IncRef(ptr(world[NONE]))
    PyTuple_SetItem(into, place, ptr(world[NONE]))


@native
def record(block: i64p, inputs: ptrp, needs: i64, outputs: ptrp) -> i64:
    """Makes the graph node of a call and hangs it on the results; 0 when memory is out."""
    n, m = block[B_INPUTS], block[B_OUTPUTS]
    edges, saved = PyTuple_New(n), PyTuple_New(2 * (n + m))
    node = PyType_GenericAlloc(ptr(world[NODE_TYPE]), 0)
    if unlikely(edges == None or saved == None or node == None):  # noqa: E711
        return 0
    mask = i64(0)
    for i in range(n):
        if (needs >> i) & 1:
            edge = slot(inputs[i], world[SLOT_NODE])
            Py_IncRef(edge)
            PyTuple_SetItem(edges, i, edge)
            mask = mask | block[B_INPUT + 3 * i + 1]
        else:
            skip(edges, i)
    for i in range(n):
        if (mask >> i) & 1:
            Py_IncRef(inputs[i])
            save(saved, i, inputs[i])
        else:
            skip(saved, 2 * i)
            skip(saved, 2 * i + 1)
    for k in range(m):
        # a twin without the node, else node and result would keep each other alive
        if (mask >> (SAVE_OUTPUT + k)) & 1:
            storage = slot(outputs[k], world[SLOT_STORAGE])
            Py_IncRef(storage)
            twin = new_tensor(
                storage, slot(outputs[k], world[SLOT_SPEC]), slot(outputs[k], world[SLOT_OFFSET])
            )
            if twin == None:  # noqa: E711
                return 0
            save(saved, n + k, twin)
        else:
            skip(saved, 2 * (n + k))
            skip(saved, 2 * (n + k) + 1)
    Py_IncRef(ptr(block[B_PLAN]))
    set_slot(node, world[NODE_PLAN], ptr(block[B_PLAN]))
    set_slot(node, world[NODE_EDGES], edges)
    set_slot(node, world[NODE_SAVED], saved)
    Py_IncRef(ptr(world[NONE]))
    set_slot(node, world[NODE_HOOKS], ptr(world[NONE]))
    Py_IncRef(ptr(world[NONE]))
    set_slot(node, world[NODE_EXTRA], ptr(world[NONE]))
    for k in range(m):
        if (block[B_DIFFERENTIABLE] >> k) & 1:
            hang = node
            if k == 0:
                Py_IncRef(node)
            else:
                hang = PyType_GenericAlloc(ptr(world[EDGE_TYPE]), 0)
                if hang == None:  # noqa: E711
                    return 0
                Py_IncRef(node)
                set_slot(hang, world[EDGE_NODE], node)
                set_slot(hang, world[EDGE_INDEX], PyLong_FromLongLong(k))
            Py_DecRef(slot(outputs[k], world[SLOT_NODE]))
            set_slot(outputs[k], world[SLOT_NODE], hang)
    Py_DecRef(node)
    return 1


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
def execute(block: i64p, operands: ptrp, mode: i64) -> ptr:
    """Runs a plan of kind kernel or view.

    Returns null without an exception set when only Python can do it.
    """
    inputs, buffers, numbers = (
        stack(ptr, MAX_INPUTS),
        stack(ptr, MAX_BUFFERS),
        stack(i64, 2 * MAX_INPUTS),
    )
    outputs = stack(ptr, 8)
    needs = collect_inputs(block, operands, inputs, buffers, numbers)
    if block[B_KIND] == KIND_INPUT:
        Py_IncRef(inputs[0])
        return inputs[0]
    if mode & NO_GRAD or block[B_DIFFERENTIABLE] == 0:
        needs = 0
    n, m = block[B_INPUTS], block[B_OUTPUTS]
    if block[B_KIND] == KIND_VIEW:
        x = inputs[0]
        storage = slot(x, world[SLOT_STORAGE])
        offset = slot(x, world[SLOT_OFFSET])
        Py_IncRef(storage)
        delta = block[B_DELTA]
        if n > 1:
            delta += numbers[2]
        if delta == 0:
            outputs[0] = new_tensor(storage, ptr(block[B_OUTPUT]), offset)
        else:
            moved = PyLong_FromLongLong(as_integer(offset) + delta)
            outputs[0] = new_tensor(storage, ptr(block[B_OUTPUT]), moved)
            Py_DecRef(moved)
        if outputs[0] == None:  # noqa: E711
            return None
        base = slot(x, world[SLOT_BASE])
        if i64(base) == world[NONE]:
            base = x
        Py_IncRef(base)
        set_slot(outputs[0], world[SLOT_BASE], base)
        Py_DecRef(ptr(world[NONE]))
    elif block[B_INPLACE] >= 0:
        target = inputs[block[B_INPLACE]]
        written: i64p = slot(target, world[SLOT_STORAGE])
        if needs != 0 or i64(slot(target, world[SLOT_NODE])) != world[NONE] and mode & NO_GRAD == 0:
            if records_in_place(block, inputs, needs, target) == 0:
                return None
        # another window that might share elements: Python decides what is allowed
        begin = buffers[block[B_INPLACE]]
        extents = block + B_INPUT + 3 * n
        for i in range(n):
            if inputs[i] != target and block[B_INPUT + 3 * i] >= 0:
                if slot(inputs[i], world[SLOT_STORAGE]) == ptr(written) and buffers[i] != begin:
                    if (
                        buffers[i] < begin + extents[block[B_INPLACE]]
                        and begin < buffers[i] + extents[i]
                    ):
                        return None
        buffers[n] = buffers[block[B_INPLACE]]
        if block[B_KERNEL] != 0:
            if run_kernel(block, buffers) == 0:
                return None
        written[VERSION] += 1
        outputs[0] = target
        if needs != 0:
            if record(block, inputs, needs, outputs) == 0:
                return PyErr_NoMemory()
        Py_IncRef(target)
        return target
    else:
        for k in range(m):
            outputs[k] = new_result(block, k)
            if unlikely(outputs[k] == None):  # noqa: E711
                for j in range(k):
                    Py_DecRef(outputs[j])
                return None
            buffers[n + k] = ptr(i64p(slot(outputs[k], world[SLOT_STORAGE]))[DATA])
        if block[B_KERNEL] != 0:
            if run_kernel(block, buffers) == 0:
                for k in range(m):
                    Py_DecRef(outputs[k])
                return None
    if needs != 0:
        if record(block, inputs, needs, outputs) == 0:
            return PyErr_NoMemory()
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


# ---- 2. and 4. the call --------------------------------------------------------------------------


@native
def call_python(function: ptr, op: i64, self: ptr, args: ptrp, nargs: i64, names: ptr) -> ptr:
    """function(op, args, kwargs)"""
    extra = i64(0) if self == None else i64(1)  # noqa: E711
    positional = PyTuple_New(nargs + extra)
    if extra:
        Py_IncRef(self)
        PyTuple_SetItem(positional, 0, self)
    for i in range(nargs):
        Py_IncRef(args[i])
        PyTuple_SetItem(positional, i + extra, args[i])
    named = PyDict_New()
    if names != None:  # noqa: E711
        for i in range(PyTuple_Size(names)):
            PyDict_SetItem(named, PyTuple_GetItem(names, i), args[nargs + i])
    arguments = PyTuple_New(3)
    PyTuple_SetItem(arguments, 0, PyLong_FromLongLong(op + extra * METHOD_CALL))
    PyTuple_SetItem(arguments, 1, positional)
    PyTuple_SetItem(arguments, 2, named)
    result = PyObject_Call(function, arguments, None)
    Py_DecRef(arguments)
    return result


@native
def revise(plan: ptr, block: i64p, operands: ptrp) -> ptr:
    """revise(plan, *inputs): in-place work that only Python can do."""
    n = block[B_INPUTS]
    arguments = PyTuple_New(n + 1)
    Py_IncRef(plan)
    PyTuple_SetItem(arguments, 0, plan)
    for i in range(n):
        x = operands[block[B_INPUT + 3 * i + 2]]
        Py_IncRef(x)
        PyTuple_SetItem(arguments, i + 1, x)
    result = PyObject_Call(ptr(world[REVISE]), arguments, None)
    Py_DecRef(arguments)
    return result


@native
def run_python_plan(block: i64p, operands: ptrp) -> ptr:
    inputs = stack(ptr, MAX_INPUTS)
    for i in range(block[B_INPUTS]):
        inputs[i] = operands[block[B_INPUT + 3 * i + 2]]
    arguments = as_tuple(inputs, block[B_INPUTS])
    result = PyObject_Call(ptr(block[B_RUN]), arguments, None)
    Py_DecRef(arguments)
    return result


@native
def take_window(
    op: i64, self: ptr, args: ptrp, key: i64p, counts: i64p, moved: i64p, mode: i64
) -> ptr:
    """x[...] with an index of ints, slices, None and Ellipsis:
    the offsets are operands of the plan.
    """
    operands = stack(ptr, MAX_OPERANDS)
    hashed = hash_key(key, counts[0])
    entry = find_plan(key, counts[0], hashed)
    plan: ptr = None
    if entry != None:  # noqa: E711
        plan = ptr(entry[0])
        Py_IncRef(plan)
    else:
        plan = call_python(ptr(world[MISS]), op, self, args, 1, None)
        if plan == None or type_of(plan) != world[PLAN_TYPE]:  # noqa: E711
            return plan
        remember_plan(key, counts[0], hashed, plan)
    operands[0] = self
    operands[1], operands[2] = PyLong_FromLongLong(moved[0]), PyLong_FromLongLong(moved[1])
    result = execute(ptr(as_integer(slot(plan, world[PLAN_BLOCK]))), operands, mode)
    Py_DecRef(operands[1])
    Py_DecRef(operands[2])
    Py_DecRef(plan)
    return result


@native
def dispatch(op: i64, self: ptr, args: ptrp, nargs: i64, names: ptr) -> ptr:
    key, operands, counts = stack(i64, MAX_KEY), stack(ptr, MAX_OPERANDS), stack(i64, 2)
    mode = thread_mode()
    if mode & PYTHON_ONLY:
        return call_python(ptr(world[FALLBACK]), op, self, args, nargs, names)
    flags = op_flags[op]
    key[0] = op
    key[1] = 0
    if flags & TAKES_INDEX:
        moved = stack(i64, 2)
        if nargs == 1 and self != None and names == None:  # noqa: E711
            if add_index(self, args[0], key, counts, moved):
                return take_window(op, self, args, key, counts, moved, mode)
    counts[0], counts[1] = 2, 0
    if names != None:  # noqa: E711
        key[1] = PyTuple_Size(names)  # the tuple itself is another one at every f(**options)
        for i in range(key[1]):
            key[2 + i] = i64(PyTuple_GetItem(names, i))
        counts[0] += key[1]
    known = i64(1)
    if self != None:  # noqa: E711
        known = add_argument(self, key, operands, counts, flags, 0)
    total = nargs
    if names != None:  # noqa: E711
        total += PyTuple_Size(names)
    for i in range(total):
        if known == 0:
            break
        known = add_argument(args[i], key, operands, counts, flags, 0)
    if known == 0:
        return call_python(ptr(world[FALLBACK]), op, self, args, nargs, names)
    hashed = hash_key(key, counts[0])
    entry = find_plan(key, counts[0], hashed)
    plan: ptr = None
    block: i64p = None
    if entry != None:  # noqa: E711
        plan = ptr(entry[0])
        block = ptr(entry[1])
        Py_IncRef(plan)
    else:
        plan = call_python(ptr(world[MISS]), op, self, args, nargs, names)
        if plan == None or type_of(plan) != world[PLAN_TYPE]:  # noqa: E711
            return plan  # an error, or the result itself of an op that has no plan
        block = ptr(as_integer(slot(plan, world[PLAN_BLOCK])))
        if names != None:  # noqa: E711
            Py_IncRef(names)  # the addresses of its strings are in the key: they must stay
        remember_plan(key, counts[0], hashed, plan)
    result: ptr = None
    if block[B_KIND] == KIND_VIEW and block[B_INPUTS] > counts[1]:
        result = call_python(ptr(world[FALLBACK]), op, self, args, nargs, names)
    elif block[B_KIND] == KIND_PYTHON:
        result = run_python_plan(block, operands)
    else:
        result = execute(block, operands, mode)
        if result == None:  # noqa: E711
            if PyErr_Occurred() == None:  # noqa: E711
                if block[B_INPLACE] >= 0:
                    result = revise(plan, block, operands)
                else:
                    result = call_python(ptr(world[FALLBACK]), op, self, args, nargs, names)
    Py_DecRef(plan)
    return result


PyErr_Occurred = Extern("PyErr_Occurred", ptr)


@native
def call_function(self: ptr, args: ptrp, nargs: i64, names: ptr) -> ptr:
    """The native side of `flambeau.NAME`: `self` is the op's number."""
    return dispatch(as_integer(self), None, args, nargs, names)


@native
def execute_plan(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """execute_plan(plan, *inputs): runs a plan on inputs in the plan's own order,
    for callers in Python.
    """
    block: i64p = ptr(as_integer(slot(args[0], world[PLAN_BLOCK])))
    operands, places = stack(ptr, MAX_OPERANDS), stack(i64, 1)
    for i in range(nargs - 1):
        operands[block[B_INPUT + 3 * i + 2]] = args[i + 1]
    places[0] = 0
    result = execute(block, operands, thread_mode())
    if result == None:  # noqa: E711
        if PyErr_Occurred() == None:  # noqa: E711
            Py_IncRef(ptr(world[NONE]))
            return ptr(world[NONE])
    return result


@native
def get_mode(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return PyLong_FromLongLong(thread_mode())


@native
def set_mode(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return PyLong_FromLongLong(set_thread_mode(as_integer(args[0])))


@native
def make_storage(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return new_storage(as_integer(args[0]))


@native
def make_borrowed(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return borrow_storage(as_integer(args[0]), as_integer(args[1]), args[2], as_integer(args[3]))


@native
def make_windows(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """make_windows(tensor, specs, moves): several views at distances `moves` from its first element."""
    x, specs, moves = args[0], args[1], args[2]
    count = PyTuple_Size(specs)
    result = PyTuple_New(count)
    storage, base = slot(x, world[SLOT_STORAGE]), slot(x, world[SLOT_BASE])
    start = as_integer(slot(x, world[SLOT_OFFSET]))
    if i64(base) == world[NONE]:
        base = x
    for i in range(count):
        offset = PyLong_FromLongLong(start + as_integer(PyTuple_GetItem(moves, i)))
        Py_IncRef(storage)
        window = new_tensor(storage, PyTuple_GetItem(specs, i), offset)
        Py_DecRef(offset)
        if window == None:  # noqa: E711
            Py_DecRef(result)
            return None
        Py_IncRef(base)
        set_slot(window, world[SLOT_BASE], base)
        Py_DecRef(ptr(world[NONE]))
        PyTuple_SetItem(result, i, window)
    return result


@native
def make_tensor(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """make_tensor(storage, spec, offset)"""
    Py_IncRef(args[0])
    return new_tensor(args[0], args[1], args[2])


@native
def op_flag_words() -> i64:
    return i64(op_flags)
