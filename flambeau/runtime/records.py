"""Tensors and graph nodes in native code: `record` makes the node of a call.

Called by runtime.execution; what the members of a node mean stands in autograd.nodes. A result that
the gradient rule wants is saved as a twin without the node, else node and result would keep each
other alive.
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, i32, i64, i64p, native, ptr, ptrp, unlikely, void
from flambeau.runtime.memory import (
    FLAG_INFERENCE,
    FLAG_META,
    FLAGS,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    PyErr_NoMemory,
    borrow_storage,
    new_storage,
)  # fmt: skip
from flambeau.runtime.objects import (
    EDGE_INDEX,
    EDGE_NODE,
    EDGE_TYPE,
    NODE_CLASS,
    NODE_COUNT,
    NODE_EDGES,
    NODE_EXTRA,
    NODE_HOOKS,
    NODE_NEEDS,
    NODE_ORDER,
    NODE_PLAN,
    NODE_SAVED,
    NONE,
    PARAMETER_TYPE,
    SLOT_BASE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_SPEC,
    SLOT_STORAGE,
    TENSOR_TYPE,
    WATCHER,
    ZERO,
    PyLong_FromLongLong,
    set_slot,
    slot,
    type_of,
    world,
)  # fmt: skip
from flambeau.runtime.plan_block import (
    B_DIFFERENTIABLE,
    B_INPUT,
    B_INPUTS,
    B_KERNEL,
    B_KIND,
    B_NODE,
    B_OUTPUT,
    B_OUTPUTS,
    B_PLAN,
    KIND_KERNEL,
    SAVE_OUTPUT,
)  # fmt: skip
from flambeau.runtime.thread_modes import INFERENCE, WATCH, WATCH_ALL

PyTuple_New = Extern("PyTuple_New", ptr, i64)
PyTuple_SetItem = Extern("PyTuple_SetItem", i32, ptr, i64, ptr)
PyList_New = Extern("PyList_New", ptr, i64)
PyList_Append = Extern("PyList_Append", i32, ptr, ptr)
PyDict_New = Extern("PyDict_New", ptr)
PyDict_SetItem = Extern("PyDict_SetItem", i32, ptr, ptr, ptr)
PyObject_Call = Extern("PyObject_Call", ptr, ptr, ptr, ptr)
PyType_GenericAlloc = Extern("PyType_GenericAlloc", ptr, ptr, i64)


@native
def none() -> ptr:
    """A new reference to None."""
    Py_IncRef(ptr(world[NONE]))
    return ptr(world[NONE])


@native
def new_tensor(storage: ptr, spec: ptr, offset: ptr) -> ptr:
    """A Tensor of the plain class; takes over the reference to `storage`, borrows the others."""
    tensor = PyType_GenericAlloc(ptr(world[TENSOR_TYPE]), 0)
    if unlikely(tensor == None):  # noqa: E711
        Py_DecRef(storage)
        return None
    Py_IncRef(spec)
    Py_IncRef(offset)
    set_slot(tensor, world[SLOT_STORAGE], storage)
    set_slot(tensor, world[SLOT_SPEC], spec)
    set_slot(tensor, world[SLOT_OFFSET], offset)
    set_slot(tensor, world[SLOT_NODE], none())
    set_slot(tensor, world[SLOT_BASE], none())
    return tensor


@native
def new_result(block: i64p, index: i64, mode: i64) -> ptr:
    spec, nbytes = ptr(block[B_OUTPUT + 2 * index]), block[B_OUTPUT + 2 * index + 1]
    storage: i64p = None
    if block[B_KIND] == KIND_KERNEL and block[B_KERNEL] == 0:
        storage = borrow_storage(0, nbytes, ptr(world[NONE]), FLAG_META)
    else:
        storage = new_storage(nbytes)
    if storage == None:  # noqa: E711
        return None
    if unlikely(mode & INFERENCE):
        storage[FLAGS] = storage[FLAGS] | FLAG_INFERENCE
    return new_tensor(storage, spec, ptr(world[ZERO]))


@native
def ask(function: ptr, argument: ptr) -> ptr:
    """function(argument), in Python."""
    arguments = PyTuple_New(1)
    Py_IncRef(argument)
    PyTuple_SetItem(arguments, 0, argument)
    result = PyObject_Call(function, arguments, None)
    Py_DecRef(arguments)
    return result


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
        PyTuple_SetItem(saved, 2 * place + 1, none())


@native
def new_node(block: i64p, edges: ptr, saved: ptr, needs: i64) -> ptr:
    """A node of the plan's own class; takes over the references."""
    if unlikely(block[B_NODE] == 0):
        kind = ask(ptr(world[NODE_CLASS]), ptr(block[B_PLAN]))  # puts the class into the block
        if kind == None:  # noqa: E711
            return None
        Py_DecRef(kind)
    node = PyType_GenericAlloc(ptr(block[B_NODE]), 0)
    if unlikely(node == None):  # noqa: E711
        return PyErr_NoMemory()
    order: i64p = node + world[NODE_ORDER]
    world[NODE_COUNT] -= 1
    order[0] = world[NODE_COUNT]
    bits: i64p = node + world[NODE_NEEDS]
    bits[0] = needs
    Py_IncRef(ptr(block[B_PLAN]))
    set_slot(node, world[NODE_PLAN], ptr(block[B_PLAN]))
    set_slot(node, world[NODE_EDGES], edges)
    set_slot(node, world[NODE_SAVED], saved)
    set_slot(node, world[NODE_HOOKS], none())
    set_slot(node, world[NODE_EXTRA], none())
    return node


