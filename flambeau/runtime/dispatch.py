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
3. `execute` (runtime.execution) runs the plan's block of words: allocate the results, call the
   kernel on the data pointers, wrap the results.
4. Where an operand needs a gradient, `record` (runtime.records) makes the graph node: the plan,
   the edges, and just the operands that the gradient rule names. What touches a graph in other ways
   (in-place work on views, views of a base that was changed) goes to Python: `revise`.

So a call of ten floats takes about 150 ns, and everything that is not yet known, and every error,
is ordinary Python.
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, Static, i64, i64p, native, ptr, ptrp, stack, unlikely
from flambeau.core.graph_errors import BY_SPLIT
from flambeau.runtime.execution import as_tuple, execute, make_view
from flambeau.runtime.indexing import add_index
from flambeau.runtime.memory import (
    FLAG_INFERENCE,
    FLAGS,
    Py_DecRef,
    Py_IncRef,
    borrow_storage,
    new_storage,
)  # fmt: skip
from flambeau.runtime.objects import (
    FALLBACK,
    MISS,
    PLAN_BLOCK,
    PLAN_TYPE,
    REVISE,
    SLOT_OFFSET,
    SLOT_STORAGE,
    TAPE,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    slot,
    type_of,
    world,
)  # fmt: skip
from flambeau.runtime.plan_block import (
    B_INPUT,
    B_INPUTS,
    B_KIND,
    B_PLAN,
    B_RUN,
    KIND_PYTHON,
    KIND_VIEW,
    MAX_INPUTS,
)  # fmt: skip
from flambeau.runtime.plan_table import (
    MAX_KEY,
    MAX_OPERANDS,
    add_argument,
    find_plan,
    hash_key,
    remember_plan,
)  # fmt: skip
from flambeau.runtime.records import (
    PyDict_New,
    PyDict_SetItem,
    PyObject_Call,
    PyTuple_New,
    PyTuple_SetItem,
    new_tensor,
    none,
)  # fmt: skip
from flambeau.runtime.thread_modes import AUTOCAST, INFERENCE, thread_mode

PyErr_Occurred = Extern("PyErr_Occurred", ptr)
op_flags = Static("op_flags", i64, 2048)
# added to the op's number for Python: the first argument stood before the dot
METHOD_CALL = 1 << 16
TAKES_INDEX = 2  # flag of the op behind x[...]: see runtime.indexing
CASTS = 4  # flag of the ops that autocast concerns: see ops.autocast


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
def run(block: i64p, operands: ptrp, mode: i64) -> ptr:
    """Runs a plan; what native code cannot decide goes to Python: revise(plan, *inputs)."""
    result = execute(block, operands, mode)
    if result != None or PyErr_Occurred() != None:  # noqa: E711
        return result
    n = block[B_INPUTS]
    arguments = PyTuple_New(n + 1)
    Py_IncRef(ptr(block[B_PLAN]))
    PyTuple_SetItem(arguments, 0, ptr(block[B_PLAN]))
    for i in range(n):
        x = operands[block[B_INPUT + 3 * i + 2]]
        Py_IncRef(x)
        PyTuple_SetItem(arguments, i + 1, x)
    result = PyObject_Call(ptr(world[REVISE]), arguments, None)
    Py_DecRef(arguments)
    return result


@native
def ask_tape(block: i64p, inputs: ptr) -> ptr:
    """Lets the tape that records run a Python plan; takes over the inputs."""
    arguments = PyTuple_New(2)
    Py_IncRef(ptr(block[B_PLAN]))
    PyTuple_SetItem(arguments, 0, ptr(block[B_PLAN]))
    PyTuple_SetItem(arguments, 1, inputs)
    result = PyObject_Call(ptr(world[TAPE]), arguments, None)
    Py_DecRef(arguments)
    return result


