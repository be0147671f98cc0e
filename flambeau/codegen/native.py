"""Native functions written in Python: a small typed subset, compiled to LLVM IR text.

The allocator, the dispatcher, the thread pool and irregular kernels are ordinary algorithms, not
loop nests over tensors. They are written here as Python functions whose types are annotated, and
compiled, never interpreted:

    @native
    def total(values: f64p, count: i64) -> f64:
        result = f64(0)
        for i in range(count):
            result += values[i]
        return result

    unit = Unit("example", [total])          # runtime code asks codegen.llvm to compile and link it
    print(unit.ir())

What the subset has: integers, floats and pointers (`i64`, `f32`, `ptr`, `pointer(i64)`),
arithmetic, comparisons, `and`/`or`/`not` with short circuit, conditional expressions,
`if`/`while`/`for ... in range(...)`, `break`, `continue`, `return`, calls of other native functions
and of C functions (`extern`). `p[i]` loads and stores, `p + n` moves a pointer by n elements (bytes
for `ptr`), `T(x)` converts. Differences from Python: `//` and `%` truncate as in C, integers wrap
around, a variable keeps the type of its first assignment. Module constants (ints, floats, types)
are compiled in; `specialise` replaces some of them, which gives templates: `Unit("sum", [total],
T=f32)`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flambeau.codegen.native_compiler import FunctionCompiler as FunctionCompiler
from flambeau.codegen.native_expressions import CompileError as CompileError
from flambeau.codegen.native_intrinsics import INTRINSICS
from flambeau.codegen.native_language import Extern as Extern
from flambeau.codegen.native_language import NativeFunction as NativeFunction
from flambeau.codegen.native_language import Signature as Signature
from flambeau.codegen.native_language import Static as Static
from flambeau.codegen.native_language import Type as Type
from flambeau.codegen.native_language import atomic_add as atomic_add
from flambeau.codegen.native_language import atomic_load as atomic_load
from flambeau.codegen.native_language import atomic_store as atomic_store
from flambeau.codegen.native_language import atomic_swap as atomic_swap
from flambeau.codegen.native_language import bf16 as bf16
from flambeau.codegen.native_language import bitcast as bitcast
from flambeau.codegen.native_language import copy_memory as copy_memory
from flambeau.codegen.native_language import count_leading_zeros as count_leading_zeros
from flambeau.codegen.native_language import cpu_pause as cpu_pause
from flambeau.codegen.native_language import f16 as f16
from flambeau.codegen.native_language import f32 as f32
from flambeau.codegen.native_language import f32p as f32p
from flambeau.codegen.native_language import f64 as f64
from flambeau.codegen.native_language import f64p as f64p
from flambeau.codegen.native_language import fill_memory as fill_memory
from flambeau.codegen.native_language import floor_of as floor_of
from flambeau.codegen.native_language import fused_multiply_add as fused_multiply_add
from flambeau.codegen.native_language import i1 as i1
from flambeau.codegen.native_language import i8 as i8
from flambeau.codegen.native_language import i16 as i16
from flambeau.codegen.native_language import i32 as i32
from flambeau.codegen.native_language import i32p as i32p
from flambeau.codegen.native_language import i64 as i64
from flambeau.codegen.native_language import i64p as i64p
from flambeau.codegen.native_language import intrinsic as intrinsic
from flambeau.codegen.native_language import native as native
from flambeau.codegen.native_language import pointer as pointer
from flambeau.codegen.native_language import ptr as ptr
from flambeau.codegen.native_language import ptrp as ptrp
from flambeau.codegen.native_language import sizeof as sizeof
from flambeau.codegen.native_language import square_root as square_root
from flambeau.codegen.native_language import stack as stack
from flambeau.codegen.native_language import u8 as u8
from flambeau.codegen.native_language import u8p as u8p
from flambeau.codegen.native_language import u16 as u16
from flambeau.codegen.native_language import u32 as u32
from flambeau.codegen.native_language import u32p as u32p
from flambeau.codegen.native_language import u64 as u64
from flambeau.codegen.native_language import u64p as u64p
from flambeau.codegen.native_language import unlikely as unlikely
from flambeau.codegen.native_language import void as void
from flambeau.codegen.sources import digest_of, version_of

CONSTANTS = (bool, int, float, str, Type)  # kinds of constants that native code can be made of


class Unit:
    """Native functions compiled and linked together.

    `functions` are exported under their names; what they call is pulled in. `specialise` gives
    names that stand for other values than in the functions' modules (types and constants of a
    template).
    """

    def __init__(self, name: str, functions: list[NativeFunction], **specialise: Any):
        self.name, self.functions, self.specialise = name, functions, specialise
        self.externs: dict[str, Extern] = {}
        self.statics: dict[str, Static] = {}
        self._text: str | None = None

    def symbol(self, function: NativeFunction) -> str:
        return f"{self.name}.{function.name}"

    def key(self) -> str:
        """Identity of the generated code, without generating it: the sources of the functions and
        of those that they may call, the constants that they see, and the compiler.
        """
        digest = hashlib.sha256(f"{version_of(__name__)} {self.name}".encode())
        for name, value in sorted(self.specialise.items()):
            digest.update(f"{name}={value!r};".encode())
        for file, scope in sorted(self._scopes().items()):
            digest.update(digest_of(file).encode())
            for name, value in scope.items():
                if isinstance(value, CONSTANTS):
                    digest.update(f"{name}={value!r};".encode())
        return digest.hexdigest()[:32]

    def _scopes(self) -> dict[str, dict[str, Any]]:
        """The source files of the functions, and of every native function that their modules name,
        with the names that they see.
        """
        found: dict[str, dict[str, Any]] = {}
        pending = list(self.functions)
        while pending:
            function = pending.pop().function
            file = function.__code__.co_filename
            if file not in found:
                found[file] = scope = function.__globals__
                pending += [value for value in scope.values() if isinstance(value, NativeFunction)]
        return found

    def text_with_intrinsics(self) -> str:
        """What codegen.llvm compiles: `ir()` and the declarations of LLVM's own functions."""
        return INTRINSICS + self.ir()

    def ir(self) -> str:
        """The LLVM IR text of the whole unit."""
        if self._text is None:
            pending, bodies = list(self.functions), []
            seen: dict[str, NativeFunction] = {}
            compiled: set[NativeFunction] = set()
            exported = {f.name for f in self.functions}
            while pending:
                function = pending.pop()
                if seen.setdefault(function.name, function) is not function:
                    raise CompileError(f"two functions of unit {self.name} are {function.name}")
                if function not in compiled:
                    compiled.add(function)
                    compiler = FunctionCompiler(self, function, function.name in exported)
                    bodies.append(compiler.compile())
                    pending.extend(compiler.called)
            heads = [
                f"declare {e.result.llvm} @{e.symbol}({', '.join(a.llvm for a in e.arguments)})"
                for e in self.externs.values()
            ]
            for s in self.statics.values():
                storage = "thread_local global" if s.thread_local else "global"
                heads.append(
                    f"@{s.symbol} = internal {storage} [{s.count} x {s.element.llvm}] "
                    "zeroinitializer, align 64"
                )
            self._text = "\n".join(heads + bodies)
        return self._text
