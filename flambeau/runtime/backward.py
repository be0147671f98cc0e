"""The backward pass in native code: walks the graph from its roots and carries gradients to the
leaves. Called by autograd.engine:

    core.run_pass(None, [loss._node], [ones], None, flags)

The walk is iterative (graphs of 100,000 nodes are ordinary). First every node below the roots gets
an entry with the number of gradients that it will receive (runtime.pass_entries); then a node runs
once all of them have arrived, the latest made first, leaves at once. A node that an op made is run
by a program (runtime.programs): the plans that its gradient rules come down to, so that a step
costs about as much as the calls in it do. What is rare goes to Python: nodes without a program
(`derive`, which makes one), and those with hooks, written in Python, asked for by `autograd.grad`,
or in a pass that builds a graph (`visit`).
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, i32, i64, i64p, native, ptr, ptrp, stack, void
from flambeau.runtime.arrivals import (
    PyList_SetItem,
    call,
    deliver,
    drop_grads,
    reach_leaf,
    take_grads,
)
from flambeau.runtime.execution import PyEval_RestoreThread, PyEval_SaveThread, is_unchanged
from flambeau.runtime.memory import (
    Py_DecRef,
    Py_IncRef,
    PyErr_NoMemory,
)
from flambeau.runtime.objects import (
    DERIVE,
    EDGE_INDEX,
    EDGE_TYPE,
    LEAF_TYPE,
    NODE_EDGES,
    NODE_HOOKS,
    NODE_NEEDS,
    NODE_PLAN,
    NODE_SAVED,
    NONE,
    PLAN_BLOCK,
    VISITOR,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    PyTuple_Size,
    as_integer,
    set_slot,
    slot,
    type_of,
    world,
)  # fmt: skip
from flambeau.runtime.pass_entries import (
    ASKED,
    COUNT,
    CREATE,
    ENTRIES,
    FLAGS,
    GRAD,
    HEAP,
    LEFT,
    LIMITED,
    NEEDED,
    NODE,
    OTHERS,
    PASS_WORDS,
    READY,
    RETAIN,
    ROOTS,
    STATE,
    VISIT,
    VISIT_ALL,
    PyMem_Malloc,
    count_uses,
    entry_at,
    find,
    known,
    mark_needed,
    pop,
    push,
)  # fmt: skip
from flambeau.runtime.plan_block import B_INPUTS, B_SAVES, MAX_INPUTS
from flambeau.runtime.plan_table import PyList_GetItem, PyList_Size
from flambeau.runtime.programs import (
    MAX_VALUES,
    R_GRADS,
    R_HEAD,
    R_PYTHON,
    R_READS_SAVED,
    find_program,
    run_values,
)  # fmt: skip
from flambeau.runtime.records import (
    node_of,
    none,
)  # fmt: skip
from flambeau.runtime.thread_modes import NO_GRAD, set_thread_mode, thread_mode

PyMem_Free = Extern("PyMem_Free", void, ptr)
PyErr_CheckSignals = Extern("PyErr_CheckSignals", i32)
TURN = 512  # nodes, about 100 us
PyBool_FromLong = Extern("PyBool_FromLong", ptr, i64)


@native
def arrive(work: i64p, edge: ptr, grad: ptr) -> i64:
    """One input of a node that has run: `grad` (null: none) goes to where the edge leads. What has
    all its gradients then is ready; a leaf takes them at once. 0: failed.
    """
    node = node_of(edge)
    at = find(work, node)
    index = i64(0)
    if type_of(edge) == world[EDGE_TYPE]:
        index = as_integer(slot(edge, world[EDGE_INDEX]))
    if grad != None:  # noqa: E711
        if at < 0:
            Py_DecRef(grad)
        elif deliver(work, at, index, grad) == 0:
            return 0
    if at < 0:
        return 1
    entry = entry_at(work, at)
    entry[LEFT] = entry[LEFT] - 1
    if entry[LEFT] > 0:
        return 1
    if type_of(node) == world[LEAF_TYPE]:
        return run_leaf(work, at)
    push(work, at)
    return 1


@native
def follow(work: i64p, node: ptr, results: ptrp) -> i64:
    """Hands the gradients of a node's inputs on (null: there are none); takes them over."""
    edges, done = slot(node, world[NODE_EDGES]), i64(1)
    for i in range(PyTuple_Size(edges)):
        grad: ptr = None
        if results != None:  # noqa: E711
            grad = results[i]
        edge = PyTuple_GetItem(edges, i)
        if i64(edge) == world[NONE] or done == 0:
            if grad != None:  # noqa: E711
                Py_DecRef(grad)
        elif arrive(work, edge, grad) == 0:
            done = 0
    return done


