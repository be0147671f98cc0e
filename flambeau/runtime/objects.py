"""What native code knows of Python's objects: types, singletons and the places of their members
(see runtime.dispatch).

`world` is an array of machine words that runtime.native fills in when the engine starts; the names
below number them. Members of objects with `__slots__` are read at the offsets kept there:

    storage = slot(x, world[SLOT_STORAGE])        # x._storage, borrowed
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, Static, i32, i64, i64p, native, ptr, ptrp, stack, void

PyTuple_GetItem = Extern("PyTuple_GetItem", ptr, ptr, i64)
PyTuple_Size = Extern("PyTuple_Size", i64, ptr)
PyLong_FromLongLong = Extern("PyLong_FromLongLong", ptr, i64)
PyLong_AsLongLongAndOverflow = Extern("PyLong_AsLongLongAndOverflow", i64, ptr, ptr)

# words of `world`: Python objects and offsets that runtime.native fills in
(
    TENSOR_TYPE, PARAMETER_TYPE, LEAF_TYPE, EDGE_TYPE, PLAN_TYPE, LONG_TYPE, FLOAT_TYPE, BOOL_TYPE,
    TUPLE_TYPE, LIST_TYPE, SLICE_TYPE, SIZE_TYPE, DTYPE_TYPE, STRING_TYPE, NONE, ELLIPSIS, TRUE,
    ZERO, MISS, FALLBACK, FAIL, SLOT_STORAGE, SLOT_SPEC, SLOT_OFFSET, SLOT_NODE, NODE_PLAN,
    NODE_EDGES, NODE_SAVED, NODE_HOOKS, NODE_EXTRA, EDGE_NODE, EDGE_INDEX, PLAN_BLOCK, SLICE_START,
    MODE_THREADS, DEVICE_TYPE, SLOT_BASE, SPEC_SHAPE, SPEC_STRIDES, SPEC_CONTIGUOUS, SPEC_ITEMSIZE,
    REVISE, COMPLEX_TYPE,
    SLOT_MADE, NODE_ORDER, NODE_NEEDS, NODE_COUNT, NODE_CLASS, WATCHER, NODE_PLACE, LEAF_GRAD,
    LEAF_REFERENCE, ADD, ADD_IN_PLACE, DERIVE, ACCUMULATE, VISITOR, TRACER, OPAQUE, TAPE,
    FORMAT_TYPE, SPEC_NUMEL, SPEC_DTYPE, FLOAT32_DTYPE, FLOAT64_DTYPE, INT64_DTYPE, BOOL_DTYPE,
    NUMBER_METHODS,
) = range(68)  # fmt: skip
world = Static("world", i64, 80)


@native
def type_of(x: ptr) -> i64:
    return i64p(x)[1]


@native
def slot(x: ptr, offset: i64) -> ptr:
    """The object in a __slots__ member, borrowed."""
    where: ptrp = x + offset
    return where[0]


@native
def set_slot(x: ptr, offset: i64, value: ptr) -> void:
    """Fills an empty member; takes over the caller's reference."""
    where: ptrp = x + offset
    where[0] = value


@native
def as_integer(x: ptr) -> i64:
    overflow = stack(i32, 1)
    return PyLong_AsLongLongAndOverflow(x, overflow)


@native
def world_words() -> i64:
    return i64(world)
