"""Adamax: Adam with the greatest gradient of late in place of the root mean square.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.Adamax([weight], lr=0.1)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.9000, 1.9000])
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._fused import fma, lerp
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State
from flambeau.optim.optimizer import ParamsT

__all__ = ["Adamax"]


class Adamax(PointwiseOptimizer):
    """Adamax (Kingma and Ba 2015, section 7.1).

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.Adamax([weight], lr=0.5).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    flag_names = ("maximize", "decay")
    later_options = {"capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(lr=lr, eps=eps)
        _checks.decay_rates(betas)
        _checks.nonnegative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def flags(self, group: Group) -> tuple[Any, ...]:
        return group["maximize"], group["weight_decay"] != 0

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {
            "step_size": _checks.to_scalar(group["lr"]) / (1 - beta1**step),
            "weight1": 1 - beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        exp_avg: Any,
        exp_inf: Any,
        *,
        step_size: Any,
        weight1: Any,
        beta2: Any,
        eps: Any,
        weight_decay: Any,
        maximize: bool,
        decay: bool,
    ) -> tuple[Any, dict[str, Any]]:
        """One step of one parameter."""
        if maximize:
            g = -g
        if decay:
            g = fma(p, weight_decay, g)
        exp_avg = lerp(exp_avg, g, weight1)
        exp_inf = (exp_inf * beta2).maximum(g.abs() + eps)
        return p + exp_avg * -step_size / exp_inf, {"exp_avg": exp_avg, "exp_inf": exp_inf}
