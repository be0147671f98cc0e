"""AdamW: Adam whose weight decay acts on the parameter, not through the moments.

>>> weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
>>> optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
>>> weight.sum().backward()
>>> optimizer.step()
>>> weight.data
tensor([0.8500, 1.8000])
"""

from __future__ import annotations

import flambeau
from flambeau.optim._pointwise import State
from flambeau.optim.adam import Adam
from flambeau.optim.optimizer import ParamsT

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.AdamW([weight], lr=0.5, weight_decay=0).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-3,
        betas: tuple[float | flambeau.Tensor, float | flambeau.Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: State) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # A state saved by Adam must not turn this into Adam.
            group["decoupled_weight_decay"] = True