@native
def follow_list(work: i64p, node: ptr, found: ptr) -> i64:
    """The same for a list of gradients from Python, or None; takes it over."""
    if i64(found) == world[NONE]:
        Py_DecRef(found)
        return follow(work, node, None)
    count = PyTuple_Size(slot(node, world[NODE_EDGES]))
    given = PyList_Size(found)
    results: ptrp = PyMem_Malloc(8 * count)
    if results == None:  # noqa: E711
        Py_DecRef(found)
        PyErr_NoMemory()
        return 0
    for i in range(count):
        results[i] = None
        if i < given:
            item = PyList_GetItem(found, i)
            if i64(item) != world[NONE]:
                Py_IncRef(item)
                results[i] = item
    Py_DecRef(found)
    done = follow(work, node, results)
    PyMem_Free(results)
    return done


@native
def visit(work: i64p, at: i64) -> i64:
    """Runs a node in Python: visit(node, grads, whether it is on the way to what is asked for)."""
    entry = entry_at(work, at)
    node = ptr(entry[NODE])
    if work[VISIT] == 0:
        Py_IncRef(ptr(work[ROOTS]))
        made = call(
            ptr(world[VISITOR]),
            PyLong_FromLongLong(work[FLAGS] & RETAIN),
            ptr(work[ROOTS]),
            None,
        )
        if made == None:  # noqa: E711
            return 0
        work[VISIT] = i64(made)
    Py_IncRef(node)
    runs = i64(1) if work[FLAGS] & LIMITED == 0 else entry[STATE] & NEEDED
    found = call(ptr(work[VISIT]), node, take_grads(entry), PyLong_FromLongLong(runs))
    if found == None:  # noqa: E711
        return 0
    return follow_list(work, node, found)


@native
def is_plain(work: i64p, entry: i64p) -> i64:
    """Whether native code may run a node of an op, or a leaf, by itself."""
    if work[FLAGS] & VISIT_ALL or entry[STATE] & ASKED:
        return 0
    return 1 if i64(slot(ptr(entry[NODE]), world[NODE_HOOKS])) == world[NONE] else 0


@native
def run_leaf(work: i64p, at: i64) -> i64:
    entry = entry_at(work, at)
    if work[FLAGS] & LIMITED and entry[STATE] & ASKED == 0:
        drop_grads(entry)
        return 1
    if is_plain(work, entry) == 0:
        return visit(work, at)
    if entry[GRAD] == 0:
        return 1
    return reach_leaf(entry, ptr(entry[NODE]))


@native
def free_saved(work: i64p, block: i64p, node: ptr) -> void:
    """Frees what a node saved, after its backward."""
    if work[FLAGS] & RETAIN == 0 and block[B_SAVES] != 0:
        saved = slot(node, world[NODE_SAVED])
        set_slot(node, world[NODE_SAVED], none())
        Py_DecRef(saved)


@native
def is_ready(program: i64p, saved: ptr) -> i64:
    """Whether a program can run: it is one, and finds what the node saved."""
    if program == None or program[R_PYTHON] != 0:  # noqa: E711
        return 0
    if i64(saved) == world[NONE]:
        return 0 if program[R_READS_SAVED] else 1
    return is_unchanged(saved)


