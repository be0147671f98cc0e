"""NAdam: Adam with Nesterov's look ahead.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.NAdam([weight], lr=0.1)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.8944, 1.8944])
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._fused import fma, lerp
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State, counter
from flambeau.optim.optimizer import ParamsT

__all__ = ["NAdam"]


class NAdam(PointwiseOptimizer):
    """NAdam (Dozat 2016), with its schedule of momentum.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.NAdam([weight], lr=0).step()
    >>> weight.tolist()
    [1.0, 1.0]
    """

    flag_names = ("maximize", "coupled", "decoupled")
    later_options = {"capturable": False, "decoupled_weight_decay": False}
    counters = ("step", "mu_product")
    scalars_differ = True
    capturable_names = "params, mu_products and state_steps"

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        _checks.nonnegative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: flambeau.Tensor, group: Group) -> State:
        state = super().init_state(p, group)
        return {"step": state.pop("step"), "mu_product": counter(value=1.0), **state}

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def flags(self, group: Group) -> tuple[Any, ...]:
        decay, decoupled = group["weight_decay"] != 0, group["decoupled_weight_decay"]
        return group["maximize"], decay and not decoupled, decay and decoupled

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        lr, weight_decay = _checks.to_scalar(group["lr"]), group["weight_decay"]
        beta1, beta2 = group["betas"]
        momentum_decay = group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * (0.96 ** (step * momentum_decay)))
        mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * momentum_decay)))
        mu_product = state["mu_product"].mul_(mu).item()
        return {
            "gradient_step": lr * (1.0 - mu) / (1.0 - mu_product),
            "momentum_step": lr * mu_next / (1.0 - mu_product * mu_next),
            "bias_correction2": 1 - beta2**step,
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
        gradient_step: Any,
        momentum_step: Any,
        bias_correction2: Any,
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
        denominator = (exp_avg_sq / bias_correction2).sqrt() + eps
        p = p + g * -gradient_step / denominator
        p = p + exp_avg * -momentum_step / denominator
        return p, {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
