"""Gradients on their way, in native code: they add up where several arrive, and become a leaf's own
where they can, without a copy. Called by runtime.backward:

    deliver(work, at, 0, grad)          # for result 0 of the node with entry `at`
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, i32, i32p, i64, i64p, native, ptr, ptrp, stack, void
from flambeau.runtime.dispatch import dispatch
from flambeau.runtime.memory import (
    NBYTES,
    Py_DecRef,
    Py_IncRef,
    PyObject_CallNoArgs,
)
from flambeau.runtime.objects import (
    ACCUMULATE,
    ADD,
    ADD_IN_PLACE,
    LEAF_GRAD,
    LEAF_REFERENCE,
    NONE,
    SLOT_BASE,
    SLOT_NODE,
    SLOT_SPEC,
    SLOT_STORAGE,
    TENSOR_TYPE,
    PyLong_FromLongLong,
    set_slot,
    slot,
    type_of,
    world,
)  # fmt: skip
from flambeau.runtime.pass_entries import (
    FLAGS,
    GRAD,
    OTHERS,
    VISIT_ALL,
    entry_at,
)  # fmt: skip
from flambeau.runtime.plan_table import PyList_GetItem, PyList_Size
from flambeau.runtime.records import (
    PyList_Append,
    PyList_New,
    PyObject_Call,
    PyTuple_New,
    PyTuple_SetItem,
    none,
)  # fmt: skip

PyList_Insert = Extern("PyList_Insert", i32, ptr, i64, ptr)
PyList_SetItem = Extern("PyList_SetItem", i32, ptr, i64, ptr)
SMALL = 1 << 16  # bytes up to which adding two gradients keeps the GIL


@native
def references(x: ptr) -> i64:
    """How many hold the object (CPython 3.14 keeps flags in the upper half of the word)."""
    return i64(i32p(x)[0])


@native
def is_unshared(grad: ptr) -> i64:
    """Whether only the caller holds this gradient and its memory, and no graph does."""
    if type_of(grad) != world[TENSOR_TYPE] or references(grad) != 1:
        return 0
    if i64(slot(grad, world[SLOT_NODE])) != world[NONE]:
        return 0
    if i64(slot(grad, world[SLOT_BASE])) != world[NONE]:
        return 0
    return 1 if references(slot(grad, world[SLOT_STORAGE])) == 1 else 0


@native
def add(work: i64p, total: ptr, grad: ptr) -> ptr:
    """The sum of two gradients, both of which are taken over; in place where nobody sees it."""
    operands = stack(ptr, 1)
    operands[0] = grad
    op = world[ADD]
    if work[FLAGS] & VISIT_ALL == 0 and is_unshared(total):
        if slot(total, world[SLOT_SPEC]) == slot(grad, world[SLOT_SPEC]):
            op = world[ADD_IN_PLACE]
    result = dispatch(op, total, operands, 1, None)
    Py_DecRef(total)
    Py_DecRef(grad)
    return result


@native
def deliver(work: i64p, at: i64, index: i64, grad: ptr) -> i64:
    """Adds a gradient to those that have arrived for result `index`; takes it over. 0: failed."""
    entry = entry_at(work, at)
    if index == 0:
        if entry[GRAD] != 0:
            before = ptr(entry[GRAD])
            entry[GRAD] = 0
            grad = add(work, before, grad)
        entry[GRAD] = i64(grad)
        return 1 if grad != None else 0  # noqa: E711
    if entry[OTHERS] == 0:
        entry[OTHERS] = i64(PyList_New(0))
    others = ptr(entry[OTHERS])
    while PyList_Size(others) < index:
        PyList_Append(others, ptr(world[NONE]))
    before = PyList_GetItem(others, index - 1)
    if i64(before) != world[NONE]:
        Py_IncRef(before)
        PyList_SetItem(others, index - 1, none())
        grad = add(work, before, grad)
        if grad == None:  # noqa: E711
            return 0
    PyList_SetItem(others, index - 1, grad)
    return 1


@native
def take_grads(entry: i64p) -> ptr:
    """All gradients that have arrived, as a list; the entry gives them up."""
    grads = ptr(entry[OTHERS])
    if grads == None:  # noqa: E711
        grads = PyList_New(0)
    first = ptr(entry[GRAD])
    if first == None:  # noqa: E711
        first = none()
    PyList_Insert(grads, 0, first)
    Py_DecRef(first)
    entry[GRAD], entry[OTHERS] = 0, 0
    return grads


@native
def drop_grads(entry: i64p) -> void:
    if entry[GRAD] != 0 or entry[OTHERS] != 0:
        Py_DecRef(take_grads(entry))


# ---- leaves --------------------------------------------------------------------------------------


@native
def is_for(leaf: ptr, grad: ptr) -> i64:
    """Whether a gradient may become the leaf's own as it is: it has the leaf's layout."""
    variable = PyObject_CallNoArgs(slot(leaf, world[LEAF_REFERENCE]))
    if variable == None:  # noqa: E711
        return 0
    fits = i64(1)
    if i64(variable) != world[NONE]:
        if slot(variable, world[SLOT_SPEC]) != slot(grad, world[SLOT_SPEC]):
            fits = 0
    Py_DecRef(variable)
    return fits


@native
def take_over(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """take_over(leaf, grads): makes the only gradient of the list the leaf's own without a copy, if
    the leaf has none and nobody else holds it; whether it did.
    """
    leaf, grad = args[0], PyList_GetItem(args[1], 0)
    if i64(slot(leaf, world[LEAF_GRAD])) == world[NONE] and is_unshared(grad):
        if is_for(leaf, grad):
            Py_IncRef(grad)
            Py_DecRef(slot(leaf, world[LEAF_GRAD]))
            set_slot(leaf, world[LEAF_GRAD], grad)
            return PyLong_FromLongLong(1)
    return PyLong_FromLongLong(0)


@native
def call(function: ptr, a: ptr, b: ptr, c: ptr) -> ptr:
    """function(a, b[, c]); takes over the arguments."""
    count = i64(2) if c == None else i64(3)  # noqa: E711
    arguments = PyTuple_New(count)
    PyTuple_SetItem(arguments, 0, a)
    PyTuple_SetItem(arguments, 1, b)
    if count == 3:
        PyTuple_SetItem(arguments, 2, c)
    result = PyObject_Call(function, arguments, None)
    Py_DecRef(arguments)
    return result


@native
def reach_leaf(entry: i64p, leaf: ptr) -> i64:
    """Adds the gradient that arrived to the leaf's. 0: failed."""
    grad = ptr(entry[GRAD])
    before = slot(leaf, world[LEAF_GRAD])
    if i64(before) == world[NONE]:
        if is_unshared(grad) and is_for(leaf, grad):
            entry[GRAD] = 0
            Py_DecRef(before)
            set_slot(leaf, world[LEAF_GRAD], grad)
            return 1
    elif i64p(slot(before, world[SLOT_STORAGE]))[NBYTES] <= SMALL:
        operands = stack(ptr, 1)
        operands[0] = grad
        entry[GRAD] = 0
        Py_IncRef(before)
        result = dispatch(world[ADD_IN_PLACE], before, operands, 1, None)
        Py_DecRef(before)
        Py_DecRef(grad)
        if result == None:  # noqa: E711
            return 0
        Py_DecRef(result)
        return 1
    Py_IncRef(leaf)
    result = call(ptr(world[ACCUMULATE]), leaf, take_grads(entry), None)
    if result == None:  # noqa: E711
        return 0
    Py_DecRef(result)
    return 1