@native
def hang(node: ptr, index: i64, tensor: ptr) -> i64:
    """Makes the tensor result `index` of the node."""
    edge = node
    Py_IncRef(node)
    if index != 0:
        edge = PyType_GenericAlloc(ptr(world[EDGE_TYPE]), 0)
        if unlikely(edge == None):  # noqa: E711
            Py_DecRef(node)
            return 0
        set_slot(edge, world[EDGE_NODE], node)
        set_slot(edge, world[EDGE_INDEX], PyLong_FromLongLong(index))
    Py_DecRef(slot(tensor, world[SLOT_NODE]))
    set_slot(tensor, world[SLOT_NODE], edge)
    return 1


@native
def save_mask(block: i64p, needs: i64) -> i64:
    """Bits of the operands and results that the rules of the inputs in `needs` want."""
    mask = i64(0)
    for i in range(block[B_INPUTS]):
        if (needs >> i) & 1:
            mask = mask | block[B_INPUT + 3 * i + 1]
    return mask


@native
def record(block: i64p, inputs: ptrp, needs: i64, outputs: ptrp, mode: i64) -> i64:
    """Makes the graph node of a call and hangs it on the results; 0 with an exception set when it
    failed.
    """
    n, m = block[B_INPUTS], block[B_OUTPUTS]
    edges, saved = PyTuple_New(n), PyTuple_New(2 * (n + m))
    if unlikely(edges == None or saved == None):  # noqa: E711
        return 0
    mask = save_mask(block, needs)
    for i in range(n):
        if (needs >> i) & 1:
            edge = slot(inputs[i], world[SLOT_NODE])
            Py_IncRef(edge)
            PyTuple_SetItem(edges, i, edge)
        else:
            PyTuple_SetItem(edges, i, none())
    for i in range(n + m):
        wanted = (mask >> i) & 1 if i < n else (mask >> (SAVE_OUTPUT + i - n)) & 1
        if wanted == 0:
            PyTuple_SetItem(saved, 2 * i, none())
            PyTuple_SetItem(saved, 2 * i + 1, none())
        elif i < n:
            Py_IncRef(inputs[i])
            save(saved, i, inputs[i])
        else:
            result = outputs[i - n]
            storage = slot(result, world[SLOT_STORAGE])
            Py_IncRef(storage)
            save(
                saved,
                i,
                new_tensor(
                    storage, slot(result, world[SLOT_SPEC]), slot(result, world[SLOT_OFFSET])
                ),
            )
    node = new_node(block, edges, saved, needs)
    if unlikely(node == None):  # noqa: E711
        Py_DecRef(edges)
        Py_DecRef(saved)
        return 0
    done = i64(1)
    for k in range(m):
        if (block[B_DIFFERENTIABLE] >> k) & 1 and done:
            done = hang(node, k, outputs[k])
    if unlikely(mode & (WATCH | WATCH_ALL)) and done:
        answer = ask(ptr(world[WATCHER]), node)
        if answer == None:  # noqa: E711
            done = 0
        else:
            Py_DecRef(answer)
    Py_DecRef(node)
    return done


@native
def next_order(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """next_order(): the number of a node that is made in Python."""
    world[NODE_COUNT] -= 1
    return PyLong_FromLongLong(world[NODE_COUNT])


@native
def node_of(edge: ptr) -> ptr:
    """The node that an edge leads to, borrowed; null for None."""
    if i64(edge) == world[NONE]:
        return None
    if type_of(edge) == world[EDGE_TYPE]:
        return slot(edge, world[EDGE_NODE])
    return edge
