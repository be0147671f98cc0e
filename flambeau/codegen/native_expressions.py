"""Compiles the expressions of native functions to LLVM IR, and finds what names stand for.

Mixed into codegen.native_compiler.FunctionCompiler, which adds the statements:

    compiler.value(ast.parse("a + 2 * b", mode="eval").body)        # Value("%v7", i64)
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from flambeau.codegen.native_intrinsics import Intrinsics, Value
from flambeau.codegen.native_language import (
    Extern,
    NativeFunction,
    Signature,
    Static,
    Type,
    f32,
    f64,
    i1,
    i64,
    pointer,
    ptr,
    void,
)


class CompileError(Exception):
    """Native code uses something outside the subset: names the line."""


class UnitLike(Protocol):
    """What the compiler needs of the unit that it compiles for."""

    externs: dict[str, Extern]
    statics: dict[str, Static]
    specialise: dict[str, Any]

    def symbol(self, function: NativeFunction) -> str:
        """The linker's name of a function."""


def float_literal(value: float, type: Type) -> str:
    # LLVM writes float constants as the hexadecimal bits of the double of equal value
    if type is f32:
        value = struct.unpack("f", struct.pack("f", value))[0]
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


BINARY = {
    ast.Add: ("add", "add", "fadd"), ast.Sub: ("sub", "sub", "fsub"),
    ast.Mult: ("mul", "mul", "fmul"), ast.FloorDiv: ("sdiv", "udiv", None),
    ast.Mod: ("srem", "urem", "frem"), ast.Div: (None, None, "fdiv"),
    ast.BitAnd: ("and", "and", None), ast.BitOr: ("or", "or", None),
    ast.BitXor: ("xor", "xor", None), ast.LShift: ("shl", "shl", None),
    ast.RShift: ("ashr", "lshr", None),
}  # fmt: skip
COMPARE = {
    ast.Eq: ("eq", "eq", "oeq"), ast.NotEq: ("ne", "ne", "une"), ast.Lt: ("slt", "ult", "olt"),
    ast.LtE: ("sle", "ule", "ole"), ast.Gt: ("sgt", "ugt", "ogt"), ast.GtE: ("sge", "uge", "oge"),
}  # fmt: skip


