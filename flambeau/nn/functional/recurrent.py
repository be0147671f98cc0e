"""Recurrent networks. Called by `nn.modules.rnn`.

A layer in single or double precision is one call of `flambeau.ops.nn.recurrent_forward`, its
gradient one of `recurrent_backward`. The same step by step, in plain tensor operations, serves
projections, other dtypes, and gradients of gradients.

A sequence is either (T, N, F) or packed: the rows of all steps below one another, step t having
`batch_sizes[t]` rows, the longest samples first. G is the number of rows of the weights: gates
times hidden.

>>> x, h, w = torch.zeros(1, 2), torch.zeros(1, 3), torch.zeros(3, 2)
>>> from flambeau.nn.functional.recurrent import CELLS
>>> CELLS["RNN_TANH"](torch.zeros(1, 3), (h,), torch.zeros(3, 3), None, None)[0].shape
torch.Size([1, 3])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import in_lower_precision
from .activation import relu
from .dropout import dropout
from .linear import linear

if TYPE_CHECKING:
    from flambeau import Tensor

State = tuple["Tensor", ...]


def _tanh_cell(
    gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None
) -> State:
    return (flambeau.tanh(gates + linear(state[0], w_hh, b_hh)),)


def _relu_cell(
    gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None
) -> State:
    return (relu(gates + linear(state[0], w_hh, b_hh)),)


def _lstm_cell(
    gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None
) -> State:
    """Hochreiter and Schmidhuber 1997, with forget gates; `w_hr` projects the hidden state."""
    hidden, cell = state
    i, f, g, o = (gates + linear(hidden, w_hh, b_hh)).chunk(4, 1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    hidden = o.sigmoid() * cell.tanh()
    return (hidden if w_hr is None else linear(hidden, w_hr)), cell


def _gru_cell(
    gates: Tensor, state: State, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None
) -> State:
    """Cho et al. 2014; the reset gate acts after the product with the hidden state."""
    (hidden,) = state
    r_x, z_x, n_x = gates.chunk(3, 1)
    r_h, z_h, n_h = linear(hidden, w_hh, b_hh).chunk(3, 1)
    r = (r_x + r_h).sigmoid()
    z = (z_x + z_h).sigmoid()
    n = (n_x + r * n_h).tanh()
    return (n + z * (hidden - n),)


# (gates of the input (N, G), state, w_hh, b_hh, w_hr) -> state
CELLS: dict[str, Callable[..., State]] = {
    "RNN_TANH": _tanh_cell,
    "RNN_RELU": _relu_cell,
    "LSTM": _lstm_cell,
    "GRU": _gru_cell,
}


def _run_forward(
    step: Callable[[Tensor, State], State], inputs: Sequence[Tensor], state: State
) -> tuple[list[Tensor], State]:
    """Run over the steps; samples that end leave the state at their last step."""
    outputs = []
    ended: list[State] = []
    for gates in inputs:
        rows = gates.size(0)
        if rows < state[0].size(0):
            ended.append(tuple(s[rows:] for s in state))
            state = tuple(s[:rows] for s in state)
        state = step(gates, state)
        outputs.append(state[0])
    if ended:
        parts = [state, *reversed(ended)]
        state = tuple(flambeau.cat(column) for column in zip(*parts))
    return outputs, state


def _run_backward(
    step: Callable[[Tensor, State], State], inputs: Sequence[Tensor], initial: State
) -> tuple[list[Tensor], State]:
    """Run from the last step to the first; samples that are shorter join at their own last step."""
    outputs = []
    state = tuple(s[: inputs[-1].size(0)] for s in initial)
    for gates in reversed(inputs):
        rows, have = gates.size(0), state[0].size(0)
        if rows > have:
            state = tuple(flambeau.cat([s, first[have:rows]]) for s, first in zip(state, initial))
        state = step(gates, state)
        outputs.append(state[0])
    return outputs[::-1], state


def _run_steps(
    mode: str,
    gates: Tensor,
    lengths: list[int],
    state: State,
    weights: tuple[Tensor, Tensor | None, Tensor | None],
    reverse: bool,
) -> tuple[Tensor, ...]:
    """A layer step by step: the outputs of all steps below one another, and the last state."""

    def step(gates: Tensor, state: State) -> State:
        return CELLS[mode](gates, state, *weights)

    run = _run_backward if reverse else _run_forward
    outputs, state = run(step, gates.split(lengths), state)
    return flambeau.cat(outputs), *state


def _records(*tensors: Tensor | None) -> bool:
    """Whether a gradient by one of the tensors may be asked for."""
    needed = any(t is not None and t.requires_grad for t in tensors)
    return needed and flambeau.is_grad_enabled()


def _run_native(
    mode: str,
    gates: Tensor,
    lengths: list[int],
    sizes: Tensor | None,
    weight: Tensor,
    bias: Tensor | None,
    reverse: bool,
    state: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """The outputs and the last state of a layer that no gradient will go through."""
    hidden, cell = (*state, None)[:2]
    return flambeau.ops.nn.recurrent_forward(
        gates, hidden, cell, weight, bias, sizes,
        mode=mode, steps=len(lengths), from_end=reverse, keep=False,
    )  # fmt: skip


class _Layer(flambeau.autograd.Function):
    """A layer in one direction from the gates of its inputs, in one native call."""

    @staticmethod
    def forward(
        ctx: Any,
        mode: str,
        gates: Tensor,
        lengths: list[int],
        sizes: Tensor | None,
        weight: Tensor,
        bias: Tensor | None,
        reverse: bool,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        hidden, cell = (*state, None)[:2]
        ctx.options = {"mode": mode, "steps": len(lengths), "from_end": reverse}
        ctx.lengths = lengths
        *results, kept, before = flambeau.ops.nn.recurrent_forward(
            gates, hidden, cell, weight, bias, sizes, **ctx.options
        )
        ctx.save_for_backward(gates, weight, bias, sizes, kept, before, *state)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *grads: Tensor) -> tuple[Any, ...]:
        gates, weight, bias, sizes, kept, before, *state = ctx.saved_tensors
        if flambeau.is_grad_enabled():
            inputs = (gates, weight, bias, *state)
            found = _step_gradients(ctx, inputs, (grad, *grads))
            return None, found[0], None, None, *found[1:3], None, *found[3:]
        hidden, cell = (*(g.contiguous() for g in grads), None)[:2]
        slopes, *rest = flambeau.ops.nn.recurrent_backward(
            grad.contiguous(), hidden, cell, weight, kept, before, sizes, **ctx.options
        )
        inner = rest[len(state)] if len(rest) > len(state) else slopes
        weight_grad = inner.t().mm(before) if ctx.needs_input_grad[4] else None
        bias_grad = inner.sum(0) if bias is not None and ctx.needs_input_grad[5] else None
        return None, slopes, None, None, weight_grad, bias_grad, None, *rest[: len(state)]


def _step_gradients(
    ctx: Any, inputs: Sequence[Tensor | None], grads: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of gates, weight, bias and state as recorded tensors: the layer is run again,
    step by step.
    """
    gates, weight, bias, *state = inputs
    outputs = _run_steps(
        ctx.options["mode"],
        gates,
        ctx.lengths,
        tuple(state),
        (weight, bias, None),
        ctx.options["from_end"],
    )
    wanted = [x for x in inputs if x is not None and x.requires_grad]
    found = iter(flambeau.autograd.grad(outputs, wanted, grads, create_graph=True))
    return [next(found) if x is not None and x.requires_grad else None for x in inputs]


