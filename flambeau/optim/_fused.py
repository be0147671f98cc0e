"""Applies the formula of an optimizer to parameters; the only place that touches their memory.

A formula is a pure function in tensor algebra, `update(p, g, *state, **scalars)`, that returns the
new parameter and the new state tensors. It is elementwise, so it is traced once on scalar
expressions and becomes one kernel that reads parameter, gradient and state and writes parameter and
state in place. Besides `+ - * / **`, comparisons, `sqrt`, `abs`, `sign`, `maximum` and `minimum` it
uses the helpers here. `fma` and `lerp` say where rounding happens only once: everything else rounds
after each operation. Torch rounds in the same places.

>>> def descent(p, g, *, lr):
...     return fma(g, -lr, p), {}
>>> weight, gradient = torch.ones(2), torch.tensor([1.0, 2.0])
>>> apply(Update(descent, (), {}), [(weight, gradient)], {"lr": 0.5})
>>> weight.tolist()
[0.5, 0.0]
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau.codegen import expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import may_overlap
from flambeau.ops.kinds import byte_strides, compute_name
from flambeau.ops.observe import is_observed
from flambeau.ops.plan import Formula, Operand, Plan
from flambeau.ops.registry import engine
from flambeau.ops.several import Part, use_several
from flambeau.runtime.plan_block import MAX_INPUTS
from flambeau.runtime.thread_modes import NO_GRAD, TRACE

MOST_BATCHES = 64  # groups of parameters whose plans are kept
_COUNTER = Spec.of((), (), flambeau.float32, CPU)


def fma(a: Any, b: Any, c: Any) -> Any:
    """`a * b + c`, rounded once.

    >>> fma(torch.ones(2), 2.0, torch.ones(2)).tolist()
    [3.0, 3.0]
    """
    if not isinstance(c, flambeau.Tensor):
        return expr.fma(a, b, c)
    if not isinstance(b, flambeau.Tensor):
        return c.add(a, alpha=b)
    return c.addcmul(a, b)


def lerp(start: Any, end: Any, weight: Any) -> Any:
    """`start + weight * (end - start)`, exact at both ends.

    >>> lerp(torch.zeros(2), torch.ones(2), 0.25).tolist()
    [0.25, 0.25]
    """
    if isinstance(start, flambeau.Tensor):
        return start.lerp(end, weight)
    rise = end - start
    return where(abs(weight) < 0.5, fma(rise, weight, start), fma(rise, weight - 1, end))


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where `condition` holds, else `b`; a condition on scalars is a Python bool.

    >>> where(torch.tensor([True, False]), 1.0, torch.zeros(2)).tolist()
    [1.0, 0.0]
    """
    if isinstance(condition, bool):
        return a if condition else b
    if isinstance(condition, flambeau.Tensor):
        return flambeau.where(condition, a, b)
    return expr.where(condition, a, b)


def detach(x: Any) -> Any:
    """`x` without its gradient history, which only a tensor has.

    >>> detach(torch.ones(1, requires_grad=True)).requires_grad
    False
    """
    return x.detach() if isinstance(x, flambeau.Tensor) else x


class Update:
    """A formula with the names of its state tensors and its options fixed, and its kernels.

    >>> def descent(p, g, *, lr, up):
    ...     return p + lr * g if up else p - lr * g, {}
    >>> Update(descent, (), {"up": True})(torch.ones(1), torch.ones(1), lr=0.5)
    (tensor([1.5000]),)
    """

    def __init__(
        self, formula: Callable[..., Any], names: tuple[str, ...], flags: dict[str, Any]
    ) -> None:
        self.formula = formula
        self.names = names
        self.flags = flags
        self.kernels: dict[tuple[Any, ...], Kernel | None] = {}
        # by the first parameter and how many there are; what does not fit is not used
        self.batches: dict[tuple[int, int], Batch | None] = {}

    def remember(self, rows: Sequence[tuple[Any, ...]], batch: Batch | None) -> None:
        """Keeps the plan of a group of parameters for the next steps."""
        if len(self.batches) >= MOST_BATCHES:
            self.batches.clear()
        self.batches[id(rows[0][0]), len(rows)] = batch

    def __repr__(self) -> str:
        return self.formula.__name__

    def __call__(self, p: Any, g: Any, *state: Any, **scalars: Any) -> tuple[Any, ...]:
        """The new parameter, then the new state in the order of `names`."""
        p, new = self.formula(p, g, **dict(zip(self.names, state)), **scalars, **self.flags)
        return (p, *[new[name] for name in self.names])