class ExpressionCompiler(Intrinsics):
    """Writes the instructions of expressions; knows the function's variables and the unit."""

    def __init__(self, unit: UnitLike, function: NativeFunction, exported: bool):
        self.unit, self.function, self.exported = unit, function, exported
        self.lines: list[str] = []
        self.frame: list[str] = []
        self.variables: dict[str, tuple[str, Type]] = {}
        self.loops: list[tuple[str, str]] = []
        self.called: list[NativeFunction] = []
        self.counter = 0
        self.closed = False
        self.line = 0

    # ---- helpers ---------------------------------------------------------
    def fail(self, what: str) -> NoReturn:
        raise CompileError(f"native function {self.function.name}, line {self.line}: {what}")

    def fresh(self) -> str:
        self.counter += 1
        return f"%v{self.counter}"

    def emit(self, instruction: str) -> None:
        # code after return/break is unreachable: LLVM wants none of it in the block
        if not self.closed:
            self.lines.append("  " + instruction)

    def let(self, instruction: str, type: Type) -> Value:
        name = self.fresh()
        self.emit(f"{name} = {instruction}")
        return Value(name, type)

    def label(self, name: str) -> None:
        if not self.closed:
            self.lines.append(f"  br label %{name}")
        self.lines.append(f"{name}:")
        self.closed = False

    def jump(self, instruction: str) -> None:
        self.emit(instruction)
        self.closed = True

    def new_label(self, hint: str) -> str:
        self.counter += 1
        return f"{hint}{self.counter}"

    def lookup(self, name: str) -> Any:
        if name in self.unit.specialise:
            return self.unit.specialise[name]
        scope = self.function.function.__globals__
        if name in scope:
            return scope[name]
        return {"range": range, "True": True, "False": False, "None": None, "len": len}.get(
            name, self
        )

    def evaluate(self, node: ast.expr) -> Any:
        """A compile-time object: a type, function, constant; `self` when it is none."""
        if isinstance(node, ast.Name):
            return self if node.id in self.variables else self.lookup(node.id)
        if isinstance(node, ast.Attribute):
            base = self.evaluate(node.value)
            return self if base is self else getattr(base, node.attr)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Call):
            function = self.evaluate(node.func)
            if function is pointer:
                return pointer(self.evaluate(node.args[0]))
        return self

    def annotation(self, node: ast.expr | None) -> Type:
        if node is None:
            return void
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        found = self.evaluate(node)
        if not isinstance(found, Type):
            self.fail(f"{ast.unparse(node)} is not a machine type")
        return found

    # ---- conditions ------------------------------------------------------
    def branch(self, test: ast.expr, yes: str, no: str) -> None:
        if isinstance(test, ast.BoolOp):
            for part in test.values[:-1]:
                following = self.new_label("and")
                if isinstance(test.op, ast.And):
                    self.branch(part, following, no)
                else:
                    self.branch(part, yes, following)
                self.label(following)
            self.branch(test.values[-1], yes, no)
            return
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.branch(test.operand, no, yes)
            return
        self.jump(f"br i1 {self.truth(self.value(test)).text}, label %{yes}, label %{no}")

    def truth(self, value: Value) -> Value:
        if value.type is i1:
            return value
        if value.type.kind == "float":
            return self.let(f"fcmp une {value.type.llvm} {value.text}, 0.0", i1)
        zero = "null" if value.type.kind == "pointer" else "0"
        return self.let(f"icmp ne {value.type.llvm} {value.text}, {zero}", i1)

    # ---- expressions -----------------------------------------------------
    def value(self, node: ast.expr) -> Value:
        compiler: Callable[[Any], Value] = getattr(
            self, "on_" + type(node).__name__, self.on_unknown
        )
        return compiler(node)

    def on_unknown(self, node: ast.expr) -> Value:
        self.fail(f"{type(node).__name__} is outside the native subset: {ast.unparse(node)}")

    def constant(self, value: Any) -> Value:
        if value is None:
            return Value("null", ptr)
        if isinstance(value, bool):
            return Value("true" if value else "false", i1)
        if isinstance(value, int):
            return Value(str(value), i64, value)
        if isinstance(value, float):
            return Value(float_literal(value, f64), f64, value)
        if isinstance(value, Static):
            self.unit.statics[value.symbol] = value
            if value.thread_local:
                return self.let(
                    f"call ptr @llvm.threadlocal.address.p0(ptr @{value.symbol})",
                    pointer(value.element),
                )
            return Value(f"@{value.symbol}", pointer(value.element))
        if isinstance(value, NativeFunction):
            self.called.append(value)
            return Value(f'@"{self.unit.symbol(value)}"', ptr)
        if isinstance(value, Extern):
            self.unit.externs[value.symbol] = value
            return Value(f"@{value.symbol}", ptr)
        self.fail(f"{value!r} has no meaning in native code")

    def on_Constant(self, node: ast.Constant) -> Value:
        return self.constant(node.value)

    def on_Name(self, node: ast.Name) -> Value:
        if node.id in self.variables:
            slot, type = self.variables[node.id]
            return self.let(f"load {type.llvm}, ptr {slot}", type)
        found = self.lookup(node.id)
        if found is self:
            self.fail(f"name {node.id!r} is not defined")
        return self.constant(found)

    def on_Attribute(self, node: ast.Attribute) -> Value:
        found = self.evaluate(node)
        if found is self:
            self.fail(f"{ast.unparse(node)} is no compile-time constant")
        return self.constant(found)

    def address(self, node: ast.Subscript) -> tuple[str, Type]:
        base = self.value(node.value)
        if base.type.element is None:
            self.fail(f"{ast.unparse(node.value)} is no pointer")
        index = self.convert(self.value(node.slice), i64)
        element = base.type.element
        return self.let(
            f"getelementptr {element.llvm}, ptr {base.text}, i64 {index.text}", base.type
        ).text, element

    def on_Subscript(self, node: ast.Subscript) -> Value:
        address, element = self.address(node)
        return self.let(
            f"load {element.llvm}, ptr {address}, align {max(1, element.bits // 8)}", element
        )

    def on_UnaryOp(self, node: ast.UnaryOp) -> Value:
        operand = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return self.let(f"xor i1 {self.truth(operand).text}, true", i1)
        if operand.literal is not None and isinstance(node.op, ast.USub):
            return self.constant(-operand.literal)
        if isinstance(node.op, ast.USub):
            if operand.type.kind == "float":
                return self.let(f"fneg {operand.type.llvm} {operand.text}", operand.type)
            return self.let(f"sub {operand.type.llvm} 0, {operand.text}", operand.type)
        if isinstance(node.op, ast.Invert):
            return self.let(f"xor {operand.type.llvm} {operand.text}, -1", operand.type)
        return operand

    def on_BinOp(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if left.literal is not None and right.literal is not None:
            return self.constant(
                eval(
                    compile(ast.Expression(node), "constant", "eval"),
                    {"__builtins__": {}},
                    _literals(node, self),
                )
            )
        if left.type.kind == "pointer" and right.type.kind == "int":
            if not isinstance(node.op, (ast.Add, ast.Sub)):
                self.fail("pointers can only be moved by + and -")
            distance = self.convert(right, i64)
            if isinstance(node.op, ast.Sub):
                distance = self.let(f"sub i64 0, {distance.text}", i64)
            assert left.type.element is not None
            return self.let(
                f"getelementptr {left.type.element.llvm}, ptr {left.text}, i64 {distance.text}",
                left.type,
            )
        if (
            left.type.kind == "pointer"
            and right.type.kind == "pointer"
            and isinstance(node.op, ast.Sub)
        ):
            return self.let(
                f"sub i64 {self.convert(left, i64).text}, {self.convert(right, i64).text}", i64
            )
        left, right = self.unify(left, right)
        signed, unsigned, floating = BINARY[type(node.op)]
        opcode = floating if left.type.kind == "float" else signed if left.type.signed else unsigned
        if opcode is None:
            self.fail(f"{ast.unparse(node)} is not defined for {left.type}")
        return self.let(f"{opcode} {left.type.llvm} {left.text}, {right.text}", left.type)

    def unify(self, left: Value, right: Value) -> tuple[Value, Value]:
        if left.type is right.type or left.type.llvm == right.type.llvm == "ptr":
            return left, right
        if right.literal is not None or right.text == "null":
            return left, self.convert(right, left.type)
        if left.literal is not None or left.text == "null":
            return self.convert(left, right.type), right
        if left.type.kind == right.type.kind:
            wide = left.type if left.type.bits >= right.type.bits else right.type
            return self.convert(left, wide), self.convert(right, wide)
        self.fail(f"mixes {left.type} and {right.type}: convert one of them")

    def on_Compare(self, node: ast.Compare) -> Value:
        left, result = self.value(node.left), None
        for operator, other in zip(node.ops, node.comparators, strict=True):
            right = self.value(other)
            a, b = self.unify(left, right)
            signed, unsigned, floating = COMPARE[type(operator)]
            if a.type.kind == "float":
                test = self.let(f"fcmp {floating} {a.type.llvm} {a.text}, {b.text}", i1)
            else:
                code = signed if a.type.signed and a.type.kind == "int" else unsigned
                test = self.let(f"icmp {code} {a.type.llvm} {a.text}, {b.text}", i1)
            result = test if result is None else self.let(f"and i1 {result.text}, {test.text}", i1)
            left = right
        assert result is not None
        return result

    def on_BoolOp(self, node: ast.BoolOp) -> Value:
        slot, yes, no, end = (
            f"%b{self.counter}.slot",
            *(self.new_label(h) for h in ("yes", "no", "end")),
        )
        self.frame.append(f"  {slot} = alloca i1")
        self.branch(node, yes, no)
        for label, text in ((yes, "true"), (no, "false")):
            self.label(label)
            self.emit(f"store i1 {text}, ptr {slot}")
            self.jump(f"br label %{end}")
        self.label(end)
        return self.let(f"load i1, ptr {slot}", i1)

    def on_IfExp(self, node: ast.IfExp) -> Value:
        test = self.truth(self.value(node.test))
        # both sides are evaluated: no side effects
        a, b = self.unify(self.value(node.body), self.value(node.orelse))
        return self.let(
            f"select i1 {test.text}, {a.type.llvm} {a.text}, {a.type.llvm} {b.text}", a.type
        )

    def on_Call(self, node: ast.Call) -> Value:
        function = self.evaluate(node.func)
        unknown = function is self
        if unknown and isinstance(node.func, ast.Call):  # Signature(...)(address)(arguments)
            signature = self.evaluate(node.func.func)
            if isinstance(signature, Signature):
                address = self.value(node.func.args[0])
                return self.call(
                    self.convert(address, ptr).text,
                    signature.result,
                    signature.arguments,
                    node.args,
                )
        if isinstance(function, Type):
            return self.convert(self.value(node.args[0]), function)
        if isinstance(function, Extern):
            self.unit.externs[function.symbol] = function
            return self.call(f"@{function.symbol}", function.result, function.arguments, node.args)
        if isinstance(function, NativeFunction):
            self.called.append(function)
            result, arguments = self.types_of(function)
            return self.call(f'@"{self.unit.symbol(function)}"', result, arguments, node.args)
        name = getattr(function, "__name__", None)
        if name and hasattr(self, "intrinsic_" + name):
            intrinsic: Callable[..., Value] = getattr(self, "intrinsic_" + name)
            return intrinsic(*node.args)
        self.fail(f"{ast.unparse(node.func)} cannot be called in native code")

    def types_of(self, function: NativeFunction) -> tuple[Type, tuple[Type, ...]]:
        tree = ast.parse(function.source()).body[0]
        assert isinstance(tree, ast.FunctionDef)
        reader = type(self)(self.unit, function, False)
        return reader.annotation(tree.returns), tuple(
            reader.annotation(a.annotation) for a in tree.args.args
        )

    def call(
        self, target: str, result: Type, types: tuple[Type, ...], nodes: list[ast.expr]
    ) -> Value:
        if len(types) != len(nodes):
            self.fail(f"{target} takes {len(types)} arguments, {len(nodes)} given")
        values = [self.convert(self.value(n), t) for n, t in zip(nodes, types, strict=True)]
        text = (
            f"call {result.llvm} {target}({', '.join(f'{v.type.llvm} {v.text}' for v in values)})"
        )
        if result is void:
            self.emit(text)
            return Value("", void)
        return self.let(text, result)

    def convert(self, value: Value, to: Type) -> Value:
        if value.type is to or value.type.llvm == to.llvm == "ptr":
            return Value(value.text, to, value.literal)
        if value.literal is not None:
            if to.kind == "float":
                return Value(float_literal(float(value.literal), to), to, float(value.literal))
            if to.kind == "int" and isinstance(value.literal, int):
                return Value(str(value.literal), to, value.literal)
        source, target = value.type, to
        kinds = (source.kind, target.kind)
        if kinds == ("int", "int"):
            if source.bits == target.bits:
                return Value(value.text, to)
            code = "trunc" if source.bits > target.bits else "sext" if source.signed else "zext"
        elif kinds == ("int", "float"):
            code = "sitofp" if source.signed else "uitofp"
        elif kinds == ("float", "int"):
            code = "fptosi" if target.signed else "fptoui"
        elif kinds == ("float", "float"):
            code = "fpext" if source.bits < target.bits else "fptrunc"
        elif kinds == ("pointer", "int"):
            code = "ptrtoint"
        elif kinds == ("int", "pointer"):
            value, code = self.convert(value, i64), "inttoptr"
            source = i64
        else:
            self.fail(f"cannot convert {source} to {target}")
        return self.let(f"{code} {source.llvm} {value.text} to {target.llvm}", to)


def _literals(node: ast.BinOp, compiler: ExpressionCompiler) -> dict[str, Any]:
    return {n.id: compiler.lookup(n.id) for n in ast.walk(node) if isinstance(n, ast.Name)}
