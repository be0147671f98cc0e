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

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau.codegen import expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import may_overlap
from flambeau.ops.kinds import byte_strides, compute_name
from flambeau.ops.plan import Formula, Operand, Plan
from flambeau.ops.registry import engine
from flambeau.runtime.plan_block import MAX_INPUTS
from flambeau.runtime.thread_modes import NO_GRAD

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
    counts = advance(steps) if steps else [0.0] * len(rows)
    if shared and counts.count(counts[0]) == len(counts):
        apply(update, rows, numbers(rows[0][0], counts[0]))
    else:
        for row, count in zip(rows, counts):
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
        counts = advance(steps) if steps else [0.0]
        if shared and counts.count(counts[0]) == len(counts):
            scalars = numbers(params[0], counts[0])
            names[:] = scalars
            return tuple([float(value) for value in scalars.values()])
        found = [numbers(p, count) for p, count in zip(params, counts)]
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
    last: Kernel | None = None
    numbers: list[float] = []
    for row in rows:
        key = tuple([t._spec for t in row])
        if key not in kernels:
            kernels[key] = Kernel.of(update, key, list(scalars))
        kernel = kernels[key]
        if kernel is None or recorded:
            _apply_by_ops(update, row, scalars)
            continue
        if kernel is not last:
            last, numbers = kernel, [scalars[name] for name in kernel.scalars]
        if execute(kernel.plan, *row, *numbers, row[0], *row[2:]) is None:
            _apply_by_ops(update, row, scalars)  # state that lies in the parameter's own memory


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


def advance(steps: Sequence[flambeau.Tensor]) -> list[float]:
    """Adds one to each step counter and returns the new counts.

    >>> counter = torch.tensor(0.0)
    >>> advance([counter]), counter.item()
    ([1.0], 1.0)
    """
    counts = []
    for step in steps:
        if step._spec is _COUNTER:
            memory = memoryview(step._storage).cast("f")  # type: ignore[attr-defined]
            memory[step._offset] = count = memory[step._offset] + 1
        else:
            count = step.add_(1).item()
        counts.append(count)
    return counts


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
