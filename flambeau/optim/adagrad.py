"""Adagrad: steps divided by the root of all squared gradients so far.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.Adagrad([weight], lr=0.1)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.9000, 1.9000])
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._fused import fma
from flambeau.optim._pointwise import Group, PointwiseOptimizer, State, counter
from flambeau.optim.optimizer import ParamsT

__all__ = ["Adagrad"]


class Adagrad(PointwiseOptimizer):
    """Adagrad (Duchi, Hazan and Singer 2011).

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.Adagrad([weight], lr=0.5).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    flag_names = ("maximize", "decay")
    later_options = {"fused": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        _checks.implementation(fused, foreach, differentiable)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = self.init_state(p, group)

    def share_memory(self) -> None:
        """Moves the sums of squares to memory that child processes see."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def init_state(self, p: flambeau.Tensor, group: Group) -> State:
        start = self.defaults["initial_accumulator_value"]
        return {
            "step": counter(flambeau.float32 if group["fused"] else None),
            "sum": flambeau.full_like(
                p,
                complex(start, start) if p.is_complex() else start,
                memory_format=flambeau.preserve_format,
            ),
        }

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("sum",)

    def flags(self, group: Group) -> tuple[Any, ...]:
        return group["maximize"], bool(group["weight_decay"] != 0)

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        return {
            "lr": _checks.to_scalar(group["lr"]) / (1 + (step - 1) * group["lr_decay"]),
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        sum: Any,
        *,
        lr: Any,
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
        sum = fma(g, g, sum)
        return p + g * -lr / (sum.sqrt() + eps), {"sum": sum}
