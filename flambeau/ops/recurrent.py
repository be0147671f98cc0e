"""Recurrent layers: all steps of one layer in one direction, and their gradients.

    out, h, c, kept, before = recurrent_forward(
        gates, hidden, cell, weight, None, None, mode="LSTM", steps=30, from_end=False
    )

`gates` are the products of the inputs, (rows of all steps, gates * H); `kept` is what the cell's
gradient needs, `before` the hidden state before each row's step. Each mode is a formula for one
element forward and one backward; ops.kernels.recurrent_native runs them between matrix products.
Called by nn.functional.recurrent, through ops.nn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau.codegen.expr import Expr, where
from flambeau.codegen.llvm import load
from flambeau.codegen.loops import plan_pointwise
from flambeau.codegen.native import Unit, f32, f64, pointer
from flambeau.core.spec import Spec
from flambeau.ops.kernels import gemm
from flambeau.ops.kernels import recurrent_native as native
from flambeau.ops.kernels.gemm_native import BLOCKS
from flambeau.ops.kernels.gemm_tiles import lanes_of
from flambeau.ops.kinds import Call, structured, view
from flambeau.ops.registry import engine
from flambeau.runtime.threads import parallel_for


class Formula(NamedTuple):
    """A cell for one element: names of what it reads and writes, as "array" or "array.column"."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    compute: Callable[..., tuple[Any, ...]]


def columns(name: str, count: int) -> tuple[str, ...]:
    """The names of the first columns of an array, each as wide as the state."""
    return tuple(f"{name}.{k}" for k in range(count))


def lstm(*values: Any) -> tuple[Any, ...]:
    """Hochreiter and Schmidhuber 1997, with forget gates."""
    i, f, g, o = (x + p for x, p in zip(values[:4], values[4:8], strict=True))
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    hidden, cell = values[8:]
    after = f * cell + i * g
    squashed = after.tanh()
    out = o * squashed
    return i, f, g, o, squashed, cell, hidden, out, out, after


def lstm_backward(*values: Any) -> tuple[Any, ...]:
    """The gradients of the gates, and of the cell before the step."""
    grad, dh, dc, i, f, g, o, squashed, before = values
    dh = grad + dh
    dc = dc + dh * o * (1 - squashed * squashed)
    d = (
        dc * g * i * (1 - i),
        dc * before * f * (1 - f),
        dc * i * (1 - g * g),
        dh * squashed * o * (1 - o),
    )
    return *d, *d, dc * f


def gru(*values: Any) -> tuple[Any, ...]:
    """Cho et al. 2014; the reset gate acts after the product with the hidden state."""
    xr, xz, xn, pr, pz, pn, hidden = values
    r, z = (xr + pr).sigmoid(), (xz + pz).sigmoid()
    n = (xn + r * pn).tanh()
    out = n + z * (hidden - n)
    return r, z, n, pn, hidden, out, out


def gru_backward(*values: Any) -> tuple[Any, ...]:
    """The gradients of the gates' two parts, and what goes to the state beside the product."""
    grad, dh, r, z, n, pn, hidden = values
    dh = grad + dh
    dz = dh * (hidden - n) * z * (1 - z)
    dn = dh * (1 - z) * (1 - n * n)
    dr = dn * pn * r * (1 - r)
    inner = (dr, dz, dn * r)
    return dr, dz, dn, *inner, *inner, dh * z


def rnn_tanh(x: Any, p: Any, hidden: Any) -> tuple[Any, ...]:
    """Elman's network."""
    out = (x + p).tanh()
    return out, hidden, out, out


def rnn_tanh_backward(grad: Any, dh: Any, out: Any) -> tuple[Any, ...]:
    """The gradient of the sum under the tanh."""
    d = (grad + dh) * (1 - out * out)
    return d, d


def rnn_relu(x: Any, p: Any, hidden: Any) -> tuple[Any, ...]:
    """Elman's network with a rectifier."""
    value = x + p
    out = where(value <= 0, 0.0, value)
    return out, hidden, out, out


def rnn_relu_backward(grad: Any, dh: Any, out: Any) -> tuple[Any, ...]:
    """The gradient of the sum under the rectifier."""
    d = where(out <= 0, 0.0, grad + dh)
    return d, d