def _run_layer(
    mode: str,
    input: Tensor,
    batch_sizes: list[int] | None,
    state: State,
    weights: Sequence[Tensor],
    has_biases: bool,
    reverse: bool,
) -> tuple[Tensor, State]:
    """One layer in one direction."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh = rest[:2] if has_biases else (None, None)
    w_hr = rest[-1] if len(weights) in (3, 5) else None
    packed = batch_sizes is not None
    lengths = batch_sizes if packed else [input.size(1)] * input.size(0)
    native = w_hr is None and input.dtype in (flambeau.float32, flambeau.float64)
    native = native and not flambeau.is_autocast_enabled("cpu")
    if native and has_biases and mode != "GRU":  # GRU's reset gate needs them apart
        b_ih, b_hh = b_ih + b_hh, None
    gates = linear(input, w_ih, b_ih).flatten(0, -2)  # for all steps at once
    if native:
        sizes = flambeau.tensor(lengths) if packed else None
        start = [s.contiguous() for s in state]
        if _records(gates, w_hh, b_hh, *start):
            output, *state = _Layer.apply(mode, gates, lengths, sizes, w_hh, b_hh, reverse, *start)
        else:
            output, *state = _run_native(mode, gates, lengths, sizes, w_hh, b_hh, reverse, start)
    else:
        weights = (w_hh, b_hh, w_hr)
        output, *state = _run_steps(mode, gates, lengths, state, weights, reverse)
    if not packed:
        kind = mode if native and mode == "LSTM" and output.dtype == flambeau.float32 else ""
        output = flambeau.ops.nn.steps_apart(output, input.size(0), kind)
    return output, tuple(state)


def recurrent(
    mode: str,
    input: Tensor,
    batch_sizes: list[int] | None,
    initial: State,
    weights: Sequence[Sequence[Tensor]],
    has_biases: bool,
    p: float,
    training: bool,
    bidirectional: bool,
) -> tuple[Tensor, State]:
    """All layers of a recurrent network, with dropout between them.

    `initial` holds (layers * directions, N, H) tensors and `weights` one list for each layer and
    direction.
    """
    projects = len(weights[0]) in (3, 5)
    if mode == "LSTM" and not projects and flambeau.is_autocast_enabled("cpu"):
        input, *initial = in_lower_precision(input, *initial)
        weights = [in_lower_precision(*layer) for layer in weights]
    directions = 2 if bidirectional else 1
    finals: list[State] = []
    for first in range(0, len(weights), directions):
        outputs = []
        for direction in range(directions):
            place = first + direction
            output, state = _run_layer(
                mode,
                input,
                batch_sizes,
                tuple(s[place] for s in initial),
                weights[place],
                has_biases,
                direction == 1,
            )
            outputs.append(output)
            finals.append(state)
        input = outputs[0] if directions == 1 else flambeau.cat(outputs, -1)
        if p > 0 and training and first + directions < len(weights):
            input = dropout(input, p)
    return input, tuple(flambeau.stack(column) for column in zip(*finals))
