"""Adadelta: steps in the units of the parameter, without a global rate.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.Adadelta([weight], lr=100)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.6838, 1.6838])
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._fused import fma
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State
from flambeau.optim.optimizer import ParamsT

__all__ = ["Adadelta"]


class Adadelta(PointwiseOptimizer):
    """Adadelta (Zeiler 2012).

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.Adadelta([weight], lr=0).step()
    >>> weight.tolist()
    [1.0, 1.0]
    """

    flag_names = ("maximize", "decay")
    later_options = {"capturable": False}
    capturable_devices = ["cuda", "xpu", "hpu", "privateuseone"]

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(lr=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        _checks.nonnegative(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def flags(self, group: Group) -> tuple[Any, ...]:
        return group["maximize"], group["weight_decay"] != 0

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        rho = group["rho"]
        return {
            "lr": _checks.to_scalar(group["lr"]),
            "rho": rho,
            "weight": 1 - rho,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        square_avg: Any,
        acc_delta: Any,
        *,
        lr: Any,
        rho: Any,
        weight: Any,
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
        square_avg = fma(g * weight, g, square_avg * rho)
        delta = (acc_delta + eps).sqrt() / (square_avg + eps).sqrt() * g
        acc_delta = fma(delta * weight, delta, acc_delta * rho)
        return fma(delta, -lr, p), {"square_avg": square_avg, "acc_delta": acc_delta}