class Mode(NamedTuple):
    """A kind of network: gates, columns that are kept for the gradient, and its formulas."""

    gates: int
    kept: int
    forward: Formula
    backward: Formula

    @property
    def has_cell(self) -> bool:
        """Whether the state has a second part."""
        return "cell" in self.forward.reads


def plain(forward: Any, backward: Any) -> Mode:
    """A network with one gate."""
    return Mode(
        1,
        1,
        Formula(("gates", "products", "hidden"), ("kept", "before", "out", "hidden"), forward),
        Formula(("grad", "hidden", "kept"), ("slopes", "products"), backward),
    )


MODES = {
    "LSTM": Mode(
        4,
        6,
        Formula(
            (*columns("gates", 4), *columns("products", 4), "hidden", "cell"),
            (*columns("kept", 6), "before", "out", "hidden", "cell"),
            lstm,
        ),
        Formula(
            ("grad", "hidden", "cell", *columns("kept", 6)),
            (*columns("slopes", 4), *columns("products", 4), "cell"),
            lstm_backward,
        ),
    ),
    "GRU": Mode(
        3,
        4,
        Formula(
            (*columns("gates", 3), *columns("products", 3), "hidden"),
            (*columns("kept", 4), "before", "out", "hidden"),
            gru,
        ),
        Formula(
            ("grad", "hidden", *columns("kept", 4), "before"),
            (*columns("slopes", 3), *columns("products", 3), *columns("inner", 3), "hidden"),
            gru_backward,
        ),
    ),
    "RNN_TANH": plain(rnn_tanh, rnn_tanh_backward),
    "RNN_RELU": plain(rnn_relu, rnn_relu_backward),
}  # fmt: skip


class Array(NamedTuple):
    """Where an array is: buffer, byte offset, whether its rows are the sequence's, their width."""

    buffer: int
    offset: int
    sequence: bool
    row: int


class Sizes(NamedTuple):
    """The sizes of a layer: rows of the sequence and of the batch, hidden size, columns of gates,
    steps; whether it runs from the end.
    """

    dtype: Any
    total: int
    batch: int
    hidden: int
    gates: int
    steps: int
    from_end: bool

    @property
    def bytes(self) -> int:
        """Of an element."""
        return int(self.dtype.itemsize)

    def product(self, weight: Spec, backward: bool) -> gemm.Product:
        """The matrix product of a step: state times turned weight, or gradient times weight."""
        n, k = (self.hidden, self.gates) if backward else (self.gates, self.hidden)
        outer, inner = weight.strides if backward else weight.strides[::-1]
        return gemm.Product(
            self.dtype.name, self.batch, n, k, (1, 1), (0, 0, k, 1), (0, 0, outer, inner), (0, 0, n)
        )


