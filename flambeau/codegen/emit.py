"""LLVM IR text of scalar expressions: lowering to what has an instruction, then one line per node.

Called by `codegen/loops.py` and `codegen/reduce.py`, which put loops around the text. With `lanes >
1` the same templates act on explicit vectors. The output is plain text because building it is far
quicker than building llvmlite objects:

    >>> text = Emitter()
    >>> text.value(lower(Expr.input(0, "float32") * 2)[0], {(0, 0): "%x"})
    '%v1'
    >>> text.lines
    ['%v1 = fmul float %x, 0x4000000000000000']
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence

from flambeau.codegen import circular, exponential, math, special, special_loops  # noqa: F401 - they register expansions
from flambeau.codegen import complex as complex_rules
from flambeau.codegen.dtypes import ITEMSIZE, KIND, real_dtype
from flambeau.codegen.expr import Expr, postorder, where
from flambeau.codegen.table import TABLE

# What an expression reads: an operand's number or a slot's name, and the part of a complex value.
Slot = tuple[int | str, int]

# Square and multiply over the bits of the exponent.
INTEGER_POWER = """define internal {t} {name}({t} %base, {t} %exponent) nounwind memory(none) {{
entry:
  br label %head
head:
  %result = phi {t} [ 1, %entry ], [ %taken, %body ]
  %square = phi {t} [ %base, %entry ], [ %next, %body ]
  %left = phi {t} [ %exponent, %entry ], [ %rest, %body ]
  %over = icmp eq {t} %left, 0
  br i1 %over, label %done, label %body
body:
  %bit = trunc {t} %left to i1
  %product = mul {t} %result, %square
  %taken = select i1 %bit, {t} %product, {t} %result
  %next = mul {t} %square, %square
  %rest = lshr {t} %left, 1
  br label %head
done:
  ret {t} %result
}}"""

_LLVM = {"bool": "i1", "float16": "half", "float32": "float", "float64": "double"}
_CALL = re.compile(r"call (\S+|<[^>]+>) @([\w.]+)\((.*)\)$")


def llvm_type(dtype: str, lanes: int = 1) -> str:
    """The LLVM type of a computed value.

    >>> llvm_type("float32"), llvm_type("uint8", 4)
    ('float', '<4 x i8>')
    """
    scalar = _LLVM.get(dtype) or f"i{8 * ITEMSIZE[dtype]}"
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def memory_type(dtype: str, lanes: int = 1) -> str:
    """The LLVM type of a value in memory: bool takes a byte, bfloat16 its bits, a complex number
    stands for one of its parts.
    """
    return llvm_type({"bool": "uint8", "bfloat16": "uint16"}.get(dtype) or real_dtype(dtype), lanes)


def suffix(dtype: str, lanes: int = 1) -> str:
    """The type suffix of an intrinsic's name: f32, i64, v16f32."""
    scalar = ("f" if KIND[dtype] == "f" else "i") + (
        "1" if dtype == "bool" else str(8 * ITEMSIZE[dtype])
    )
    return scalar if lanes == 1 else f"v{lanes}{scalar}"


def literal(value: float | int, dtype: str) -> str:
    """A constant as LLVM writes it; floats are written by their bits.

    >>> literal(1.0, "float32"), literal(1, "bool"), literal(-3, "int8")
    ('0x3FF0000000000000', 'true', '-3')
    """
    if KIND[dtype] == "f":
        if dtype == "float32":
            value = round_to_float32(float(value))
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    if dtype == "bool":
        return "true" if value else "false"
    return str(int(value))


