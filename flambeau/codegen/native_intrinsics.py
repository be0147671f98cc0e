"""Intrinsics of native code: what each expands to in LLVM IR.

Mixed into codegen.native_compiler.FunctionCompiler.

    before = atomic_add(counter, 1)         # atomicrmw add ptr %counter, i64 1 seq_cst
"""

from __future__ import annotations

import ast
import platform
from typing import Any

from flambeau.codegen.native_language import Type, i1, i64, pointer, u8, void


class Value:
    """An SSA value or a literal, with its type; literals adapt to the other operand's type."""

    __slots__ = ("text", "type", "literal")

    def __init__(self, text: str, type: Type, literal: Any = None):
        self.text, self.type, self.literal = text, type, literal


FLOAT_SUFFIX = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}


def _pause() -> str:
    machine = platform.machine().lower()
    return (
        "pause"
        if machine in ("x86_64", "amd64", "i686")
        else "yield"
        if machine in ("aarch64", "arm64")
        else ""
    )


PAUSE = _pause()
INTRINSICS = """declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.ctlz.i64(i64, i1)
declare i1 @llvm.expect.i1(i1, i1)
declare ptr @llvm.threadlocal.address.p0(ptr)
declare float @llvm.sqrt.f32(float)
declare double @llvm.sqrt.f64(double)
declare float @llvm.floor.f32(float)
declare double @llvm.floor.f64(double)
declare float @llvm.fma.f32(float, float, float)
declare double @llvm.fma.f64(double, double, double)
"""


class Intrinsics:
    """One method for each intrinsic; the compiler supplies `value`, `convert`, `let` and `emit`."""

    frame: list[str]

    def value(self, node: ast.expr) -> Value:
        """Compiles an expression."""
        raise NotImplementedError

    def convert(self, value: Value, to: Type) -> Value:
        """Converts a value."""
        raise NotImplementedError

    def let(self, instruction: str, type: Type) -> Value:
        """Names the result of an instruction."""
        raise NotImplementedError

    def emit(self, instruction: str) -> None:
        """Writes an instruction."""
        raise NotImplementedError

    def annotation(self, node: ast.expr | None) -> Type:
        """Reads a type."""
        raise NotImplementedError

    def truth(self, value: Value) -> Value:
        """A value as a condition."""
        raise NotImplementedError

    def constant(self, value: Any) -> Value:
        """A compile-time value."""
        raise NotImplementedError

    def intrinsic_stack(self, element: ast.expr, count: ast.expr) -> Value:
        type, number = self.annotation(element), self.value(count).literal
        name = f"%frame{len(self.frame)}"
        self.frame.append(f"  {name} = alloca [{number} x {type.llvm}], align 16")
        return Value(name, pointer(type))

    def intrinsic_sizeof(self, type: ast.expr) -> Value:
        return self.constant(self.annotation(type).bits // 8)

    def intrinsic_bitcast(self, type: ast.expr, node: ast.expr) -> Value:
        target, value = self.annotation(type), self.value(node)
        return self.let(f"bitcast {value.type.llvm} {value.text} to {target.llvm}", target)

    def intrinsic_atomic_add(self, where: ast.expr, amount: ast.expr) -> Value:
        return self.let(
            f"atomicrmw add ptr {self.value(where).text}, i64 "
            f"{self.convert(self.value(amount), i64).text} seq_cst",
            i64,
        )

    def intrinsic_atomic_load(self, where: ast.expr) -> Value:
        return self.let(f"load atomic i64, ptr {self.value(where).text} seq_cst, align 8", i64)

    def intrinsic_atomic_store(self, where: ast.expr, what: ast.expr) -> Value:
        self.emit(
            f"store atomic i64 {self.convert(self.value(what), i64).text}, "
            f"ptr {self.value(where).text} seq_cst, align 8"
        )
        return Value("", void)

    def intrinsic_atomic_swap(self, where: ast.expr, expected: ast.expr, new: ast.expr) -> Value:
        address = self.value(where).text
        old, other = self.convert(self.value(expected), i64), self.convert(self.value(new), i64)
        pair = self.let(
            f"cmpxchg ptr {address}, i64 {old.text}, i64 {other.text} seq_cst seq_cst", i64
        )
        return self.let(f"extractvalue {{ i64, i1 }} {pair.text}, 1", i1)

    def intrinsic_cpu_pause(self) -> Value:
        self.emit('call void asm sideeffect "' + PAUSE + '", ""()')
        return Value("", void)

    def intrinsic_copy_memory(self, target: ast.expr, source: ast.expr, count: ast.expr) -> Value:
        a, b, n = self.value(target), self.value(source), self.convert(self.value(count), i64)
        self.emit(
            f"call void @llvm.memmove.p0.p0.i64(ptr {a.text}, ptr {b.text}, i64 {n.text}, i1 false)"
        )
        return Value("", void)

    def intrinsic_fill_memory(self, target: ast.expr, byte: ast.expr, count: ast.expr) -> Value:
        a, b, n = (
            self.value(target),
            self.convert(self.value(byte), u8),
            self.convert(self.value(count), i64),
        )
        self.emit(
            f"call void @llvm.memset.p0.i64(ptr {a.text}, i8 {b.text}, i64 {n.text}, i1 false)"
        )
        return Value("", void)

    def intrinsic_count_leading_zeros(self, node: ast.expr) -> Value:
        return self.let(
            f"call i64 @llvm.ctlz.i64(i64 {self.convert(self.value(node), i64).text}, i1 false)",
            i64,
        )

    def unary_float(self, name: str, node: ast.expr) -> Value:
        value = self.value(node)
        return self.let(
            f"call {value.type.llvm} "
            f"@llvm.{name}.{FLOAT_SUFFIX[value.type.llvm]}({value.type.llvm} {value.text})",
            value.type,
        )

    def intrinsic_square_root(self, node: ast.expr) -> Value:
        return self.unary_float("sqrt", node)

    def intrinsic_floor_of(self, node: ast.expr) -> Value:
        return self.unary_float("floor", node)

    def intrinsic_fused_multiply_add(self, a: ast.expr, b: ast.expr, c: ast.expr) -> Value:
        x, y, z = self.value(a), self.value(b), self.value(c)
        t, suffix = x.type.llvm, FLOAT_SUFFIX[x.type.llvm]
        return self.let(
            f"call {t} @llvm.fma.{suffix}({t} {x.text}, {t} {y.text}, {t} {z.text})", x.type
        )

    def intrinsic_unlikely(self, node: ast.expr) -> Value:
        test = self.truth(self.value(node))
        return self.let(f"call i1 @llvm.expect.i1(i1 {test.text}, i1 false)", i1)