@native
def run_node(work: i64p, at: i64) -> i64:
    """Runs the node of an op: by its program, or by its rules in Python."""
    values, results = stack(ptr, MAX_VALUES), stack(ptr, MAX_INPUTS)
    entry = entry_at(work, at)
    node = ptr(entry[NODE])
    if entry[GRAD] == 0 and entry[OTHERS] == 0:
        return follow(work, node, None)
    block: i64p = ptr(as_integer(slot(slot(node, world[NODE_PLAN]), world[PLAN_BLOCK])))
    needs: i64p = node + world[NODE_NEEDS]
    saved = slot(node, world[NODE_SAVED])
    program = find_program(block, needs[0], entry, saved)
    if is_ready(program, saved) == 0:
        Py_IncRef(node)
        found = call(ptr(world[DERIVE]), node, take_grads(entry), None)
        if found == None:  # noqa: E711
            return 0
        free_saved(work, block, node)
        return follow_list(work, node, found)
    values[0] = ptr(entry[GRAD])
    for k in range(1, program[R_GRADS]):
        values[k] = None
        if program[R_HEAD + k] != 0:
            values[k] = PyList_GetItem(ptr(entry[OTHERS]), k - 1)
            Py_IncRef(values[k])
    entry[GRAD] = 0
    drop_grads(entry)
    Py_IncRef(saved)
    done = run_values(program, block[B_INPUTS], values, saved, results)
    Py_DecRef(saved)
    if done == 0:
        return 0
    free_saved(work, block, node)
    return follow(work, node, results)


@native
def run_entry(work: i64p, at: i64) -> i64:
    """Runs a node that is ready. 0: failed."""
    if PyErr_CheckSignals() != 0:
        return 0
    entry = entry_at(work, at)
    node = ptr(entry[NODE])
    if type_of(node) == world[LEAF_TYPE]:
        return run_leaf(work, at)
    if work[FLAGS] & LIMITED and entry[STATE] & (NEEDED | ASKED) == 0:
        drop_grads(entry)
        return follow(work, node, None)
    if is_plain(work, entry) == 0 or i64(slot(node, world[NODE_PLAN])) == world[NONE]:
        return visit(work, at)
    return run_node(work, at)


@native
def start_pass(work: i64p, roots: ptr, grads: ptr) -> i64:
    """Puts the roots' gradients in place; empties the list. 0: failed."""
    for i in range(PyList_Size(roots)):
        edge, index = PyList_GetItem(roots, i), i64(0)
        if type_of(edge) == world[EDGE_TYPE]:
            index = as_integer(slot(edge, world[EDGE_INDEX]))
        grad = PyList_GetItem(grads, i)
        Py_IncRef(grad)
        PyList_SetItem(grads, i, none())
        at = known(work, node_of(edge))
        first = entry_at(work, at)[GRAD] == 0 and entry_at(work, at)[OTHERS] == 0
        if deliver(work, at, index, grad) == 0:
            return 0
        if first and entry_at(work, at)[LEFT] == 0:
            push(work, at)
    return 1


@native
def finish_pass(work: i64p) -> void:
    """Frees what a pass holds."""
    for at in range(work[COUNT]):
        drop_grads(entry_at(work, at))
    PyMem_Free(ptr(work[ENTRIES]))
    PyMem_Free(ptr(work[HEAP]))


@native
def run_pass(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """run_pass(visit, roots, grads, inputs, flags): a backward pass. `visit` is None as long as
    nobody needs it; `inputs`: the edges at which gradients are asked for, or None. Returns `visit`,
    or what was made for it meanwhile; False where the thread could not be given a mode.
    """
    work = stack(i64, PASS_WORDS)
    for i in range(PASS_WORDS):
        work[i] = 0
    visitor, roots, inputs = args[0], args[1], args[3]
    if i64(visitor) != world[NONE]:
        Py_IncRef(visitor)
        work[VISIT] = i64(visitor)
    work[ROOTS], work[FLAGS] = i64(roots), as_integer(args[4])
    mode = thread_mode()
    if set_thread_mode(mode & ~NO_GRAD if work[FLAGS] & CREATE else mode | NO_GRAD) == 0:
        return PyBool_FromLong(0)
    done = count_uses(work, roots)
    if done and i64(inputs) != world[NONE]:
        mark_needed(work, roots, inputs)
    if done:
        done = start_pass(work, roots, args[2])
    steps = i64(0)
    while done and work[READY] > 0:
        done = run_entry(work, pop(work))
        steps += 1
        if steps % TURN == 0:  # short kernels keep the GIL: let other threads have it
            PyEval_RestoreThread(PyEval_SaveThread())
    finish_pass(work)
    set_thread_mode(mode)
    visitor = ptr(work[VISIT])
    if done == 0:
        if visitor != None:  # noqa: E711
            Py_DecRef(visitor)
        return None
    return visitor if visitor != None else none()  # noqa: E711
