"""Rprop: steps that depend on the signs of gradients only; for whole data sets, not batches.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.Rprop([weight], lr=0.1)
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

__all__ = ["Rprop"]


class Rprop(PointwiseOptimizer):
    """Resilient backpropagation (Riedmiller and Braun 1993).

    A step grows by `etas[1]` while the gradient keeps its sign and shrinks by `etas[0]` when the
    sign turns, when the gradient also counts as zero.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.Rprop([weight], lr=0.5).step()
    >>> weight.tolist()
    [0.5, 0.5]
    """

    later_options = {"capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        _checks.nonnegative(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, p: flambeau.Tensor, group: Group) -> State:
        lr = float(group["lr"])
        size = complex(lr, lr) if p.is_complex() else lr
        return {
            "step": counter(),
            "prev": zeros_like(p),
            "step_size": flambeau.full_like(p.grad, size),
        }

    def state_names(self, group: Group) -> tuple[str, ...]:
        return ("prev", "step_size")

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        return {
            "shrink": group["etas"][0],
            "grow": group["etas"][1],
            "smallest": group["step_sizes"][0],
            "largest": group["step_sizes"][1],
        }

    @staticmethod
    def update(
        p: Any,
        g: Any,
        prev: Any,
        step_size: Any,
        *,
        shrink: Any,
        grow: Any,
        smallest: Any,
        largest: Any,
        maximize: bool,
    ) -> tuple[Any, dict[str, Any]]:
        """One step of one parameter."""
        if maximize:
            g = -g
        agreement = g * prev
        factor = where(agreement > 0, grow, where(agreement < 0, shrink, 1.0 + agreement * 0))
        step_size = step_size * factor
        step_size = where(step_size < smallest, smallest, step_size)
        step_size = where(step_size > largest, largest, step_size)
        g = where(agreement < 0, 0.0, g)
        return fma(-g.sign(), step_size, p), {"prev": g, "step_size": step_size}
