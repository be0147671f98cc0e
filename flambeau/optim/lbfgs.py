"""LBFGS: a quasi-Newton method that calls the closure several times a step.

>>> x = torch.nn.Parameter(torch.tensor([-1.0, 2.0]))
>>> optimizer = torch.optim.LBFGS([x], line_search_fn="strong_wolfe")
>>> def closure():
...     optimizer.zero_grad()
...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
...     loss.backward()
...     return loss
>>> losses = [optimizer.step(closure).item() for _ in range(4)]
>>> x.data
tensor([1.0000, 1.0000])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._line_search import strong_wolfe
from flambeau.optim.optimizer import Optimizer, ParamsT

__all__ = ["LBFGS"]

State = dict[str, Any]


class LBFGS(Optimizer):
    """Limited-memory BFGS (Liu and Nocedal 1989), after minFunc; one parameter group only.

    Its state is kept with the first parameter.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[flambeau.Tensor]:
        return self.param_groups[0]["params"]

    def _gather_flat_grad(self) -> flambeau.Tensor:
        views = []
        for p in self._params:
            g = flambeau.zeros_like(p) if p.grad is None else p.grad
            views.append((flambeau.view_as_real(g) if g.is_complex() else g).reshape(-1))
        return flambeau.cat(views, 0)

    def _add_direction(self, step_size: Any, direction: flambeau.Tensor) -> None:
        offset = 0
        for p in self._params:
            if p.is_complex():
                p = flambeau.view_as_real(p)
            p.add_(direction[offset : offset + p.numel()].view_as(p), alpha=step_size)
            offset += p.numel()

    def _evaluate(
        self, closure: Callable[[], Any], x: list[flambeau.Tensor], t: Any, d: flambeau.Tensor
    ) -> tuple[float, flambeau.Tensor]:
        """The loss and the gradient at `x + t * d`; the parameters are back at `x` after."""
        self._add_direction(t, d)
        loss = float(closure())
        gradient = self._gather_flat_grad()
        for p, start in zip(self._params, x):
            p.copy_(start)
        return loss, gradient

    @flambeau.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Makes up to `max_iter` iterations; returns the loss before them.

        `closure` clears the gradients, computes the loss, calls its `backward` and returns it.
        """
        closure = flambeau.enable_grad()(closure)
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._gather_flat_grad()
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first_loss
        work = {name: state.get(name) for name in _MEMORY}
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            _find_direction(work, gradient, state, group["history_size"])
            if work["prev_flat_grad"] is None:
                work["prev_flat_grad"] = gradient.clone(memory_format=flambeau.contiguous_format)
            else:
                work["prev_flat_grad"].copy_(gradient)
            work["prev_loss"] = loss
            work["t"] = lr = _checks.to_scalar(group["lr"])
            if state["n_iter"] == 1:
                work["t"] = min(1.0, 1.0 / gradient.abs().sum()) * lr
            slope = gradient.dot(work["d"])
            if slope > -group["tolerance_change"]:
                break
            last = iteration == group["max_iter"]
            budget = group["max_eval"] - evaluations
            loss, gradient, used = self._move(closure, work, loss, gradient, slope, budget, last)
            evaluations += used
            state["func_evals"] += used
            if last or evaluations >= group["max_eval"] or _converged(group, work, loss, gradient):
                break
        state.update(work)
        return first_loss

    def _move(
        self,
        closure: Callable[[], Any],
        work: State,
        loss: float,
        gradient: flambeau.Tensor,
        slope: flambeau.Tensor,
        budget: int,
        last: bool,
    ) -> tuple[float, flambeau.Tensor, int]:
        """Goes along the direction; the loss and gradient there and the number of evaluations."""
        t, d = work["t"], work["d"]
        search = self.param_groups[0]["line_search_fn"]
        if search is None:
            self._add_direction(t, d)
            if last:
                return loss, gradient, 0
            return float(closure()), self._gather_flat_grad(), 1
        if search != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        x = [p.clone(memory_format=flambeau.contiguous_format) for p in self._params]

        def objective(x: Any, t: Any, d: flambeau.Tensor) -> tuple[float, flambeau.Tensor]:
            return self._evaluate(closure, x, t, d)

        loss, gradient, work["t"], used = strong_wolfe(
            objective, x, t, d, loss, gradient, slope, max_ls=budget
        )
        self._add_direction(work["t"], d)
        return loss, gradient, used


# What one step leaves to the next.
_MEMORY = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


def _converged(group: State, work: State, loss: float, gradient: flambeau.Tensor) -> bool:
    if gradient.abs().max() <= group["tolerance_grad"]:
        return True
    if work["d"].mul(work["t"]).abs().max() <= group["tolerance_change"]:
        return True
    return abs(loss - work["prev_loss"]) < group["tolerance_change"]


def _find_direction(
    work: State, gradient: flambeau.Tensor, state: State, history_size: int
) -> None:
    """Puts into `work["d"]` the direction of descent, by the two-loop recursion."""
    if state["n_iter"] == 1:
        work.update(d=gradient.neg(), old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return
    differences, steps, ro = work["old_dirs"], work["old_stps"], work["ro"]
    y = gradient.sub(work["prev_flat_grad"])
    s = work["d"].mul(work["t"])
    ys = y.dot(s)
    if ys > 1e-10:
        if len(differences) == history_size:
            for history in (differences, steps, ro):
                history.pop(0)
        differences.append(y)
        steps.append(s)
        ro.append(1.0 / ys)
        work["H_diag"] = ys / y.dot(y)
    al = state.setdefault("al", [None] * history_size)
    q = gradient.neg()
    for i in reversed(range(len(differences))):
        al[i] = steps[i].dot(q) * ro[i]
        q.add_(differences[i], alpha=-al[i])
    work["d"] = r = flambeau.mul(q, work["H_diag"])
    for i in range(len(differences)):
        be = differences[i].dot(r) * ro[i]
        r.add_(steps[i], alpha=al[i] - be)