@native
def run_python_plan(block: i64p, operands: ptrp) -> ptr:
    inputs = stack(ptr, MAX_INPUTS)
    for i in range(block[B_INPUTS]):
        inputs[i] = operands[block[B_INPUT + 3 * i + 2]]
    arguments = as_tuple(inputs, block[B_INPUTS])
    if unlikely(world[TAPE] != 0):
        return ask_tape(block, arguments)
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
    result = run(ptr(as_integer(slot(plan, world[PLAN_BLOCK]))), operands, mode)
    Py_DecRef(operands[1])
    Py_DecRef(operands[2])
    Py_DecRef(plan)
    return result


@native
def add_call(
    self: ptr,
    args: ptrp,
    nargs: i64,
    names: ptr,
    key: i64p,
    operands: ptrp,
    counts: i64p,
    flags: i64,
) -> i64:
    """Puts a call's arguments into the key, whose first two words are taken; 0 if it has none."""
    counts[0], counts[1] = 2, 0
    if names != None:  # noqa: E711
        key[1] = PyTuple_Size(names)  # the tuple itself is another one at every f(**options)
        for i in range(key[1]):
            key[2 + i] = i64(PyTuple_GetItem(names, i))
        counts[0] += key[1]
    if self != None:  # noqa: E711
        if add_argument(self, key, operands, counts, flags, 0) == 0:
            return 0
    total = nargs
    if names != None:  # noqa: E711
        total += PyTuple_Size(names)
    for i in range(total):
        if add_argument(args[i], key, operands, counts, flags, 0) == 0:
            return 0
    return 1


@native
def dispatch(op: i64, self: ptr, args: ptrp, nargs: i64, names: ptr) -> ptr:
    """A call of op number `op`: see the module's first lines."""
    key, operands, counts = stack(i64, MAX_KEY), stack(ptr, MAX_OPERANDS), stack(i64, 2)
    mode = thread_mode()
    flags = op_flags[op]
    if mode & AUTOCAST and flags & CASTS:
        return call_python(ptr(world[FALLBACK]), op, self, args, nargs, names)
    key[0] = op
    key[1] = 0
    if flags & TAKES_INDEX:
        moved = stack(i64, 2)
        if nargs == 1 and self != None and names == None:  # noqa: E711
            if add_index(self, args[0], key, counts, moved):
                return take_window(op, self, args, key, counts, moved, mode)
    if add_call(self, args, nargs, names, key, operands, counts, flags) == 0:
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
        result = run(block, operands, mode)
    Py_DecRef(plan)
    return result


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
    operands = stack(ptr, MAX_OPERANDS)
    for i in range(nargs - 1):
        operands[block[B_INPUT + 3 * i + 2]] = args[i + 1]
    result = execute(block, operands, thread_mode())
    if result == None:  # noqa: E711
        if PyErr_Occurred() == None:  # noqa: E711
            return none()
    return result


@native
def mark(storage: i64p) -> ptr:
    """The storage, with the flag of the thread's mode."""
    if storage != None:  # noqa: E711
        if thread_mode() & INFERENCE:
            storage[FLAGS] = storage[FLAGS] | FLAG_INFERENCE
    return storage


@native
def make_storage(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return mark(new_storage(as_integer(args[0])))


@native
def make_borrowed(self: ptr, args: ptrp, nargs: i64) -> ptr:
    data, size, flags = as_integer(args[0]), as_integer(args[1]), as_integer(args[3])
    return mark(borrow_storage(data, size, args[2], flags))


@native
def make_windows(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """make_windows(tensor, specs, moves):
    several views at distances `moves` from its first element.
    """
    x, specs, moves = args[0], args[1], args[2]
    count, mode = PyTuple_Size(specs), thread_mode()
    result = PyTuple_New(count)
    storage = slot(x, world[SLOT_STORAGE])
    start = as_integer(slot(x, world[SLOT_OFFSET]))
    for i in range(count):
        offset = PyLong_FromLongLong(start + as_integer(PyTuple_GetItem(moves, i)))
        Py_IncRef(storage)
        window = new_tensor(storage, PyTuple_GetItem(specs, i), offset)
        Py_DecRef(offset)
        if window == None:  # noqa: E711
            Py_DecRef(result)
            return None
        make_view(window, x, BY_SPLIT, mode)
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