class Kernel:
    """The plan of an update for tensors of certain specs, and the scalars that it uses."""

    __slots__ = ("plan", "scalars")

    def __init__(self, plan: Plan, scalars: list[str]) -> None:
        self.plan, self.scalars = plan, scalars

    @staticmethod
    def of(update: Update, specs: Sequence[Any], names: Sequence[str]) -> Kernel | None:
        """None where the tensors do not go together element by element in memory."""
        p = specs[0]
        alike = all(s.shape == p.shape and s.device is p.device for s in specs)
        if not alike or not p.dtype.is_floating_point or p.device.type not in ("cpu", "meta"):
            return None
        if any(may_overlap(s.shape, s.strides) for s in specs):
            return None
        used = _inputs(_trace(update, specs, names))
        scalars = [name for i, name in enumerate(names, len(specs)) if i in used]
        results = _trace(update, specs, names, scalars)
        # The kernel's outputs are the memory of its inputs: they are passed a second time, where
        # it looks for outputs.
        written = [p, *specs[2:]]
        operands = [*specs, *[float] * len(scalars), *written]
        if len(operands) > MAX_INPUTS:
            return None
        plan = Plan(update, [Operand(spec, i) for i, spec in enumerate(operands)], [p])
        plan.formula = Formula(tuple(results), tuple(p.shape), len(written))
        dtypes = [*[s.dtype.name for s in specs], *["float64"] * len(scalars)]
        strides = [byte_strides(s, p.shape) for s in specs]
        strides += [(0,) * len(p.shape)] * len(scalars)
        strides += [byte_strides(s, p.shape) for s in written]
        loops = plan_pointwise(results, dtypes, [s.dtype.name for s in written], p.shape, strides)
        return Kernel(plan.use_kernel(loops, inplace=0), scalars)


class Batch:
    """The plan of an update for many rows of tensors of certain specs: one native call."""

    __slots__ = ("plan", "scalars")

    def __init__(self, plan: Plan, scalars: list[str]) -> None:
        self.plan, self.scalars = plan, scalars

    @staticmethod
    def of(
        update: Update, keys: Sequence[tuple[Any, ...]], kernels: Sequence[Kernel | None]
    ) -> Batch | None:
        """None where rows differ in more than their specs, or cannot be updated by a kernel."""
        scalars, tensors = kernels[0].scalars if kernels[0] else [], len(keys[0])
        parts: list[Part] = []
        for key, kernel in zip(keys, kernels):
            if kernel is None or kernel.scalars != scalars or len(key) != tensors:
                return None
            part = Part.of(kernel.plan, key[0].numel)
            if part is None:
                return None
            parts.append(part)
        operands = [operand.spec for kernel in kernels if kernel for operand in kernel.plan.inputs]
        plan = Plan(update, [Operand(spec, i) for i, spec in enumerate(operands)], [])
        specs = [id(spec) for key in keys for spec in key]
        words = (ctypes.c_int64 * len(specs))(*specs)
        each = len(operands) // len(keys)
        places = [range(each * i, each * (i + 1)) for i in range(len(keys))]
        rows = [ctypes.addressof(words), len(keys), tensors, len(scalars)]
        use_several(plan, parts, places, rows).keep += [words, kernels]
        return Batch(plan, scalars)


def _trace(
    update: Update, specs: Sequence[Any], names: Sequence[str], used: Sequence[str] | None = None
) -> list[Any]:
    """The results of `update` as expressions of its tensors and of the scalars `used`, or all."""
    compute = compute_name(specs[0].dtype)
    tensors = [
        expr.Expr.input(i, s.dtype.name).to(compute_name(s.dtype)) for i, s in enumerate(specs)
    ]
    scalars: dict[str, Any] = dict.fromkeys(names, 0.0)
    for i, name in enumerate(names if used is None else used, len(specs)):
        scalars[name] = expr.Expr.input(i, "float64").to(compute)
    results = update(*tensors, **scalars)
    return [r.to(compute_name(s.dtype)) for r, s in zip(results, (specs[0], *specs[2:]))]


def _inputs(results: Sequence[Any]) -> set[int]:
    return {node.value[0] for node in expr.postorder(results) if node.op == "input"}


def run(
    update: Update,
    rows: Sequence[tuple[flambeau.Tensor, ...]],
    steps: Sequence[flambeau.Tensor],
    numbers: Callable[[flambeau.Tensor, float], dict[str, Any]],
    shared: bool = True,
) -> None:
    """One step of an optimizer: counts up, then `apply` with the numbers of the new counts.

    numbers(parameter, count) gives the scalars; parameters with equal counts have the same ones if
    `shared`. Without `steps` nothing is counted. While a function is being recorded
    (`flambeau.compile`) the numbers are noted as such that are computed anew at every replay.
    """
    tape = engine.tape
    if tape is not None and tape.listens:
        run_on_tape(tape, update, rows, steps, numbers, shared)
        return
    counts = advance(steps) if steps else 0.0
    if shared and isinstance(counts, float):
        apply(update, rows, numbers(rows[0][0], counts))
        return
    for row, count in zip(rows, each_of(counts, len(rows))):
        apply(update, [row], numbers(row[0], count))


