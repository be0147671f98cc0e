"""The caching allocator and the storage object, in native code (see codegen.native).

Used by runtime.dispatch (results of kernels) and, through runtime.storage, by everything else. A
storage is a Python object (made by `new_storage`, freed by `free_storage` when its last reference
goes) that owns a block of memory or borrows one from an owner such as a NumPy array. Freed blocks
go to a list of their size class and are handed out again: a fresh 64 MB block costs 20 ms of page
faults, a reused one nothing. All of it runs with the GIL held, so there are no locks.

Size classes: multiples of 64 bytes up to 1024, then four steps per power of two (at most 25 % of a
block is unused).
"""

from __future__ import annotations

import sys

from flambeau.codegen.native import (
    Extern,
    Static,
    count_leading_zeros,
    i32,
    i64,
    i64p,
    native,
    ptr,
    ptrp,
    stack,
    unlikely,
    void,
)
from flambeau.runtime.objects import OPAQUE, world
from flambeau.runtime.thread_modes import TRACE, thread_mode

WINDOWS, LINUX = sys.platform == "win32", sys.platform.startswith("linux")
posix_memalign = Extern("posix_memalign", i32, ptr, i64, i64)
aligned_malloc = Extern("_aligned_malloc", ptr, i64, i64)
aligned_free = Extern("_aligned_free", void, ptr)
free = Extern("free", void, ptr)
madvise = Extern("madvise", i32, ptr, i64, i32)
PyObject_Malloc = Extern("PyObject_Malloc", ptr, i64)
PyObject_Free = Extern("PyObject_Free", void, ptr)
PyObject_Init = Extern("PyObject_Init", ptr, ptr, ptr)
Py_IncRef = Extern("Py_IncRef", void, ptr)
Py_DecRef = Extern("Py_DecRef", void, ptr)
PyErr_NoMemory = Extern("PyErr_NoMemory", ptr)
PyObject_CallNoArgs = Extern("PyObject_CallNoArgs", ptr, ptr)
PyObject_CallFunctionObjArgs = Extern("PyObject_CallFunctionObjArgs", ptr, ptr, ptr, ptr)
PyLong_FromLongLong = Extern("PyLong_FromLongLong", ptr, i64)
PyBuffer_FillInfo = Extern("PyBuffer_FillInfo", i32, ptr, ptr, ptr, i64, i32, i32)

ALIGNMENT = 64
# blocks of several huge pages ask the kernel for them: a tenth of the page faults
HUGE_PAGE = 1 << 21
HUGE_FROM = 1 << 22
MADV_HUGEPAGE = 14

# words of `memory`: the statistics, read and set by runtime.storage
(
    IN_USE, CACHED, CACHE_LIMIT, PEAK, ALLOCATIONS, REUSED, STORAGE_TYPE, REQUESTED, ON_FAILURE,
    SERIAL, ON_TOUCH, GIVEN_BACK,
) = range(12)  # fmt: skip
memory = Static("memory", i64, 16)
free_lists = Static("free_lists", ptr, 256)

# words of a storage object, after CPython's reference count and type
DATA, NBYTES, VERSION, OWNER, FLAGS, EPOCH = 2, 3, 4, 5, 6, 7
STORAGE_BYTES = 64
FLAG_META = 1  # describes memory that does not exist (device "meta")
FLAG_INFERENCE = 2  # was made in inference mode
SERIAL_BIT = 8  # from there on a storage's number: each has its own, memory is used again
OWN_FLAGS = (1 << SERIAL_BIT) - 1


@native
def size_class(size: i64) -> i64:
    if size <= 1024:
        return (size + 63) // 64
    top = 63 - count_leading_zeros(size - 1)
    return 17 + (top - 10) * 4 + (((size - 1) >> (top - 2)) & 3)


@native
def class_size(index: i64) -> i64:
    if index <= 16:
        return index * 64
    top = 10 + (index - 17) // 4
    return (i64(1) << top) + (((index - 17) % 4 + 1) << (top - 2))


@native
def system_allocate(size: i64) -> ptr:
    if WINDOWS:
        return aligned_malloc(size, ALIGNMENT)
    box = stack(ptr, 1)
    alignment = i64(HUGE_PAGE if size >= HUGE_FROM and LINUX else ALIGNMENT)
    if posix_memalign(box, alignment, size) != 0:
        return None
    if LINUX:
        if size >= HUGE_FROM:
            madvise(box[0], size, MADV_HUGEPAGE)
    return box[0]


@native
def system_free(block: ptr) -> void:
    if WINDOWS:
        aligned_free(block)
    else:
        free(block)


@native
def release_cached() -> i64:
    """Gives every cached block back to the system; returns the bytes."""
    freed = memory[CACHED]
    for index in range(256):
        block: ptrp = free_lists[index]
        while block != None:  # noqa: E711
            following = block[0]
            system_free(block)
            block = following
        free_lists[index] = None
    memory[CACHED] = 0
    return freed


