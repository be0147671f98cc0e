"""Tensors and graph nodes, in native code: results of kernels, and what backward needs.

Called by runtime.execution and runtime.dispatch:

    tensor = new_tensor(storage, spec, offset)
    if record(block, inputs, needs, outputs) == 0: ...        # memory is out
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    i32,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    unlikely,
    void,
)
from flambeau.runtime.memory import (
    FLAG_META,
    VERSION,
    Py_DecRef,
    Py_IncRef,
    borrow_storage,
    new_storage,
)
from flambeau.runtime.objects import (
    EDGE_INDEX,
    EDGE_NODE,
    EDGE_TYPE,
    NODE_EDGES,
    NODE_EXTRA,
    NODE_HOOKS,
    NODE_PLAN,
    NODE_SAVED,
    NODE_TYPE,
    NONE,
    PARAMETER_TYPE,
    SLOT_BASE,
    SLOT_NODE,
    SLOT_OFFSET,
    SLOT_SPEC,
    SLOT_STORAGE,
    TENSOR_TYPE,
    ZERO,
    PyLong_FromLongLong,
    set_slot,
    slot,
    type_of,
    world,
)
from flambeau.runtime.plan_block import (
    B_DIFFERENTIABLE,
    B_INPUT,
    B_INPUTS,
    B_KERNEL,
    B_KIND,
    B_OUTPUT,
    B_OUTPUTS,
    B_PLAN,
    KIND_KERNEL,
    SAVE_OUTPUT,
)

PyTuple_New = Extern("PyTuple_New", ptr, i64)
PyTuple_SetItem = Extern("PyTuple_SetItem", i32, ptr, i64, ptr)
PyType_GenericAlloc = Extern("PyType_GenericAlloc", ptr, ptr, i64)


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
def save_values(block: i64p, inputs: ptrp, outputs: ptrp, mask: i64, saved: ptr) -> i64:
    """Puts what the gradient rules name into the tuple, None in the other places."""
    n, m = block[B_INPUTS], block[B_OUTPUTS]
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
    return 1


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
    if save_values(block, inputs, outputs, mask, saved) == 0:
        return 0
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