class Layer:
    """The arrays of a layer, as a plan's buffers hold them, and the run over its steps."""

    def __init__(self, sizes: Sizes, formula: Formula, weight: Spec, backward: bool):
        self.sizes, self.formula, self.backward = sizes, formula, backward
        self.words, elements = gemm.ready(sizes.product(weight, backward))
        self.scratch = -(-elements * sizes.bytes // 64) * 64
        self.arrays: dict[str, Array] = {}

    def add(self, name: str, buffer: int, width: int, sequence: bool = False) -> None:
        """An array in a buffer of its own."""
        self.arrays[name] = Array(buffer, 0, sequence, width * self.sizes.hidden)

    def add_scratch(self, name: str, buffer: int, row: int) -> None:
        """An array of the batch's rows in the scratch buffer, after the packed weight."""
        self.arrays[name] = Array(buffer, self.scratch, False, row)
        self.scratch += -(-self.sizes.batch * row * self.sizes.bytes // 64) * 64

    def cell(self) -> tuple[int, list[int], int]:
        """(address, parameters, items of a row) of the pointwise kernel of a step."""
        kind, batch = self.sizes.dtype.name, max(2, self.sizes.batch)
        names = (*self.formula.reads, *self.formula.writes)
        rows = [self.arrays[name.partition(".")[0]].row * self.sizes.bytes for name in names]
        inputs = [Expr.input(k, kind) for k in range(len(self.formula.reads))]
        loops = plan_pointwise(
            self.formula.compute(*inputs),
            (kind,) * len(inputs),
            (kind,) * len(self.formula.writes),
            (batch, self.sizes.hidden),
            [(row, self.sizes.bytes) for row in rows],
        )
        address = load(loops.symbol_name, loops.ir_text)[loops.symbol_name]
        return address, list(loops.params), loops.items // batch

    def run(self, plan: Any, buffers: dict[str, int], options: dict[str, Any]) -> Any:
        """Lets the plan run the layer. `buffers` are the numbers of those that are no arrays,
        `options` names the product's arrays and the states that are copied first.
        """
        sizes, bases = self.sizes, list(self.arrays)
        address, cell_params, unit = self.cell()
        names = [n.partition(".") for n in (*self.formula.reads, *self.formula.writes)]
        operands = [w for a, _, c in names for w in (bases.index(a), int(c or 0) * sizes.hidden)]
        state = sizes.batch * sizes.hidden * sizes.bytes
        copies = [w for pair in options["copies"] for w in (*pair, state)]
        words = [0] * native.HEAD_WORDS
        for place, table in (
            (native.BASES, [w for array in self.arrays.values() for w in array]),
            (native.OPERANDS, operands), (native.GEMM, self.words), (native.COPIES, copies),
            (native.CELL_PARAMS, cell_params),
        ):  # fmt: skip
            words[place] = len(words)
            words += [int(w) for w in table]
        threads, blocks = engine.core.threads(), self.words[BLOCKS]
        macs = sizes.total * sizes.gates * sizes.hidden
        chunk = -(-blocks // threads) if macs >= gemm.THREADED_FROM else blocks
        for place, value in (
            (native.STEPS, sizes.steps), (native.BATCH, sizes.batch), (native.TOTAL, sizes.total),
            (native.HIDDEN, sizes.hidden), (native.FROM_END, int(sizes.from_end)),
            (native.SIZES, buffers.get("sizes", -1)), (native.CELL, address),
            (native.CELL_UNIT, unit), (native.OPERAND_COUNT, len(names)),
            (native.PARALLEL, engine.core.address(parallel_for)), (native.CHUNK, chunk),
            (native.CHUNKS, -(-blocks // chunk)), (native.WEIGHT, buffers["weight"]),
            (native.BIAS, buffers.get("bias", -1)), (native.SCRATCH, buffers["scratch"]),
            (native.LEFT, bases.index(options["left"])),
            (native.RIGHT, bases.index(options["right"])),
            (native.TARGET, bases.index("hidden")), (native.ADDED, int(options["added"])),
            (native.COPY_COUNT, len(options["copies"])),
        ):  # fmt: skip
            words[place] = value
        code = recurrent_code(sizes.dtype.name, self.backward)
        return plan.use_native(code, words, 1, macs >> 3, 1, self.scratch)


@functools.cache
def recurrent_code(dtype: str, backward: bool) -> int:
    """Machine code of the loop over the steps."""
    kind = f32 if dtype == "float32" else f64
    unit = Unit(
        f"recurrent_{dtype}_{backward}", [native.recurrent], X=kind, C=kind, P=kind,
        XP=pointer(kind), CP=pointer(kind), BFLOAT=False, PAIRS=False, PER=1,
        LANES=lanes_of(dtype), BACKWARD=backward,
    )  # fmt: skip
    symbol = unit.symbol(native.recurrent)
    return load("recurrent-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


def numbered(call: Call, names: Sequence[str]) -> dict[str, int]:
    """The buffers of those tensor arguments that are given."""
    given = [name for name in names if call.arguments[name] is not None]
    return {name: number for number, name in enumerate(given)}


def without_kept(formula: Formula) -> Formula:
    """A cell that writes nothing for a gradient."""
    chosen = [i for i, w in enumerate(formula.writes) if not w.startswith(("kept", "before"))]

    def compute(*values: Any) -> tuple[Any, ...]:
        results = formula.compute(*values)
        return tuple(results[i] for i in chosen)

    return Formula(formula.reads, tuple(formula.writes[i] for i in chosen), compute)


@structured(public=None, methods=())
def recurrent_forward(
    call, gates, hidden, cell, weight, bias, sizes, *, mode, steps, from_end, keep=True
):
    """(out, hidden, [cell,] [kept, before]) of a layer; all operands but the weight contiguous.
    `keep`: whether a gradient may be asked for.

    `sizes`: rows of each step, or None where all have the batch's; `bias` is added to the products
    with the state.
    """
    kind, x, state = MODES[mode], gates._spec, hidden._spec
    batch, width = state.shape
    lengths = Sizes(x.dtype, x.shape[0], batch, width, x.shape[1], steps, from_end)
    places = numbered(call, ("gates", "hidden", "cell", "weight", "bias", "sizes"))
    rows = [x.like((x.shape[0], n * width)) for n in (1, kind.kept, 1)]
    states = [state.like((batch, width))] * (2 if kind.has_cell else 1)
    outputs = [rows[0], *states, *(rows[1:] if keep else ())]
    plan = call.plan(list(places), outputs)
    if plan.is_meta or not x.numel:
        return plan.use_native(0, [], 0)
    formula = kind.forward if keep else without_kept(kind.forward)
    layer, first = Layer(lengths, formula, weight._spec, False), len(places)
    scratch = first + len(outputs)
    layer.add("gates", 0, kind.gates, sequence=True)
    layer.add_scratch("products", scratch, x.shape[1])
    layer.add("out", first, 1, sequence=True)
    for number, name in enumerate(("hidden", "cell")[: len(states)]):
        layer.add(name, first + 1 + number, 1)
    if keep:
        layer.add("kept", scratch - 2, kind.kept, sequence=True)
        layer.add("before", scratch - 1, 1, sequence=True)
    copies = [(places[n], layer.arrays[n].buffer) for n in ("hidden", "cell") if n in places]
    options = {"left": "hidden", "right": "products", "added": False, "copies": copies}
    return layer.run(plan, {**places, "scratch": scratch}, options)


@structured(public=None, methods=())
def recurrent_backward(
    call, grad, hidden, cell, weight, kept, before, sizes, *, mode, steps, from_end
):
    """(slopes, hidden, [cell,] [inner]): the gradients of the gates, of the first state and, where
    they differ from those of the gates (GRU), of the products with the state. `hidden` and `cell`
    are the gradients of the last state.
    """
    kind, state = MODES[mode], hidden._spec
    batch, width = state.shape
    total, columns = grad.shape[0], kind.gates * width
    lengths = Sizes(state.dtype, total, batch, width, columns, steps, not from_end)
    places = numbered(call, ("grad", "hidden", "cell", "weight", "kept", "before", "sizes"))
    slopes, states = state.like((total, columns)), [state.like((batch, width))]
    split = any(name.startswith("inner") for name in kind.backward.writes)
    outputs = [slopes, *states * (2 if kind.has_cell else 1), *[slopes] * split]
    plan = call.plan(list(places), outputs)
    if plan.is_meta or not total * width:
        return plan.use_native(0, [], 0)
    layer, first = Layer(lengths, kind.backward, weight._spec, True), len(places)
    scratch = first + len(outputs)
    layer.add("grad", 0, 1, sequence=True)
    layer.add("kept", places["kept"], kind.kept, sequence=True)
    layer.add("before", places["before"], 1, sequence=True)
    layer.add("slopes", first, kind.gates, sequence=True)
    layer.add("hidden", first + 1, 1)
    if kind.has_cell:
        layer.add("cell", first + 2, 1)
    if split:
        layer.add("inner", scratch - 1, kind.gates, sequence=True)
    layer.add_scratch("products", scratch, columns)
    layer.add_scratch("moved", scratch, width)
    copies = [(places[n], layer.arrays[n].buffer) for n in ("hidden", "cell") if n in places]
    added = "hidden" in kind.backward.writes
    options = {"left": "products", "right": "moved", "added": added, "copies": copies}
    return layer.run(plan, {**places, "scratch": scratch}, options)


def _layer_node(input: Any, steps: int, mode: str) -> str:
    """torch's name of the node at a layer's end: oneDNN runs its LSTM, the others end in stack."""
    return "MkldnnRnnLayerBackward0" if mode == "LSTM" else "StackBackward0"


@view(public=None, methods=(), node=_layer_node, grad=lambda g: g.flatten(0, 1))
def steps_apart(input, steps, mode):
    """The outputs of a layer, (steps * N, H), as (steps, N, H)."""
    rows, width = input.shape
    step, along = input.strides
    return (steps, rows // max(steps, 1), width), (rows // max(steps, 1) * step, step, along), 0
