"""Adafactor: second moments of matrices kept as a row and a column instead of a matrix.

>>> weight = torch.nn.Parameter(torch.ones(2, 3))
>>> optimizer = torch.optim.Adafactor([weight], lr=0.5)
>>> weight.sum().backward()
>>> optimizer.step()
>>> optimizer.state[weight]["row_var"].shape
torch.Size([2, 1])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._pointwise import Group, State, counter, evaluate
from flambeau.optim.optimizer import Optimizer, ParamsT

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern 2018), with `lr` as the greatest relative step.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> weight.sum().backward()
    >>> torch.optim.Adafactor([weight], lr=0.5).step()
    >>> weight.data
    tensor([0.5000, 0.5000])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | flambeau.Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        _checks.one_element("lr", lr)
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: State) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("foreach", None)

    @flambeau.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns the loss of `closure`, if given."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.is_complex():
                    raise RuntimeError("Adafactor does not support complex parameters")
                state = self.state[p]
                if not state:
                    state.update(_first_state(p.grad))
                _update(p, -p.grad if group["maximize"] else p.grad, state, group)
        return loss


def _first_state(g: flambeau.Tensor) -> State:
    if g.is_sparse:
        raise RuntimeError("Adafactor does not support sparse gradients")
    if g.dim() <= 1:
        variance = flambeau.zeros_like(g, memory_format=flambeau.preserve_format)
        return {"step": counter(), "variance": variance}
    rows, columns = list(g.shape), list(g.shape)
    rows[-1] = columns[-2] = 1
    return {"step": counter(), "row_var": g.new_zeros(rows), "col_var": g.new_zeros(columns)}


def _mean_square(g: flambeau.Tensor, dim: int) -> flambeau.Tensor:
    return flambeau.norm(g, dim=dim, keepdim=True).square_().div_(g.size(dim))


def _update(p: flambeau.Tensor, g: flambeau.Tensor, state: State, group: Group) -> None:
    lr = _checks.to_scalar(group["lr"])
    eps1, eps2 = group["eps"]
    if eps1 is None:
        eps1 = flambeau.finfo(p.dtype).eps
    step = state["step"].add_(1).item()
    weight = step ** group["beta2_decay"]
    size = p.norm(2).item() / p.numel() ** 0.5
    alpha = max(eps2, size) * min(lr, 1 / step**0.5)
    if group["weight_decay"] != 0:
        p.mul_(1 - lr * group["weight_decay"])
    if g.dim() > 1:
        row_var = state["row_var"].lerp_(_mean_square(g, -1), weight)
        col_var = state["col_var"].lerp_(_mean_square(g, -2), weight)
        variance = row_var @ col_var
        variance.div_(row_var.mean(dim=-2, keepdim=True).clamp_(min=eps1))
    else:
        variance = state["variance"].lerp_(g * g, weight).clone()
    update = variance.clamp_(min=eps1 * eps1).rsqrt_().mul_(g)
    # Clips the root mean square of the update to `d`.
    clip = max(1.0, update.norm(2).item() / (update.numel() ** 0.5 * group["d"]))
    p.add_(update, alpha=-alpha / clip)