def round_to_float32(value: float) -> float:
    """The nearest float32; beyond the range an infinity."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def lower(root: Expr, known: dict[Expr, tuple[Expr, ...]] | None = None) -> tuple[Expr, ...]:
    """`root` in terms of operations that have an LLVM template: one expression, or two for a
    complex value.

    >>> lower(Expr.input(0, "float32").square())
    (mul(in0, in0),)
    """
    known = {} if known is None else known
    for node in postorder((root,)):
        if node not in known:
            known[node] = _lower_node(node, known)
    return known[root]


def _lower_node(node: Expr, known: dict[Expr, tuple[Expr, ...]]) -> tuple[Expr, ...]:
    args = [known[arg] for arg in node.args]
    if KIND[node.dtype] == "c" or any(len(parts) == 2 for parts in args):
        parts = complex_rules.expand(node, args)
        return tuple(lower(part, known)[0] for part in parts)
    plain = tuple(parts[0] for parts in args)
    if node.op in TABLE:
        expansion = math.find(math.narrowed(node), plain[0].dtype)
        if expansion is not None:
            return lower(expansion(*plain), known)
        if template(node.op, plain[0].dtype) is None:
            raise NotImplementedError(f"{node.op} is not implemented for {plain[0].dtype}")
    elif node.op == "round_to" and node.value == "bfloat16":
        return lower(math.from_bfloat16_bits(math.bfloat16_bits(plain[0])), known)
    elif node.op == "to":
        rounded = math.convert(plain[0], node.dtype)
        if rounded is not None:
            return lower(rounded, known)
    return (Expr.make(node.op, plain, node.dtype, node.value),)


def template(op: str, dtype: str) -> str | None:
    """The LLVM template of a table operation on arguments of `dtype`, None if it has none."""
    return TABLE[op].llvm.get(KIND[dtype])


def without_rare(roots: Sequence[Expr], slow: bool) -> list[Expr]:
    """Lowered expressions with every rare case resolved: left out, or computed and selected if
    `slow`.
    """
    new: dict[Expr, Expr] = {}
    for node in postorder(roots):
        args = tuple(new[arg] for arg in node.args)
        if node.op == "unless":
            new[node] = where(args[1], args[2], args[0]) if slow else args[0]
        else:
            new[node] = Expr.make(node.op, args, node.dtype, node.value)
    return [new[root] for root in roots]


def rare_cases(roots: Sequence[Expr]) -> list[Expr]:
    """The conditions under which lowered expressions have a rare case."""
    return without_rare(
        [node.args[1] for node in postorder(roots) if node.op == "unless"], slow=False
    )


class Emitter:
    """Collects the lines and declarations of one kernel; hands out value names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declarations: dict[str, str] = {}
        self.failures: list[str] = []
        self.block = "entry"
        self._phis: dict[str, int] = {}
        self._count = 0

    def name(self) -> str:
        """A fresh local name."""
        self._count += 1
        return f"%v{self._count}"

    def line(self, text: str) -> None:
        """Append one instruction or label."""
        self.lines.append(text)

    def let(self, text: str) -> str:
        """Append an instruction, return the name of its value."""
        name = self.name()
        self.lines.append(f"{name} = {text}")
        return name

    def at(self, base: str, offset: str) -> str:
        """The address `offset` bytes behind `base`."""
        return self.let(f"getelementptr inbounds i8, ptr {base}, i64 {offset}")

    def fresh(self, label: str) -> str:
        """A label that no other block has."""
        self._count += 1
        return f"{label}.{self._count}"

    def label(self, label: str) -> None:
        """Begin the block `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def phi(self, type_name: str, value: str, block: str) -> str:
        """A phi whose other values `arrive` later; its first value comes from `block`."""
        name = self.name()
        self._phis[name] = len(self.lines)
        self.lines.append(f"{name} = phi {type_name} [ {value}, %{block} ]")
        return name

    def arrive(self, phi: str, value: str) -> None:
        """Add to an earlier phi the value it has when control comes from the present block."""
        self.lines[self._phis[phi]] += f", [ {value}, %{self.block} ]"

    def call(self, text: str) -> str:
        """Append a call and declare its function; returns the name of the value."""
        match = _CALL.match(text)
        assert match is not None, text
        self.declare(match[1], match[2], match[3])
        return self.let(text)

    def declare(self, result: str, function: str, arguments: str) -> None:
        """Declare an external function from the argument list of a call to it."""
        types = re.findall(r"(<[^>]+>|\w+) [^,]+", arguments)
        attributes = "" if function.startswith("llvm.") else " nounwind willreturn memory(none)"
        self.declarations[function] = (
            f"declare {result} @{function}({', '.join(types)}){attributes}"
        )

    def value(
        self,
        root: Expr,
        inputs: Mapping[Slot, str],
        lanes: int = 1,
        known: dict[Expr, str] | None = None,
    ) -> str:
        """Append the computation of a lowered expression; `inputs` names the loaded values by
        (operand, part).
        """
        known = {} if known is None else known
        for node in postorder((root,)):
            if node not in known:
                known[node] = self._node(node, [known[arg] for arg in node.args], inputs, lanes)
        return known[root]

    def _node(self, node: Expr, names: list[str], inputs: Mapping[Slot, str], lanes: int) -> str:
        op, dtype = node.op, node.dtype
        if op == "input":
            return inputs[node.value[0], 0]
        if op == "part":
            return inputs[node.value]
        if op == "slot":
            return inputs[node.value, 0]
        if op == "constant":
            text = literal(node.value, dtype)
            return text if lanes == 1 else f"splat ({llvm_type(dtype)} {text})"
        types = [llvm_type(arg.dtype, lanes) for arg in node.args]
        if op == "unless":
            return self.let(
                f"select {types[1]} {names[1]}, {types[2]} {names[2]}, {types[0]} {names[0]}"
            )
        if op == "where":
            return self.let(
                f"select {types[0]} {names[0]}, {types[1]} {names[1]}, {types[2]} {names[2]}"
            )
        if op in ("to", "truncate"):
            return self.convert(names[0], node.args[0].dtype, dtype, lanes)
        if op == "bitcast":
            return self.let(f"bitcast {types[0]} {names[0]} to {llvm_type(dtype, lanes)}")
        if op == "library":
            return self._library(f"@{node.value}", dtype, names, lanes)
        if op == "native":
            for name, text in special_loops.pieces(node.value[0]).items():
                self.declarations.setdefault(name, text)
            return self._library(special_loops.symbol(node.value), dtype, names, lanes)
        if op == "integer_power":
            function = f"@integer_power.{suffix(dtype)}"
            self.declarations[function] = INTEGER_POWER.format(t=llvm_type(dtype), name=function)
            return self._library(function, dtype, names, lanes)
        if op == "round_to":
            half = self.let(f"fptrunc {types[0]} {names[0]} to {llvm_type(node.value, lanes)}")
            return self.let(f"fpext {llvm_type(node.value, lanes)} {half} to {types[0]}")
        if op == "checked":
            self.failures.append(names[1])
            return names[0]
        return self._apply(node, names, lanes)

    def _apply(self, node: Expr, names: list[str], lanes: int) -> str:
        argument = node.args[0].dtype
        text = template(node.op, argument)
        assert text is not None, node.op
        ones = "true" if argument == "bool" else "-1"
        text = text.format(
            *names,
            t=llvm_type(argument, lanes),
            s=suffix(argument, lanes),
            ones=ones if lanes == 1 else f"splat ({llvm_type(argument)} {ones})",
        )
        return self.call(text) if text.startswith("call") else self.let(text)

    def _library(self, function: str, dtype: str, names: list[str], lanes: int) -> str:
        """A call of a scalar function whose arguments have the dtype of the result; of vectors,
        lane by lane.
        """
        scalar, vector = llvm_type(dtype), llvm_type(dtype, lanes)
        if lanes == 1:
            text = f"call {scalar} {function}({', '.join(f'{scalar} {n}' for n in names)})"
            return self.let(text) if function in self.declarations else self.call(text)
        total = "poison"
        for lane in range(lanes):
            picked = [self.let(f"extractelement {vector} {name}, i64 {lane}") for name in names]
            one = self._library(function, dtype, picked, 1)
            total = self.let(f"insertelement {vector} {total}, {scalar} {one}, i64 {lane}")
        return total

    def convert(self, name: str, source: str, target: str, lanes: int = 1) -> str:
        """Convert between computed dtypes; float to integer must be in range (`math.convert` sees
        to it).
        """
        if source == target:
            return name
        old, new = llvm_type(source, lanes), llvm_type(target, lanes)
        a, b = KIND[source], KIND[target]
        if b == "b":
            zero = "zeroinitializer" if lanes > 1 else literal(0, source)
            return self.let(f"{'fcmp une' if a == 'f' else 'icmp ne'} {old} {name}, {zero}")
        if a == "f" and b == "f":
            instruction = "fpext" if ITEMSIZE[target] > ITEMSIZE[source] else "fptrunc"
        elif a == "f":
            instruction = "fptosi" if b == "i" else "fptoui"
        elif b == "f":
            instruction = "sitofp" if a == "i" else "uitofp"
        elif old == new:
            return name
        elif a != "b" and ITEMSIZE[target] < ITEMSIZE[source]:
            instruction = "trunc"
        else:
            instruction = "sext" if a == "i" else "zext"
        return self.let(f"{instruction} {old} {name} to {new}")

    def after_load(self, name: str, stored: str, lanes: int = 1) -> str:
        """A loaded memory value as a computed value."""
        if stored == "bool":
            zero = "0" if lanes == 1 else "zeroinitializer"
            return self.let(f"icmp ne {llvm_type('uint8', lanes)} {name}, {zero}")
        if stored == "float16":
            return self.let(
                f"fpext {llvm_type(stored, lanes)} {name} to {llvm_type('float32', lanes)}"
            )
        if stored == "bfloat16":
            return self._evaluate(
                math.from_bfloat16_bits(Expr.slot("bits", "uint16")), "bits", name, lanes
            )
        return name

    def _evaluate(self, expr: Expr, slot: str, name: str, lanes: int) -> str:
        return self.value(lower(expr)[0], {(slot, 0): name}, lanes)

    def before_store(self, name: str, dtype: str, stored: str, lanes: int = 1) -> str:
        """A computed value of `dtype` as it is stored in dtype `stored` (complex: one part)."""
        stored = real_dtype(stored)
        if stored == "bool":
            flag = self.convert(name, dtype, "bool", lanes)
            return self.let(
                f"zext {llvm_type('bool', lanes)} {flag} to {llvm_type('uint8', lanes)}"
            )
        if stored == "bfloat16":
            single = self.convert(name, dtype, "float32", lanes)
            return self._evaluate(
                math.bfloat16_bits(Expr.slot("single", "float32")), "single", single, lanes
            )
        if stored == "float16":
            single = self.convert(name, dtype, "float32", lanes)
            return self.let(
                f"fptrunc {llvm_type('float32', lanes)} {single} to {llvm_type(stored, lanes)}"
            )
        return self.convert(name, dtype, stored, lanes)

    def text(self, header: Iterable[str], footer: Iterable[str] = ()) -> str:
        """The module: declarations, then `header`, the collected lines and `footer`."""
        return "\n".join([*self.declarations.values(), *header, *self.lines, *footer, ""])
