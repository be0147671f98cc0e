"""Stochastic gradient descent, with momentum.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.9000, 1.9000])
"""

from __future__ import annotations

import functools
from typing import Any

import flambeau
from flambeau.optim import _checks, _fused
from flambeau.optim._fused import fma
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State
from flambeau.optim.optimizer import ParamsT

__all__ = ["SGD"]


class SGD(PointwiseOptimizer):
    """Gradient descent: `p -= lr * b`, where `b = momentum * b + (1 - dampening) * g`.

    `nesterov` looks ahead along `b` (Sutskever et al. 2013, in the form of Bengio et al. 2012).

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.SGD([weight], lr=0.5, weight_decay=1).step()
    >>> weight.tolist()
    [0.0, 0.0]
    """

    flag_names = ("maximize", "decay", "moving", "nesterov", "first")
    later_options = {"nesterov": False, "fused": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | flambeau.Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        _checks.one_element("lr", lr)
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        _checks.implementation(fused, foreach, differentiable)

    def _update_group(self, group: Group) -> None:
        # The first momentum buffer is the gradient itself, so there are two formulas, and
        # without momentum there is no state at all.
        first_rows: list[Any] = []
        momentum, names = group["momentum"] != 0, self.state_names(group)
        found = None if group["fused"] else _fused.gather(group["params"], self.state, names, None)
        rows: list[Any] = [] if found is None else found[0]
        for p in group["params"] if found is None else ():
            g = p.grad
            if g is None:
                continue
            if group["fused"]:
                _checks.fusible(p)
            if not momentum:
                rows.append((p, g))
                continue
            state = self.state[p]
            buffer = state.get("momentum_buffer")
            if buffer is not None:
                rows.append((p, g, buffer))
            else:
                state["momentum_buffer"] = buffer = flambeau.empty_like(g)
                first_rows.append((p, g, buffer))
        numbers = functools.partial(self._numbers, group)
        if rows:
            _fused.run(self._update_of(group), rows, (), numbers)
        if first_rows:
            _fused.run(self._update_of({**group, "first": True}), first_rows, (), numbers)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] != 0 else ()

    def flags(self, group: Group) -> tuple[Any, ...]:
        decay, moving = bool(group["weight_decay"] != 0), group["momentum"] != 0
        return group["maximize"], decay, moving, group["nesterov"], group.get("first", False)

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        return {
            "lr": _checks.to_scalar(group["lr"]),
            "momentum": group["momentum"],
            "undamped": 1 - group["dampening"],
            "weight_decay": group["weight_decay"],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        momentum_buffer: Any = None,
        *,
        lr: Any,
        momentum: Any,
        undamped: Any,
        weight_decay: Any,
        maximize: bool,
        decay: bool,
        moving: bool,
        nesterov: bool,
        first: bool,
    ) -> tuple[Any, dict[str, Any]]:
        """One step of one parameter."""
        if maximize:
            g = -g
        if decay:
            g = fma(p, weight_decay, g)
        if not moving:
            return fma(g, -lr, p), {}
        if first:
            momentum_buffer = _fused.detach(g)
        else:
            momentum_buffer = fma(g, undamped, momentum_buffer * momentum)
        direction = fma(momentum_buffer, momentum, g) if nesterov else momentum_buffer
        return fma(direction, -lr, p), {"momentum_buffer": momentum_buffer}
