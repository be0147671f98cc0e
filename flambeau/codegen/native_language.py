"""The words of native code: machine types, C functions, static memory, intrinsics, and the mark
`@native`.

Modules with native functions import them from codegen.native, where the language is described:

    values: f64p            # pointer to doubles
    free = Extern("free", void, ptr)
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flambeau.codegen.sources import remember, text_of


class Type:
    """A machine type. Calling it inside native code converts a value to it."""

    __slots__ = ("name", "llvm", "kind", "bits", "signed", "element")

    def __init__(
        self,
        name: str,
        llvm: str,
        kind: str,
        bits: int,
        signed: bool = True,
        element: Type | None = None,
    ):
        self.name, self.llvm, self.kind, self.bits = name, llvm, kind, bits
        self.signed, self.element = signed, element

    def __repr__(self) -> str:
        return self.name

    def __call__(self, value: Any) -> Any:
        raise TypeError(f"{self.name}(...) converts values inside native code only")


i1 = Type("i1", "i1", "int", 1, signed=False)
i8, i16, i32, i64 = (Type(f"i{n}", f"i{n}", "int", n) for n in (8, 16, 32, 64))
u8, u16, u32, u64 = (Type(f"u{n}", f"i{n}", "int", n, signed=False) for n in (8, 16, 32, 64))
f16, bf16 = Type("f16", "half", "float", 16), Type("bf16", "bfloat", "float", 16)
f32, f64 = Type("f32", "float", "float", 32), Type("f64", "double", "float", 64)
void = Type("void", "void", "void", 0)
ptr = Type("ptr", "ptr", "pointer", 64, signed=False, element=u8)


def pointer(element: Type) -> Type:
    """Pointer to `element`: indexing loads and stores elements, `+` moves by elements."""
    return Type(f"pointer({element.name})", "ptr", "pointer", 64, False, element)


ptrp, i64p, u64p, i32p, u32p, u8p = (pointer(t) for t in (ptr, i64, u64, i32, u32, u8))
f32p, f64p = pointer(f32), pointer(f64)


class Extern:
    """A C function found in the process (the C API,
    libc) or given by address when the unit is linked.
    """

    def __init__(self, symbol: str, result: Type, *arguments: Type):
        self.symbol, self.result, self.arguments = symbol, result, arguments


class Signature:
    """Type of a function pointer: `Signature(void, ptr, i64)(address)(p,
    n)` calls it inside native code.
    """

    def __init__(self, result: Type, *arguments: Type):
        self.result, self.arguments = result, arguments


class Static:
    """Zero-initialised memory that belongs to the unit;
    its name means a pointer to the first element.
    """

    def __init__(self, symbol: str, element: Type, count: int, thread_local: bool = False):
        self.symbol, self.element, self.count, self.thread_local = (
            symbol,
            element,
            count,
            thread_local,
        )


class NativeFunction:
    """A function of the subset; calling it from Python is an error, a `Unit` makes it callable."""

    def __init__(self, function: Callable[..., Any]):
        self.function, self.name = function, function.__name__
        remember(function.__code__.co_filename)
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def source(self) -> str:
        """The function's text, as it was when it was imported."""
        code = self.function.__code__
        lines = text_of(code.co_filename).splitlines(keepends=True)
        return textwrap.dedent("".join(inspect.getblock(lines[code.co_firstlineno - 1 :])))

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(f"native function {self.name} must be compiled in a Unit first")


# mypy: implicit-reexport
if TYPE_CHECKING:  # native functions are another language, which a type checker passes over
    from typing import no_type_check as native
else:

    def native(function: Callable[..., Any]) -> NativeFunction:
        """Mark `function` as native code."""
        return NativeFunction(function)


def intrinsic(name: str) -> Callable[..., Any]:
    def stand_in(*arguments: Any) -> Any:
        raise TypeError(f"{name} exists inside native code only")

    stand_in.__name__ = name
    return stand_in


stack = intrinsic("stack")  # stack(T, n): n elements in this function's frame, n constant
sizeof = intrinsic("sizeof")  # sizeof(T): bytes of one T
atomic_add = intrinsic("atomic_add")  # atomic_add(p, v): fetch and add, sequentially consistent
atomic_load = intrinsic("atomic_load")
atomic_store = intrinsic("atomic_store")
atomic_swap = intrinsic("atomic_swap")  # atomic_swap(p, expected, new) -> whether it was swapped
cpu_pause = intrinsic("cpu_pause")
copy_memory = intrinsic("copy_memory")  # copy_memory(target, source, bytes)
fill_memory = intrinsic("fill_memory")  # fill_memory(target, byte, bytes)
count_leading_zeros = intrinsic("count_leading_zeros")
bitcast = intrinsic("bitcast")  # bitcast(T, x): same bits, other type
square_root = intrinsic("square_root")
floor_of = intrinsic("floor_of")
fused_multiply_add = intrinsic("fused_multiply_add")
unlikely = intrinsic("unlikely")  # unlikely(condition): branch layout hint
