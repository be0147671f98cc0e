"""Makes the native core callable from Python: the storage type, the builtins and methods around the
dispatcher.

Called once by `flambeau.start` (the first use of a tensor); ops.registry asks for the functions and
methods of each op:

    core = NativeCore(Tensor, Parameter, Node, Edge, Plan, miss, fallback, fail)
    core.function(12, "add", doc)       # a builtin: flambeau.add
    core.method(12, "add", doc)         # a method descriptor for the class Tensor

Python objects that native code knows (types, None, offsets of __slots__ members) are written into
the words of `world`. An object's members are found by the offsets that Python's own member
descriptors hold, so no layout of CPython is assumed beyond the head of an object (reference count,
type) and of a slice (three members).
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from flambeau.codegen.llvm import c_function, load
from flambeau.codegen.native import Extern, NativeFunction, Unit
from flambeau.core.config import config
from flambeau.core.device import device
from flambeau.core.dtype import bool_, dtype, float32, float64, int64
from flambeau.core.errors import cannot_allocate
from flambeau.core.layout import memory_format
from flambeau.core.shape import Size
from flambeau.core.spec import Spec
from flambeau.runtime import (
    arrivals,
    backward,
    dispatch,
    execution,
    indexing,
    memory,
    numbers,
    objects,
    pass_entries,
    plan_table,
    programs,
    records,
    replay,
    sequences,
    several,
    thread_modes,
    threads,
)
from flambeau.runtime.capi import (
    METH_FASTCALL,
    METH_KEYWORDS,
    PY_BF_GETBUFFER,
    PY_TP_DEALLOC,
    PY_TP_GETSET,
    PY_TP_MEMBERS,
    READONLY,
    T_LONGLONG,
    T_OBJECT,
    TPFLAGS_DEFAULT,
    GetterDefinition,
    MemberDefinition,
    MethodDefinition,
    Numbered,
    TypeSlot,
    TypeSpecification,
    make_type,
    slot_offset,
)  # fmt: skip

METHODS = 1024  # method stubs: one for each op number
NATIVE_MODULES = (
    arrivals, backward, dispatch, execution, indexing, memory, numbers, objects, pass_entries,
    plan_table, programs, records, replay, sequences, several, thread_modes, threads,
)  # fmt: skip
# native functions that Python calls
BUILTINS: list[NativeFunction] = [
    dispatch.make_storage, dispatch.make_borrowed, dispatch.make_tensor, dispatch.make_windows,
    dispatch.execute_plan, execution.check_saved, backward.run_pass, arrivals.take_over,
    programs.run_program, programs.same_bytes, thread_modes.get_mode,
    thread_modes.set_mode, thread_modes.set_mode_of_all, records.next_order,
    indexing.call_kernel, sequences.measure_numbers, sequences.write_numbers, replay.replay,
    replay.failing_guard, several.run_rows, several.gather_rows, several.count_up,
    threads.stop_workers, threads.forget_workers, numbers.address_of,
]  # fmt: skip
EXPORTS: list[NativeFunction] = [
    *BUILTINS, dispatch.call_function, dispatch.dispatch, dispatch.op_flag_words,
    objects.world_words, plan_table.clear_plans, memory.free_storage, memory.storage_buffer,
    memory.storage_data, memory.memory_words, memory.release_cached, memory.allocate,
    memory.deallocate, threads.pool_words, threads.parallel_for, numbers.to_number,
    numbers.to_float, numbers.to_int, numbers.to_bool, several.run_several,
]  # fmt: skip


def method_stubs(dispatcher: str) -> str:
    """IR of `method_N(self, args, nargs, names)`: dispatch(N, self, ...)."""
    lines = [f'declare ptr @"{dispatcher}"(i64, ptr, ptr, i64, ptr)']
    for number in range(METHODS):
        lines.append(f"define ptr @method_{number}(ptr %self, ptr %args, i64 %n, ptr %names) {{")
        lines.append(
            f'  %r = tail call ptr @"{dispatcher}"(i64 {number}, ptr %self, ptr %args, i64 %n, '
            "ptr %names)"
        )
        lines.append("  ret ptr %r\n}")
    return "\n".join(lines)


class NativeCore:
    """The linked native unit and the Python objects made from it."""

    make_storage: Callable[..., Any]
    make_borrowed: Callable[..., Any]
    make_tensor: Callable[..., Any]
    make_windows: Callable[..., Any]
    execute_plan: Callable[..., Any]
    run_pass: Callable[..., Any]
    take_over: Callable[[Any, list[Any]], int]
    run_program: Callable[..., list[Any]]
    same_bytes: Callable[[Any, Any], int]
    check_saved: Callable[[Any], int]
    get_mode: Callable[[], int]
    set_mode: Callable[[int], int]
    set_mode_of_all: Callable[[int], int]
    next_order: Callable[[], int]
    call_kernel: Callable[..., Any]
    replay: Callable[..., Any]
    measure_numbers: Callable[[Any], tuple[int, ...] | None]
    write_numbers: Callable[[Any, Any, int], int]
    failing_guard: Callable[..., int]
    run_rows: Callable[[Any, list[Any], tuple[float, ...]], int]
    gather_rows: Callable[..., tuple[list[Any], list[Any]] | None]
    count_up: Callable[[list[Any], Any], float | list[float] | None]
    stop_workers: Callable[[], Any]
    forget_workers: Callable[[], Any]
    address_of: Callable[[Any], int]

    def __init__(self) -> None:
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            raise NotImplementedError(
                "Flambeau needs the GIL: the free-threaded build of Python is not supported yet"
            )
        unit = Unit("core", EXPORTS)
        externs = [
            value
            for module in NATIVE_MODULES
            for value in vars(module).values()
            if isinstance(value, Extern)
        ]
        imports = {e.symbol: c_function(e.symbol) for e in externs if _exists(e.symbol)}
        self.symbols = load(
            "core-" + unit.key(),
            unit.text_with_intrinsics,
            [unit.symbol(f) for f in EXPORTS],
            imports,
        )
        self._keep: list[Any] = []
        call_long = ctypes.CFUNCTYPE(ctypes.c_int64)
        self.world = self._words(call_long, objects.world_words, 80)
        self.op_flags = self._words(call_long, dispatch.op_flag_words, 2048)
        self.memory = self._words(call_long, memory.memory_words, 16)
        self.pool = self._words(call_long, threads.pool_words, 128)
        self.release_cached = ctypes.PYFUNCTYPE(ctypes.c_int64)(self.address(memory.release_cached))
        self.clear_plans = ctypes.PYFUNCTYPE(None)(self.address(plan_table.clear_plans))
        self.Storage = self._storage_type()
        self.memory[memory.STORAGE_TYPE] = id(self.Storage)
        self.memory[memory.CACHE_LIMIT] = _cache_limit()
        self._keep.append(self._out_of_memory)
        self.memory[memory.ON_FAILURE] = id(self._keep[-1])
        for function in BUILTINS:
            made = self.builtin(function.name, self.address(function), METH_FASTCALL)
            setattr(self, function.name, made)
        self.set_threads(config.threads)
        atexit.register(self.stop_workers)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget_workers)
        dispatcher = unit.symbol(dispatch.dispatch)
        self._stubs = load(
            f"methods-{METHODS}",
            lambda: method_stubs(dispatcher),
            [f"method_{n}" for n in range(METHODS)],
            {dispatcher: self.symbols[dispatcher]},
            optimise=False,
        )

    def connect(
        self,
        tensor: type,
        parameter: type,
        node: type,
        leaf: type,
        edge: type,
        plan: type,
        miss: Any,
        fallback: Any,
        fail: Any,
    ) -> None:
        """Tells native code the engine's classes and the Python side of the dispatcher."""
        world = self.world
        known = {
            objects.TENSOR_TYPE: tensor, objects.PARAMETER_TYPE: parameter, objects.LEAF_TYPE: leaf,
            objects.EDGE_TYPE: edge, objects.PLAN_TYPE: plan, objects.LONG_TYPE: int,
            objects.FLOAT_TYPE: float, objects.BOOL_TYPE: bool, objects.COMPLEX_TYPE: complex,
            objects.TUPLE_TYPE: tuple, objects.LIST_TYPE: list, objects.SLICE_TYPE: slice,
            objects.SIZE_TYPE: Size, objects.DTYPE_TYPE: dtype, objects.STRING_TYPE: str,
            objects.DEVICE_TYPE: device, objects.NONE: None, objects.ELLIPSIS: Ellipsis,
            objects.TRUE: True, objects.ZERO: 0, objects.MISS: miss, objects.FALLBACK: fallback,
            objects.FAIL: fail, objects.FORMAT_TYPE: memory_format,
            objects.FLOAT32_DTYPE: float32, objects.FLOAT64_DTYPE: float64,
            objects.INT64_DTYPE: int64, objects.BOOL_DTYPE: bool_,
        }  # fmt: skip
        self._keep.append(known)
        for word, value in known.items():
            world[word] = id(value)
        members = {
            objects.SLOT_STORAGE: (tensor, "_storage"), objects.SLOT_SPEC: (tensor, "_spec"),
            objects.SLOT_OFFSET: (tensor, "_offset"), objects.SLOT_NODE: (tensor, "_edge"),
            objects.SLOT_BASE: (tensor, "_base"),
            objects.SPEC_SHAPE: (Spec, "shape"),
            objects.SPEC_STRIDES: (Spec, "strides"), objects.SPEC_CONTIGUOUS: (Spec, "contiguous"),
            objects.SPEC_ITEMSIZE: (Spec, "itemsize"), objects.SPEC_NUMEL: (Spec, "numel"),
            objects.SPEC_DTYPE: (Spec, "dtype"), objects.NODE_PLAN: (node, "_plan"),
            objects.NODE_EDGES: (node, "_edges"), objects.NODE_SAVED: (node, "_saved"),
            objects.NODE_HOOKS: (node, "_hooks"), objects.NODE_EXTRA: (node, "_extra"),
            objects.EDGE_NODE: (edge, "node"), objects.EDGE_INDEX: (edge, "index"),
            objects.PLAN_BLOCK: (plan, "block"),
            objects.SLOT_MADE: (tensor, "_made"),
            objects.NODE_ORDER: (Numbered, "_order"), objects.NODE_NEEDS: (Numbered, "_needs"),
            objects.NODE_PLACE: (Numbered, "_place"), objects.LEAF_GRAD: (leaf, "grad"),
            objects.LEAF_REFERENCE: (leaf, "reference"),
        }  # fmt: skip
        for word, (owner, name) in members.items():
            world[word] = slot_offset(owner, name)
        world[objects.SLICE_START] = object.__basicsize__

    def know(self, word: int, value: Any) -> None:
        """Tells native code one more object."""
        self._keep.append(value)
        self.world[word] = id(value)

    def address(self, function: NativeFunction) -> int:
        return self.symbols[f"core.{function.name}"]

    def _words(self, signature: Any, function: NativeFunction, count: int) -> Any:
        return (ctypes.c_int64 * count).from_address(signature(self.address(function))())

    def _definition(self, name: str, address: int, flags: int, doc: str | None) -> MethodDefinition:
        definition = MethodDefinition(name.encode(), address, flags, doc.encode() if doc else None)
        self._keep.append(definition)
        return definition

    def builtin(
        self, name: str, address: int, flags: int, bound: Any = None, doc: str | None = None
    ) -> Any:
        """A builtin function around native code; `bound` is what the native side gets as self."""
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = (
            ctypes.py_object,
            [ctypes.c_void_p, ctypes.py_object, ctypes.py_object],
        )
        return new(ctypes.addressof(self._definition(name, address, flags, doc)), bound, "flambeau")

    def function(self, number: int, name: str, doc: str | None = None) -> Callable[..., Any]:
        """The builtin function of op `number`."""
        flags = METH_FASTCALL | METH_KEYWORDS
        made: Callable[..., Any] = self.builtin(
            name, self.address(dispatch.call_function), flags, number, doc
        )
        return made

    def method(self, owner: type, number: int, name: str, doc: str | None = None) -> Any:
        """The method descriptor of op `number` for the class `owner`."""
        address, flags = self._stubs[f"method_{number}"], METH_FASTCALL | METH_KEYWORDS
        return self._descriptor(owner, name, address, flags, doc)

    def number_methods(self, owner: type) -> None:
        """Puts native code before the methods of the class `owner` that give numbers."""
        kept = tuple(vars(owner)[name] for name in numbers.METHODS)
        self.know(objects.NUMBER_METHODS, kept)
        functions = (numbers.to_number, numbers.to_float, numbers.to_int, numbers.to_bool)
        for function, slow in zip(functions, kept, strict=True):
            name, address = slow.__name__, self.address(function)
            setattr(
                owner, name, self._descriptor(owner, name, address, METH_FASTCALL, slow.__doc__)
            )

    def _descriptor(self, owner: type, name: str, address: int, flags: int, doc: str | None) -> Any:
        new = ctypes.pythonapi.PyDescr_NewMethod
        new.restype, new.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.c_void_p]
        return new(owner, ctypes.addressof(self._definition(name, address, flags, doc)))

    def _storage_type(self) -> type:
        members = (MemberDefinition * 7)(
            MemberDefinition(
                b"address", T_LONGLONG, 8 * memory.DATA, READONLY, b"`data`, not on tapes"
            ),
            MemberDefinition(b"nbytes", T_LONGLONG, 8 * memory.NBYTES, READONLY, b"size in bytes"),
            MemberDefinition(
                b"version", T_LONGLONG, 8 * memory.VERSION, 0, b"counts the in-place changes"
            ),
            MemberDefinition(
                b"owner", T_OBJECT, 8 * memory.OWNER, READONLY, b"who owns borrowed memory, or None"
            ),
            MemberDefinition(
                b"flags", T_LONGLONG, 8 * memory.FLAGS, 0, b"1: no memory (meta), 2: inference mode"
            ),
            MemberDefinition(b"epoch", T_LONGLONG, 8 * memory.EPOCH, 0, b"changes of graphs"),
        )
        getters = (GetterDefinition * 2)(
            GetterDefinition(
                b"data", self.address(memory.storage_data), None, b"address of the first byte"
            ),
        )
        slots = (TypeSlot * 5)(
            TypeSlot(PY_TP_DEALLOC, self.address(memory.free_storage)),
            TypeSlot(PY_TP_MEMBERS, ctypes.addressof(members)),
            TypeSlot(PY_TP_GETSET, ctypes.addressof(getters)),
            TypeSlot(PY_BF_GETBUFFER, self.address(memory.storage_buffer)),
        )
        specification = TypeSpecification(
            b"flambeau.Storage", memory.STORAGE_BYTES, 0, TPFLAGS_DEFAULT, slots
        )
        return make_type(specification, members, getters, slots)  # type: ignore[no-any-return]

    def _out_of_memory(self) -> None:
        """Raises torch's error, and says what is held;
        called by native code when the system has no more memory.
        """
        words = self.memory
        raise cannot_allocate(
            words[memory.REQUESTED], words[memory.IN_USE], words[memory.GIVEN_BACK]
        )

    def set_threads(self, count: int) -> None:
        """Number of threads that a long kernel runs on, this one included."""
        if count - 1 < self.pool[threads.STARTED]:
            self.stop_workers()
        self.pool[threads.WANTED] = min(count - 1, threads.MAX_WORKERS)

    def threads(self) -> int:
        return int(self.pool[threads.WANTED]) + 1


@functools.cache
def native_core() -> NativeCore:
    """The core of this process."""
    return NativeCore()


def _exists(symbol: str) -> bool:
    try:
        return bool(c_function(symbol))
    except OSError:
        # functions of other systems (_aligned_malloc, madvise) are declared but never called
        return False


def _cache_limit() -> int:
    """Freed memory kept for reuse: an eighth of the machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8
    except (AttributeError, ValueError, OSError):
        return 1 << 30
