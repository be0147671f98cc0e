"""RAdam: Adam that waits until its second moment can be trusted.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.RAdam([weight], lr=0.1)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.9000, 1.9000])
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._fused import fma, lerp, where
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State
from flambeau.optim.optimizer import ParamsT

__all__ = ["RAdam"]


class RAdam(PointwiseOptimizer):
    """Rectified Adam (Liu et al. 2020).

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.RAdam([weight], lr=0.5).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    flag_names = ("maximize", "coupled", "decoupled")
    later_options = {"capturable": False, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def flags(self, group: Group) -> tuple[Any, ...]:
        decay, decoupled = group["weight_decay"] != 0, group["decoupled_weight_decay"]
        return group["maximize"], decay and not decoupled, decay and decoupled

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        lr, weight_decay = _checks.to_scalar(group["lr"]), group["weight_decay"]
        beta1, beta2 = group["betas"]
        bias_correction2 = 1 - beta2**step
        # The length of the simple average that the second moment is worth by now.
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * (beta2**step) / bias_correction2
        rectification = 0.0  # not to be used yet
        if length > 5.0:
            now, at_last = (length - 4) * (length - 2), (longest - 4) * (longest - 2)
            rectification = (now * longest / (at_last * length)) ** 0.5
        return {
            "lr": lr,
            "rectification": rectification,
            "bias_correction1": 1 - beta1**step,
            "bias_correction2_sqrt": bias_correction2**0.5,
            "weight1": 1 - beta1,
            "beta2": beta2,
            "weight2": 1 - beta2,
            "eps": group["eps"],
            "weight_decay": weight_decay,
            "shrink": 1 - lr * weight_decay,
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        exp_avg: Any,
        exp_avg_sq: Any,
        *,
        lr: Any,
        rectification: Any,
        bias_correction1: Any,
        bias_correction2_sqrt: Any,
        weight1: Any,
        beta2: Any,
        weight2: Any,
        eps: Any,
        weight_decay: Any,
        shrink: Any,
        maximize: bool,
        coupled: bool,
        decoupled: bool,
    ) -> tuple[Any, dict[str, Any]]:
        """One step of one parameter."""
        if maximize:
            g = -g
        if coupled:
            g = fma(p, weight_decay, g)
        if decoupled:
            p = p * shrink
        exp_avg = lerp(exp_avg, g, weight1)
        exp_avg_sq = fma(g * weight2, g, exp_avg_sq * beta2)
        plain = exp_avg / bias_correction1 * lr
        adaptive = plain * (1 / (exp_avg_sq.sqrt() + eps) * bias_correction2_sqrt) * rectification
        p = p - where(rectification > 0, adaptive, plain)
        return p, {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