def run_on_tape(
    tape: Any,
    update: Update,
    rows: Sequence[tuple[flambeau.Tensor, ...]],
    steps: Sequence[flambeau.Tensor],
    numbers: Callable[[flambeau.Tensor, float], dict[str, Any]],
    shared: bool,
) -> None:
    """The same while `tape` records: the numbers of all rows come from one function."""
    params, names = [row[0] for row in rows], []

    def renew() -> tuple[float, ...]:
        counts = advance(steps) if steps else 0.0
        if shared and isinstance(counts, float):
            scalars = numbers(params[0], counts)
            names[:] = scalars
            return tuple([float(value) for value in scalars.values()])
        found = [numbers(p, count) for p, count in zip(params, each_of(counts, len(params)))]
        names[:] = found[0]
        return tuple([float(value) for scalars in found for value in scalars.values()])

    if not engine.core.get_mode() & NO_GRAD:
        tape.stop("it differentiates through an optimizer")
    values = tape.renew(renew)
    if len(values) == len(names):
        apply(update, rows, dict(zip(names, values)))
    else:
        for i, row in enumerate(rows):
            apply(update, [row], dict(zip(names, values[i * len(names) :])))


def apply(
    update: Update, rows: Sequence[tuple[flambeau.Tensor, ...]], scalars: dict[str, Any]
) -> None:
    """Runs `update` in place on each row `(parameter, gradient, *state)`.

    Parameter and state keep their identity and storage. The gradient is only read. While
    gradients are recorded (`differentiable=True`) so is every operation of the formula.
    """
    core = engine.core
    execute, kernels = core.execute_plan, update.kernels
    recorded = not core.get_mode() & NO_GRAD
    if not recorded and not _NUMBERS.issuperset(map(type, scalars.values())):
        # From an option that is a tensor, such as the learning rate.
        scalars = {
            name: value if isinstance(value, float) else float(value)
            for name, value in scalars.items()
        }
    alone = len(rows) < 2 or recorded or engine.tape is not None or core.get_mode() & TRACE
    if not alone and run_batch(update, rows, scalars):
        return
    last: Kernel | None = None
    numbers: list[float] = []
    keys, found = [], []
    for row in rows:
        key = tuple([t._spec for t in row])
        if key not in kernels:
            kernels[key] = Kernel.of(update, key, list(scalars))
        kernel = kernels[key]
        keys.append(key), found.append(kernel)
        if kernel is None or recorded:
            _apply_by_ops(update, row, scalars)
            continue
        if kernel is not last:
            last, numbers = kernel, [scalars[name] for name in kernel.scalars]
        if execute(kernel.plan, *row, *numbers, row[0], *row[2:]) is None:
            _apply_by_ops(update, row, scalars)  # state that lies in the parameter's own memory
    if not alone and not is_observed():
        update.remember(rows, Batch.of(update, keys, found))


def run_batch(
    update: Update, rows: Sequence[tuple[flambeau.Tensor, ...]], scalars: dict[str, Any]
) -> bool:
    """Whether all rows could be updated by one native call, as an earlier step has prepared it."""
    batch = update.batches.get((id(rows[0][0]), len(rows)))
    if batch is None:
        return False
    numbers = tuple([scalars[name] for name in batch.scalars])
    return bool(engine.core.run_rows(batch.plan, rows, numbers))


_NUMBERS = {float, int, bool}


def _apply_by_ops(
    update: Update, row: tuple[flambeau.Tensor, ...], scalars: dict[str, Any]
) -> None:
    """The formula operation by operation; a complex tensor is treated as its pairs of reals."""
    if engine.tape is not None:
        engine.tape.stop("the update of an optimizer has no kernel for its parameters")
    if row[0].is_complex():
        row = tuple([flambeau.view_as_real(t) for t in row])
    targets = (row[0], *row[2:])
    if flambeau.is_grad_enabled():
        row = tuple([t.clone() for t in row])  # autograd saves what the writes below would spoil
    for target, value in zip(targets, update(*row, **scalars)):
        target.copy_(value)


def advance(steps: Sequence[flambeau.Tensor]) -> float | list[float]:
    """Adds one to each step counter and returns the new count, or a list where they differ.

    >>> counter = torch.tensor(0.0)
    >>> advance([counter]), counter.item()
    (1.0, 1.0)
    """
    counts = engine.core.count_up(steps, _COUNTER)
    if counts is None:
        found = [step.add_(1).item() for step in steps]
        counts = found[0] if found.count(found[0]) == len(found) else found
    return counts


def gather(
    params: list[flambeau.Tensor],
    state: dict[flambeau.Tensor, Any],
    names: tuple[str, ...],
    step: str | None = "step",
) -> tuple[list[tuple[flambeau.Tensor, ...]], list[flambeau.Tensor]] | None:
    """(parameter, gradient, *state) of the parameters that have a gradient, and their counters.
    None where some of that has to be made first.
    """
    return engine.core.gather_rows(params, state, names, step)


def each_of(counts: float | list[float], rows: int) -> list[float]:
    """The counts of all rows."""
    return counts if isinstance(counts, list) else [counts] * rows


def set_recording(on: bool) -> int:
    """Whether gradients are recorded from now on; returns what `restore_recording` needs.

    >>> before = set_recording(False)
    >>> torch.is_grad_enabled()
    False
    >>> restore_recording(before)
    """
    mode = engine.core.get_mode()
    engine.core.set_mode(mode & ~NO_GRAD if on else mode | NO_GRAD)
    return mode


def restore_recording(mode: int) -> None:
    """Back to how it was before `set_recording`."""
    engine.core.set_mode(mode)
