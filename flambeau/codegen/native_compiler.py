"""Compiles one native function: from its Python syntax tree to LLVM IR text.

Called by codegen.native.Unit; the expressions are in codegen.native_expressions:

    FunctionCompiler(unit, function, exported=True).compile()
    # 'define i64 @"unit.name"(...) {...}'

Every variable is a stack slot; LLVM turns the slots into registers.
"""

from __future__ import annotations

import ast
from typing import Any

from flambeau.codegen.native_expressions import ExpressionCompiler
from flambeau.codegen.native_intrinsics import Value
from flambeau.codegen.native_language import Type, i1, i64, void


class FunctionCompiler(ExpressionCompiler):
    """One function: walks its syntax tree once and writes instructions."""

    def compile(self) -> str:
        tree = ast.parse(self.function.source()).body[0]
        assert isinstance(tree, ast.FunctionDef)
        self.result = self.annotation(tree.returns)
        parameters = [(a.arg, self.annotation(a.annotation)) for a in tree.args.args]
        for name, type in parameters:
            self.declare(name, type)
            self.emit(f"store {type.llvm} %{name}, ptr {self.variables[name][0]}")
        body = tree.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        self.block(body)
        if not self.closed:
            if self.result is not void:
                self.fail("the end is reached without a return")
            self.emit("ret void")
        arguments = ", ".join(f"{t.llvm} %{n}" for n, t in parameters)
        linkage = "" if self.exported else "internal "
        head = (
            f"define {linkage}{self.result.llvm} "
            f'@"{self.unit.symbol(self.function)}"({arguments}) nounwind {{'
        )
        return "\n".join([head, "function.entry:", *self.frame, *self.lines, "}"])

    def declare(self, name: str, type: Type) -> str:
        slot = f"%{name}.slot"
        self.frame.append(f"  {slot} = alloca {type.llvm}")
        self.variables[name] = (slot, type)
        return slot

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.line = statement.lineno
            getattr(self, "do_" + type(statement).__name__, self.do_unknown)(statement)

    def do_unknown(self, s: ast.stmt) -> None:
        self.fail(f"{type(s).__name__} is outside the native subset")

    def do_Pass(self, s: ast.Pass) -> None:
        pass

    def do_Expr(self, s: ast.Expr) -> None:
        if not isinstance(s.value, ast.Constant):
            self.value(s.value)

    def do_Assign(self, s: ast.Assign) -> None:
        if isinstance(s.targets[0], ast.Tuple):
            assert isinstance(s.value, ast.Tuple)
            values = [self.value(v) for v in s.value.elts]
            for target, value in zip(s.targets[0].elts, values, strict=True):
                self.assign(target, value)
            return
        value = self.value(s.value)
        for target in s.targets:
            self.assign(target, value)

    def do_AnnAssign(self, s: ast.AnnAssign) -> None:
        assert isinstance(s.target, ast.Name)
        type = self.annotation(s.annotation)
        if s.target.id not in self.variables:
            self.declare(s.target.id, type)
        if s.value is not None:
            self.assign(s.target, self.convert(self.value(s.value), type))

    def do_AugAssign(self, s: ast.AugAssign) -> None:
        target: Any = s.target
        current = ast.copy_location(ast.BinOp(left=target, op=s.op, right=s.value), s)
        self.assign(target, self.value(current))

    def assign(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            if target.id not in self.variables:
                if value.literal is not None and value.type.kind == "int":
                    value = self.convert(value, i64)
                self.declare(target.id, value.type)
            slot, type = self.variables[target.id]
            self.emit(f"store {type.llvm} {self.convert(value, type).text}, ptr {slot}")
        elif isinstance(target, ast.Subscript):
            address, element = self.address(target)
            self.emit(
                f"store {element.llvm} {self.convert(value, element).text}, ptr {address}, "
                f"align {max(1, element.bits // 8)}"
            )
        else:
            self.fail(f"cannot assign to {ast.unparse(target)}")

    def do_Return(self, s: ast.Return) -> None:
        if s.value is None:
            self.jump("ret void")
        else:
            value = self.convert(self.value(s.value), self.result)
            self.jump(f"ret {self.result.llvm} {value.text}")

    def do_If(self, s: ast.If) -> None:
        constant = self.evaluate(s.test)
        # templates choose branches at compile time
        if constant is not self and isinstance(constant, (bool, int)):
            self.block(s.body if constant else s.orelse)
            return
        then, other, end = self.new_label("then"), self.new_label("else"), self.new_label("end")
        self.branch(s.test, then, other if s.orelse else end)
        self.label(then)
        self.block(s.body)
        self.jump(f"br label %{end}")
        if s.orelse:
            self.label(other)
            self.block(s.orelse)
            self.jump(f"br label %{end}")
        self.label(end)

    def do_While(self, s: ast.While) -> None:
        head, body, end = self.new_label("while"), self.new_label("body"), self.new_label("end")
        self.label(head)
        self.branch(s.test, body, end)
        self.label(body)
        self.loops.append((head, end))
        self.block(s.body)
        self.loops.pop()
        self.jump(f"br label %{head}")
        self.label(end)

    def do_For(self, s: ast.For) -> None:
        if not (
            isinstance(s.iter, ast.Call)
            and self.evaluate(s.iter.func) is range
            and isinstance(s.target, ast.Name)
        ):
            self.fail("only `for NAME in range(...)` is supported")
        bounds = [self.value(a) for a in s.iter.args]
        start = Value("0", i64, 0) if len(bounds) == 1 else bounds[0]
        stop = self.convert(bounds[0] if len(bounds) == 1 else bounds[1], i64)
        step = bounds[2] if len(bounds) == 3 else Value("1", i64, 1)
        name = s.target.id
        if name not in self.variables:
            self.declare(name, i64)
        slot = self.variables[name][0]
        self.emit(f"store i64 {self.convert(start, i64).text}, ptr {slot}")
        head, body = self.new_label("for"), self.new_label("body")
        following, end = self.new_label("next"), self.new_label("end")
        self.label(head)
        current = self.let(f"load i64, ptr {slot}", i64)
        down = isinstance(step.literal, int) and step.literal < 0
        inside = self.let(f"icmp {'sgt' if down else 'slt'} i64 {current.text}, {stop.text}", i1)
        self.jump(f"br i1 {inside.text}, label %{body}, label %{end}")
        self.label(body)
        self.loops.append((following, end))
        self.block(s.body)
        self.loops.pop()
        self.label(following)
        current = self.let(f"load i64, ptr {slot}", i64)
        advanced = self.let(f"add nsw i64 {current.text}, {self.convert(step, i64).text}", i64)
        self.emit(f"store i64 {advanced.text}, ptr {slot}")
        self.jump(f"br label %{head}")
        self.label(end)

    def do_Break(self, s: ast.Break) -> None:
        self.jump(f"br label %{self.loops[-1][1]}")

    def do_Continue(self, s: ast.Continue) -> None:
        self.jump(f"br label %{self.loops[-1][0]}")
