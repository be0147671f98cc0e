"""Adam: steps scaled by running moments of the gradient.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.Adam([weight], lr=0.1)
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
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State, counter
from flambeau.optim.optimizer import ParamsT

__all__ = ["Adam"]


class Adam(PointwiseOptimizer):
    """Adam (Kingma and Ba 2015), with `amsgrad` its variant of Reddi et al. 2018.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.Adam([weight], lr=0.5).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    flag_names = ("maximize", "coupled", "decoupled", "amsgrad")
    later_options = {
        "amsgrad": False,
        "capturable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }
    sparse_message = "Adam does not support sparse gradients, please consider SparseAdam instead"

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-3,
        betas: tuple[float | flambeau.Tensor, float | flambeau.Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, flambeau.Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        _checks.one_element("lr", lr)
        _checks.nonnegative(lr=lr, eps=eps)
        _checks.decay_rates(betas)
        _checks.nonnegative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": _checked_betas(betas, foreach and not capturable),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        _checks.implementation(fused, foreach, differentiable)

    def init_state(self, p: flambeau.Tensor, group: Group) -> State:
        state = super().init_state(p, group)
        if group["fused"]:
            state["step"] = counter(flambeau.float32)
        return state

    def state_names(self, group: Group) -> tuple[str, ...]:
        if group["amsgrad"]:
            return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
        return ("exp_avg", "exp_avg_sq")

    def flags(self, group: Group) -> tuple[Any, ...]:
        decay, decoupled = bool(group["weight_decay"] != 0), group["decoupled_weight_decay"]
        return group["maximize"], decay and not decoupled, decay and decoupled, group["amsgrad"]

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        lr, weight_decay = _checks.to_scalar(group["lr"]), group["weight_decay"]
        beta1, beta2 = group["betas"]
        return {
            "step_size": lr / (1 - beta1**step),
            "bias_correction2_sqrt": (1 - beta2**step) ** 0.5,
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
        max_exp_avg_sq: Any = None,
        *,
        step_size: Any,
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
        amsgrad: bool,
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
        state = {"exp_avg": exp_avg, "exp_avg_sq": exp_avg_sq}
        if amsgrad:
            state["max_exp_avg_sq"] = exp_avg_sq = max_exp_avg_sq.maximum(exp_avg_sq)
        denominator = exp_avg_sq.sqrt() / bias_correction2_sqrt + eps
        return p + exp_avg * -step_size / denominator, state


def _checked_betas(betas: tuple[Any, Any], foreach: bool | None) -> tuple[Any, ...]:
    """Both floats or both one-element tensors; the latter as 0-d tensors."""
    tensors = [isinstance(beta, flambeau.Tensor) for beta in betas]
    if not (all(tensors) or all(isinstance(beta, float) for beta in betas)):
        raise ValueError("betas must be either both floats or both Tensors")
    for i, beta in enumerate(betas):
        if tensors[i] and foreach:
            raise ValueError(
                f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True"
            )
        _checks.one_element(f"betas[{i}]", beta)
    return tuple(map(_checks.to_scalar, betas))
