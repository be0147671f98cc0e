"""The nodes of a backward pass, in native code: which there are, for how many gradients each waits,
which are on the way to what is asked for, and which is to run next. Called by runtime.backward:

    count_uses(work, roots)         # enters every node below the roots
    at = pop(work)                  # the entry of the node to run next

An entry is found by the number that its node keeps (`_place`). A pass that another one interrupts
may find other numbers there; then it looks through its entries.
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, fill_memory, i64, i64p, native, ptr, void
from flambeau.runtime.memory import PyErr_NoMemory
from flambeau.runtime.objects import (
    NODE_EDGES,
    NODE_ORDER,
    NODE_PLACE,
    PyTuple_GetItem,
    PyTuple_Size,
    slot,
    world,
)  # fmt: skip
from flambeau.runtime.plan_table import PyList_GetItem, PyList_Size
from flambeau.runtime.records import node_of

PyMem_Malloc = Extern("PyMem_Malloc", ptr, i64)
PyMem_Realloc = Extern("PyMem_Realloc", ptr, ptr, i64)

# words of a pass, and its flags
ENTRIES, COUNT, ROOM, HEAP, READY, FLAGS, VISIT, ROOTS = range(8)
PASS_WORDS, FIRST_ROOM = 8, 32
RETAIN, VISIT_ALL, LIMITED, CREATE = 1, 2, 4, 8
# words of an entry: the node, how many gradients it waits for, the gradient of result 0, a list of
# those of the other results, its state, and what the search for needed nodes keeps
NODE, LEFT, GRAD, OTHERS, STATE, CURSOR, PARENT = range(7)
ENTRY = 8
SEEN, NEEDED, ASKED = 1, 2, 4  # bits of a state


@native
def entry_at(work: i64p, at: i64) -> i64p:
    entries: i64p = ptr(work[ENTRIES])
    return entries + at * ENTRY


@native
def known(work: i64p, node: ptr) -> i64:
    """The number of a node's entry by what the node keeps; -1 if that is not its own."""
    place: i64p = node + world[NODE_PLACE]
    if place[0] < work[COUNT]:
        if entry_at(work, place[0])[NODE] == i64(node):
            return place[0]
    return -1


@native
def find(work: i64p, node: ptr) -> i64:
    """The number of a node's entry, -1 for none."""
    at = known(work, node)
    if at >= 0:
        return at
    for i in range(work[COUNT]):
        if entry_at(work, i)[NODE] == i64(node):
            place: i64p = node + world[NODE_PLACE]
            place[0] = i
            return i
    return -1


@native
def enter(work: i64p, node: ptr) -> i64:
    """The number of a node's entry, which is made if need be; -1 without memory."""
    at = known(work, node)
    if at >= 0:
        return at
    at = work[COUNT]
    if at == work[ROOM]:
        room = 4 * at
        larger = PyMem_Realloc(ptr(work[ENTRIES]), 8 * ENTRY * room)
        if larger == None:  # noqa: E711
            PyErr_NoMemory()
            return -1
        work[ENTRIES], work[ROOM] = i64(larger), room
    entry = entry_at(work, at)
    fill_memory(entry, 0, 8 * ENTRY)
    entry[NODE] = i64(node)
    place: i64p = node + world[NODE_PLACE]
    place[0] = at
    work[COUNT] = at + 1
    return at


@native
def count_uses(work: i64p, roots: ptr) -> i64:
    """Enters all nodes below the roots, and counts for each how many edges of them lead to it; 0
    without memory. No Python runs here, so no other pass comes in between.
    """
    work[ENTRIES] = i64(PyMem_Malloc(8 * ENTRY * FIRST_ROOM))
    work[ROOM] = FIRST_ROOM
    if work[ENTRIES] == 0:
        PyErr_NoMemory()
        return 0
    for i in range(PyList_Size(roots)):
        if enter(work, node_of(PyList_GetItem(roots, i))) < 0:
            return 0
    at = i64(0)
    while at < work[COUNT]:
        edges = slot(ptr(entry_at(work, at)[NODE]), world[NODE_EDGES])
        for i in range(PyTuple_Size(edges)):
            node = node_of(PyTuple_GetItem(edges, i))
            if node != None:  # noqa: E711
                below = enter(work, node)
                if below < 0:
                    return 0
                entry = entry_at(work, below)
                entry[LEFT] = entry[LEFT] + 1
        at += 1
    work[HEAP] = i64(PyMem_Malloc(8 * work[COUNT]))
    if work[HEAP] == 0:
        PyErr_NoMemory()
        return 0
    return 1


@native
def search(work: i64p, start: i64) -> void:
    """Marks the nodes below `start` from which one that is asked for can be reached."""
    entry_at(work, start)[PARENT] = -1
    at = start
    while at >= 0:
        entry = entry_at(work, at)
        entry[STATE] = entry[STATE] | SEEN
        edges = slot(ptr(entry[NODE]), world[NODE_EDGES])
        if entry[CURSOR] < PyTuple_Size(edges):
            node = node_of(PyTuple_GetItem(edges, entry[CURSOR]))
            entry[CURSOR] = entry[CURSOR] + 1
            if node != None:  # noqa: E711
                below = known(work, node)
                state = entry_at(work, below)[STATE]
                if state & SEEN == 0:
                    entry_at(work, below)[PARENT] = at
                    at = below
                elif state & (NEEDED | ASKED):
                    entry[STATE] = entry[STATE] | NEEDED
        else:
            parent = entry[PARENT]
            if parent >= 0 and entry[STATE] & (NEEDED | ASKED):
                above = entry_at(work, parent)
                above[STATE] = above[STATE] | NEEDED
            at = parent


@native
def mark_needed(work: i64p, roots: ptr, inputs: ptr) -> void:
    """Marks the nodes that are asked for, and those on the way to them."""
    for i in range(PyList_Size(inputs)):
        at = known(work, node_of(PyList_GetItem(inputs, i)))
        if at >= 0:
            entry = entry_at(work, at)
            entry[STATE] = entry[STATE] | ASKED
    for i in range(PyList_Size(roots)):
        at = known(work, node_of(PyList_GetItem(roots, i)))
        if entry_at(work, at)[STATE] & SEEN == 0:
            search(work, at)


# ---- the nodes that are ready: a heap, the latest made on top ------------------------------------


@native
def order_of(work: i64p, at: i64) -> i64:
    order: i64p = ptr(entry_at(work, at)[NODE]) + world[NODE_ORDER]
    return order[0]


@native
def push(work: i64p, at: i64) -> void:
    heap: i64p = ptr(work[HEAP])
    place, order = work[READY], order_of(work, at)
    work[READY] = place + 1
    while place > 0:
        above = (place - 1) // 2
        if order_of(work, heap[above]) <= order:
            break
        heap[place] = heap[above]
        place = above
    heap[place] = at


@native
def pop(work: i64p) -> i64:
    heap: i64p = ptr(work[HEAP])
    top = heap[0]
    size = work[READY] - 1
    work[READY] = size
    last = heap[size]
    order, place = order_of(work, last), i64(0)
    while 2 * place + 1 < size:
        below = 2 * place + 1
        if below + 1 < size and order_of(work, heap[below + 1]) < order_of(work, heap[below]):
            below += 1
        if order_of(work, heap[below]) >= order:
            break
        heap[place] = heap[below]
        place = below
    heap[place] = last
    return top
