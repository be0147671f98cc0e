"""Scalar expressions: the one description of what a kernel computes for one element.

An `Expr` is an immutable node (operation, arguments, dtype name); equal nodes are the same object.
It has the operators and methods of a Tensor, so a gradient rule or an op body written once serves
both. `codegen/emit.py` turns expressions into LLVM IR, `codegen/loops.py` and `codegen/reduce.py`
put loops around them, `ops/` and `compiler/` build them:

    >>> x, y = Expr.input(0, "float32"), Expr.input(1, "float32")
    >>> (x * y + 1).tanh()
    tanh(add(mul(in0, in1), 1.0))

Dtypes are written by name. float16 and bfloat16 exist in memory only: an input of such a dtype is a
float32 value. Mixed arguments are promoted as torch promotes tensors; Python numbers take the
category rule, with float32 as default float.
"""

from __future__ import annotations

import hashlib
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, overload

from flambeau.codegen.dtypes import (
    HALF,
    ITEMSIZE,
    KIND,
    Number,
    compute_dtype,
    constant_dtype,
    promote,
    real_dtype,
)
from flambeau.codegen.table import TABLE


class Expr:
    """One node of a scalar expression; build it with `Expr.input`, `Expr.constant`, operators and
    methods.
    """

    __slots__ = ("__weakref__", "_digest", "args", "dtype", "op", "value")
    op: str
    args: tuple[Expr, ...]
    dtype: str
    value: Any
    _digest: bytes | None
    __hash__ = object.__hash__

    @staticmethod
    def make(op: str, args: tuple[Expr, ...], dtype: str, value: Any = None) -> Expr:
        """The node itself, without promotion: what every other constructor ends in."""
        # Floats are keyed by their bits: 0.0 and -0.0 are different constants, and NaN equals
        # itself.
        exact = struct.pack("<d", value) if isinstance(value, float) else value
        key = (op, dtype, exact, *map(id, args))
        node = _nodes.get(key)
        if node is None:
            node = object.__new__(Expr)
            node.op, node.args, node.dtype, node.value, node._digest = op, args, dtype, value, None
            node = _nodes.setdefault(key, node)
        return node

    @staticmethod
    def input(index: int, dtype: str) -> Expr:
        """The element of operand `index`, stored as `dtype`.

        >>> Expr.input(1, "float16").dtype
        'float32'
        """
        return Expr.make("input", (), compute_dtype(dtype), (index, dtype))

    @staticmethod
    def slot(name: str, dtype: str) -> Expr:
        """A value that the loop around the expression provides under a name, such as an
        accumulator.
        """
        return Expr.make("slot", (), dtype, name)

    @staticmethod
    def constant(value: Number, dtype: str) -> Expr:
        """A constant of `dtype`; `value` is converted as Python converts it.

        >>> Expr.constant(2, "float32")
        2.0
        """
        dtype = compute_dtype(dtype)
        kind = KIND[dtype]
        if kind == "c":
            parts = complex(value)
            real = real_dtype(dtype)
            return Expr.make(
                "complex", (Expr.constant(parts.real, real), Expr.constant(parts.imag, real)), dtype
            )
        if isinstance(value, complex):
            raise TypeError(f"a complex constant cannot be {dtype}")
        if kind == "f":
            return Expr.make("constant", (), dtype, float(value))
        if kind == "b":
            return Expr.make("constant", (), dtype, int(bool(value)))
        bits = 8 * ITEMSIZE[dtype]
        wrapped = int(value) & ((1 << bits) - 1)
        if kind == "i" and wrapped >> (bits - 1):
            wrapped -= 1 << bits
        return Expr.make("constant", (), dtype, wrapped)

    @property
    def digest(self) -> bytes:
        """16 bytes that are equal exactly for equal expressions, in every process."""
        digest = self._digest
        if digest is None:
            for node in postorder((self,)):
                digest = node._digest
                if digest is None:
                    text = f"{node.op} {node.dtype} {node.value!r}".encode()
                    parts = b"".join(arg.digest for arg in node.args)
                    digest = node._digest = hashlib.blake2b(text + parts, digest_size=16).digest()
        assert digest is not None
        return digest

    def to(self, dtype: str) -> Expr:
        """The value converted to `dtype`; to float16 or bfloat16 it is rounded and stays a float32
        value.

        >>> Expr.input(0, "int64").to("float32")
        to(in0)
        """
        dtype = getattr(dtype, "name", dtype)
        if dtype in HALF:
            return Expr.make("round_to", (self.to("float32"),), "float32", dtype)
        if dtype == self.dtype:
            return self
        if self.op == "constant":
            if KIND[dtype] in "fcb" or KIND[self.dtype] in "iub":
                return Expr.constant(self.value, dtype)
        return Expr.make("to", (self,), dtype)

    def bitcast(self, dtype: str) -> Expr:
        """The same bits read as `dtype`, which must be as wide."""
        return Expr.make("bitcast", (self,), dtype)

    def checked(self, fails: Expr) -> Expr:
        """This value; a kernel that meets an element for which `fails` is true reports an error."""
        return Expr.make("checked", (self, fails), self.dtype)

    def unless(self, rare: Expr, slow: Expr) -> Expr:
        """This value, but `slow` where `rare` holds: kernels do not compute `slow` as long as
        nothing is rare.
        """
        return Expr.make("unless", (self, rare, slow), self.dtype)

    def renamed(self, names: dict[str, str]) -> Expr:
        """This expression with other slots in place of those named.

        >>> (Expr.slot("acc0", "int64") + 1).renamed({"acc0": "acc1"})
        add(acc1, 1)
        """
        if self.op == "slot":
            return Expr.slot(names.get(self.value, self.value), self.dtype)
        args = tuple(arg.renamed(names) for arg in self.args)
        return self if not args else Expr.make(self.op, args, self.dtype, self.value)

    def with_inputs(self, places: Mapping[int, Expr]) -> Expr:
        """This expression with others in place of its inputs.

        >>> (Expr.input(0, "int64") + 1).with_inputs({0: Expr.slot("x0", "int64")})
        add(x0, 1)
        """
        return self.rewritten(lambda node: places[node.value[0]] if node.op == "input" else None)

    def rewritten(self, change: Callable[[Expr], Expr | None]) -> Expr:
        """This expression with `change(node)` in place of the nodes for which it is not None."""
        made: dict[Expr, Expr] = {}
        for node in postorder((self,)):
            new = change(node)
            if new is None and node.args:
                args = tuple([made[arg] for arg in node.args])
                new = Expr.make(node.op, args, node.dtype, node.value)
            made[node] = node if new is None else new
        return made[self]

    def __bool__(self) -> bool:
        raise TypeError("a scalar expression has no truth value: use where()")

    def __repr__(self) -> str:
        if self.op == "input":
            return f"in{self.value[0]}"
        if self.op == "slot":
            return str(self.value)
        if self.op == "constant":
            return repr(self.value)
        return f"{self.op}({', '.join(map(repr, self.args))})"

    # Filled in below from the scalar table; listed here for readers and type checkers.
    abs: Callable[..., Expr]
    acos: Callable[..., Expr]
    acosh: Callable[..., Expr]
    angle: Callable[..., Expr]
    asin: Callable[..., Expr]
    asinh: Callable[..., Expr]
    atan: Callable[..., Expr]
    atan2: Callable[..., Expr]
    atanh: Callable[..., Expr]
    bitwise_and: Callable[..., Expr]
    bitwise_left_shift: Callable[..., Expr]
    bitwise_not: Callable[..., Expr]
    bitwise_or: Callable[..., Expr]
    bitwise_right_shift: Callable[..., Expr]
    bitwise_xor: Callable[..., Expr]
    ceil: Callable[..., Expr]
    conj: Callable[..., Expr]
    copysign: Callable[..., Expr]
    cos: Callable[..., Expr]
    cosh: Callable[..., Expr]
    digamma: Callable[..., Expr]
    erf: Callable[..., Expr]
    erfc: Callable[..., Expr]
    erfinv: Callable[..., Expr]
    exp: Callable[..., Expr]
    exp2: Callable[..., Expr]
    expm1: Callable[..., Expr]
    floor: Callable[..., Expr]
    floor_divide: Callable[..., Expr]
    fmax: Callable[..., Expr]
    fmin: Callable[..., Expr]
    fmod: Callable[..., Expr]
    frac: Callable[..., Expr]
    hypot: Callable[..., Expr]
    imag: Expr
    isfinite: Callable[..., Expr]
    isinf: Callable[..., Expr]
    isnan: Callable[..., Expr]
    lgamma: Callable[..., Expr]
    log: Callable[..., Expr]
    log10: Callable[..., Expr]
    log1p: Callable[..., Expr]
    log2: Callable[..., Expr]
    logical_and: Callable[..., Expr]
    logical_not: Callable[..., Expr]
    logical_or: Callable[..., Expr]
    logical_xor: Callable[..., Expr]
    maximum: Callable[..., Expr]
    minimum: Callable[..., Expr]
    nextafter: Callable[..., Expr]
    pow: Callable[..., Expr]
    real: Expr
    reciprocal: Callable[..., Expr]
    remainder: Callable[..., Expr]
    round: Callable[..., Expr]
    rsqrt: Callable[..., Expr]
    sgn: Callable[..., Expr]
    sigmoid: Callable[..., Expr]
    sign: Callable[..., Expr]
    signbit: Callable[..., Expr]
    sin: Callable[..., Expr]
    sinh: Callable[..., Expr]
    sqrt: Callable[..., Expr]
    square: Callable[..., Expr]
    tan: Callable[..., Expr]
    tanh: Callable[..., Expr]
    trunc: Callable[..., Expr]

    def __add__(self, other: Operand) -> Expr:
        return build("add", self, other)

    def __radd__(self, other: Number) -> Expr:
        return build("add", other, self)

    def __sub__(self, other: Operand) -> Expr:
        return build("sub", self, other)

    def __rsub__(self, other: Number) -> Expr:
        return build("sub", other, self)

    def __mul__(self, other: Operand) -> Expr:
        return build("mul", self, other)

    def __rmul__(self, other: Number) -> Expr:
        return build("mul", other, self)

    def __truediv__(self, other: Operand) -> Expr:
        return build("div", self, other)

    def __rtruediv__(self, other: Number) -> Expr:
        return build("div", other, self)

    def __floordiv__(self, other: Operand) -> Expr:
        return build("floor_divide", self, other)

    def __rfloordiv__(self, other: Number) -> Expr:
        return build("floor_divide", other, self)

    def __mod__(self, other: Operand) -> Expr:
        return build("remainder", self, other)

    def __rmod__(self, other: Number) -> Expr:
        return build("remainder", other, self)

    def __pow__(self, other: Operand) -> Expr:
        return build("pow", self, other)

    def __rpow__(self, other: Number) -> Expr:
        return build("pow", other, self)

    def __lshift__(self, other: Operand) -> Expr:
        return build("bitwise_left_shift", self, other)

    def __rshift__(self, other: Operand) -> Expr:
        return build("bitwise_right_shift", self, other)

    def __and__(self, other: Operand) -> Expr:
        return build("bitwise_and", self, other)

    def __rand__(self, other: Number) -> Expr:
        return build("bitwise_and", other, self)

    def __or__(self, other: Operand) -> Expr:
        return build("bitwise_or", self, other)

    def __ror__(self, other: Number) -> Expr:
        return build("bitwise_or", other, self)

    def __xor__(self, other: Operand) -> Expr:
        return build("bitwise_xor", self, other)

    def __rxor__(self, other: Number) -> Expr:
        return build("bitwise_xor", other, self)

    def __neg__(self) -> Expr:
        return build("neg", self)

    def __pos__(self) -> Expr:
        return self

    def __invert__(self) -> Expr:
        return build("bitwise_not", self)

    def __abs__(self) -> Expr:
        return build("abs", self)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return build("eq", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return build("ne", self, other)

    def __lt__(self, other: Operand) -> Expr:
        return build("lt", self, other)

    def __le__(self, other: Operand) -> Expr:
        return build("le", self, other)

    def __gt__(self, other: Operand) -> Expr:
        return build("gt", self, other)

    def __ge__(self, other: Operand) -> Expr:
        return build("ge", self, other)


Operand = Expr | Number
_nodes: weakref.WeakValueDictionary[tuple[Any, ...], Expr] = weakref.WeakValueDictionary()


def operands(values: Iterable[Any]) -> list[Expr]:
    """Expressions for `values`, all of the dtype in which they meet.

    >>> operands([Expr.input(0, "bool"), 2])
    [to(in0), 2]
    """
    values = list(values)
    dtype = ""
    for value in values:
        if isinstance(value, Expr):
            dtype = promote(dtype, value.dtype) if dtype else value.dtype
    for value in values:
        if not isinstance(value, Expr):
            if not isinstance(value, (bool, int, float, complex)):
                raise TypeError(
                    f"a scalar expression cannot be combined with {type(value).__name__}"
                )
            dtype = constant_dtype(value, dtype)
    return [v.to(dtype) if isinstance(v, Expr) else Expr.constant(v, dtype) for v in values]


def build(op: str, *values: Any) -> Expr:
    """The expression `op` of `values`, promoted by the rule in `op`'s row of the scalar table.

    >>> build("div", Expr.input(0, "int64"), 2).dtype
    'float32'
    """
    row = TABLE[op]
    if len(values) != row.arity:
        raise TypeError(f"{op} takes {row.arity} values, not {len(values)}")
    args = operands(values)
    dtype = args[0].dtype
    if "float" in row.result and KIND[dtype] in "bui":
        args = [arg.to("float32") for arg in args]
        dtype = "float32"
    if row.result == "bool":
        dtype = "bool"
    elif "real" in row.result:
        dtype = real_dtype(dtype)
    return Expr.make(op, tuple(args), dtype)


@overload
def where(condition: Expr, a: Operand, b: Operand) -> Expr: ...


@overload
def where(condition: Any, a: Any, b: Any) -> Any: ...


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where `condition` holds, else `b`: of expressions, or of Tensors through their own
    `where`.

    >>> x = Expr.input(0, "float32")
    >>> where(x <= 0, 0, x)
    where(le(in0, 0.0), 0.0, in0)
    """
    if not any(isinstance(value, Expr) for value in (condition, a, b)):
        if not isinstance(a, (bool, int, float, complex)):
            return a.where(condition, b)
        if not isinstance(b, (bool, int, float, complex)):
            return b.where(condition.logical_not(), a)
        raise TypeError("where() of two Python numbers needs a scalar expression as condition")
    if not isinstance(condition, Expr):
        return a if condition else b
    a, b = operands((a, b)) if isinstance(a, Expr) or isinstance(b, Expr) else _numbers(a, b)
    return Expr.make("where", (condition.to("bool"), a, b), a.dtype)


def _numbers(a: Number, b: Number) -> list[Expr]:
    dtype = "bool"
    for value in (a, b):
        dtype = constant_dtype(value, dtype)
    return [Expr.constant(a, dtype), Expr.constant(b, dtype)]


def fma(a: Operand, b: Operand, c: Operand) -> Expr:
    """`a * b + c`, in one rounding where the machine has the instruction."""
    return build("fma", a, b, c)


def library(function: str, *args: Expr) -> Expr:
    """A call of a C function on float64 values; a loop around it is not vectorised."""
    return Expr.make("library", args, "float64", function)


def postorder(roots: Iterable[Expr]) -> Iterator[Expr]:
    """Every node below `roots` once, arguments before what uses them."""
    seen: set[Expr] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in seen:
            continue
        if ready:
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))


def _method(op: str) -> Callable[..., Expr]:
    def method(self: Expr, *others: Operand) -> Expr:
        return build(op, self, *others)

    method.__name__, method.__doc__ = op, f"`{op}` of the scalar table."
    return method


for _op in TABLE:
    if _op in Expr.__annotations__:
        # the parts of complex numbers are attributes, as they are of a Tensor
        setattr(Expr, _op, property(_method(_op)) if _op in ("real", "imag") else _method(_op))

# The names that bodies and gradient rules may use on expressions and Tensors alike.
VOCABULARY = sorted([op for op in TABLE if op in Expr.__annotations__] + ["to", "where"])