@native
def allocate(requested: i64) -> ptr:
    """A block of at least `requested` bytes, 64-byte aligned; null when memory is out."""
    index = size_class(requested if requested > 0 else i64(1))
    size = class_size(index)
    block: ptrp = free_lists[index]
    if block != None:  # noqa: E711
        free_lists[index] = block[0]
        memory[CACHED] -= size
        memory[REUSED] += 1
    else:
        block = system_allocate(size)
        if unlikely(block == None):  # noqa: E711
            memory[GIVEN_BACK] = release_cached()
            block = system_allocate(size)
            if block == None:  # noqa: E711
                return None
    memory[ALLOCATIONS] += 1
    memory[IN_USE] += size
    if memory[IN_USE] > memory[PEAK]:
        memory[PEAK] = memory[IN_USE]
    return block


@native
def deallocate(block: ptrp, requested: i64) -> void:
    index = size_class(requested if requested > 0 else i64(1))
    size = class_size(index)
    memory[IN_USE] -= size
    if memory[CACHED] + size > memory[CACHE_LIMIT]:
        system_free(block)
        return
    block[0] = free_lists[index]
    free_lists[index] = block
    memory[CACHED] += size


@native
def next_serial() -> i64:
    """The number of a new storage, where it stands among the flags."""
    memory[SERIAL] += 1 << SERIAL_BIT
    return memory[SERIAL]


@native
def new_storage(nbytes: i64) -> i64p:
    """A storage object with its own memory (contents undefined);
    null with MemoryError set when memory is out.
    """
    storage: i64p = PyObject_Malloc(STORAGE_BYTES)
    if storage == None:  # noqa: E711
        return PyErr_NoMemory()
    block: ptr = None
    if nbytes >= 0:  # else more than 63 bits say
        block = allocate(nbytes)
    if unlikely(block == None):  # noqa: E711
        memory[REQUESTED] = nbytes
        PyObject_Free(storage)
        # raises, saying how much was asked and is held
        return PyObject_CallNoArgs(ptr(memory[ON_FAILURE]))
    PyObject_Init(storage, ptr(memory[STORAGE_TYPE]))
    storage[DATA] = i64(block)
    storage[NBYTES] = nbytes
    storage[VERSION] = 0
    storage[OWNER] = 0
    storage[FLAGS] = next_serial()
    storage[EPOCH] = 0
    return storage


@native
def borrow_storage(data: i64, nbytes: i64, owner: ptr, flags: i64) -> i64p:
    """A storage object over memory that `owner` keeps alive (a NumPy array, another storage)."""
    storage: i64p = PyObject_Malloc(STORAGE_BYTES)
    if storage == None:  # noqa: E711
        return PyErr_NoMemory()
    PyObject_Init(storage, ptr(memory[STORAGE_TYPE]))
    Py_IncRef(owner)
    storage[DATA] = data
    storage[NBYTES] = nbytes
    storage[VERSION] = 0
    storage[OWNER] = i64(owner)
    storage[FLAGS] = (flags & OWN_FLAGS) | next_serial()
    storage[EPOCH] = 0
    return storage


@native
def free_storage(storage: i64p) -> void:
    """Destructor of the storage type."""
    if storage[OWNER] != 0:
        Py_DecRef(ptr(storage[OWNER]))
    else:
        deallocate(ptr(storage[DATA]), storage[NBYTES])
    kind = ptr(storage[1])
    PyObject_Free(storage)
    Py_DecRef(kind)


@native
def touch(storage: i64p) -> i64:
    """The bytes of a storage are about to be seen by other than plans: what follows may depend on
    them, which those who listen to plans must know. 0 with an exception set when that failed.
    """
    if thread_mode() & TRACE:
        world[OPAQUE] += 1
    if memory[ON_TOUCH] != 0:
        answer = PyObject_CallFunctionObjArgs(ptr(memory[ON_TOUCH]), storage, None)
        if answer == None:  # noqa: E711
            return 0
        Py_DecRef(answer)
    return 1


@native
def storage_data(storage: i64p, unused: ptr) -> ptr:
    """Getter of `data`, the address of the first byte."""
    if touch(storage) == 0:
        return None
    return PyLong_FromLongLong(storage[DATA])


@native
def storage_buffer(storage: i64p, view: ptr, flags: i32) -> i32:
    """The buffer protocol: NumPy arrays and memoryviews look straight into the block
    and keep the storage alive.
    """
    if touch(storage) == 0:
        return -1
    return PyBuffer_FillInfo(view, storage, ptr(storage[DATA]), storage[NBYTES], i32(0), flags)


@native
def memory_words() -> i64:
    """Address of the statistics."""
    return i64(memory)
