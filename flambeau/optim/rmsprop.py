"""RMSprop: steps divided by a running root mean square of the gradient.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.RMSprop([weight], lr=0.01)
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

__all__ = ["RMSprop"]


class RMSprop(PointwiseOptimizer):
    """RMSprop (Hinton's lecture 6 of 2012); `centered` after Graves 2013.

    `eps` is added after the square root, unlike in TensorFlow.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.RMSprop([weight], lr=0.05).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    flag_names = ("maximize", "decay", "moving", "centered")
    later_options = {"momentum": 0, "centered": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(
            lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def state_names(self, group: Group) -> tuple[str, ...]:
        names: tuple[str, ...] = ("square_avg",)
        if group["momentum"] > 0:
            names += ("momentum_buffer",)
        if group["centered"]:
            names += ("grad_avg",)
        return names

    def flags(self, group: Group) -> tuple[Any, ...]:
        decay = bool(group["weight_decay"] != 0)
        return group["maximize"], decay, group["momentum"] > 0, group["centered"]

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        alpha = group["alpha"]
        return {
            "lr": _checks.to_scalar(group["lr"]),
            "alpha": alpha,
            "weight": 1 - alpha,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
            "momentum": group["momentum"],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        square_avg: Any,
        momentum_buffer: Any = None,
        grad_avg: Any = None,
        *,
        lr: Any,
        alpha: Any,
        weight: Any,
        eps: Any,
        weight_decay: Any,
        momentum: Any,
        maximize: bool,
        decay: bool,
        moving: bool,
        centered: bool,
    ) -> tuple[Any, dict[str, Any]]:
        """One step of one parameter."""
        if maximize:
            g = -g
        if decay:
            g = fma(p, weight_decay, g)
        square_avg = fma(g * weight, g, square_avg * alpha)
        state = {"square_avg": square_avg}
        variance = square_avg
        if centered:
            state["grad_avg"] = grad_avg = lerp(grad_avg, g, weight)
            variance = fma(-grad_avg, grad_avg, square_avg)
        root = variance.sqrt() + eps
        if not moving:
            return p + g * -lr / root, state
        state["momentum_buffer"] = momentum_buffer = momentum_buffer * momentum + g / root
        return fma(momentum_buffer, -lr, p), state
