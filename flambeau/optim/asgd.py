"""ASGD: gradient descent that also averages the parameter over time.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.ASGD([weight], lr=0.1, lambd=0)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.9000, 1.9000])
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._fused import fma, where
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State, counter, zeros_like
from flambeau.optim.optimizer import ParamsT

__all__ = ["ASGD"]


class ASGD(PointwiseOptimizer):
    """Averaged gradient descent (Polyak and Juditsky 1992); the average is `state[p]["ax"]`.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.ASGD([weight], lr=0.5, lambd=0).step()
    >>> weight.tolist()
    [0.5, 0.5]
    """

    flag_names = ("maximize", "decay")
    later_options = {"capturable": False}
    counters = ("step", "eta", "mu")
    scalars_differ = True
    capturable_names = "params, mus, etas, and state_steps"

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: flambeau.Tensor, group: Group) -> State:
        return {
            "step": counter(),
            "eta": counter(value=float(group["lr"])),
            "mu": counter(value=1.0),
            "ax": zeros_like(p),
        }

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("ax",)

    def flags(self, group: Group) -> tuple[Any, ...]:
        return group["maximize"], group["weight_decay"] != 0

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        lr, lambd = _checks.to_scalar(group["lr"]), group["lambd"]
        eta, mu = state["eta"].item(), state["mu"].item()
        # This step runs with the rate and the weight that the last one left.
        state["eta"].fill_(lr / ((1 + lambd * lr * step) ** group["alpha"]))
        state["mu"].fill_(1 / max(1, step - group["t0"]))
        return {
            "eta": eta,
            "mu": mu,
            "shrink": 1 - lambd * eta,
            "weight_decay": group["weight_decay"],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        ax: Any,
        *,
        eta: Any,
        mu: Any,
        shrink: Any,
        weight_decay: Any,
        maximize: bool,
        decay: bool,
    ) -> tuple[Any, dict[str, Any]]:
        """One step of one parameter."""
        if maximize:
            g = -g
        if decay:
            g = fma(p, weight_decay, g)
        p = fma(g, -eta, p * shrink)
        return p, {"ax": where(mu == 1, p, ax + (p - ax) * mu)}
