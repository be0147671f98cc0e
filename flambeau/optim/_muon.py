"""Muon: momentum whose matrix is made nearly orthogonal before each step.

>>> weight = torch.nn.Parameter(torch.ones(2, 2))
>>> optimizer = torch.optim.Muon([weight], lr=0.1)
>>> weight.sum().backward()
>>> optimizer.step()
>>> optimizer.state[weight]["momentum_buffer"].shape
torch.Size([2, 2])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.optim import _checks
from flambeau.optim._pointwise import evaluate
from flambeau.optim.optimizer import Optimizer, ParamsT

__all__ = ["Muon"]


class Muon(Optimizer):
    """Muon (Jordan et al. 2024), for matrices; `match_rms_adamw` after Liu et al. 2025.

    Biases, embeddings and other parameters that are no matrices need another optimizer.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        _checks.one_element("lr", lr)
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{p.size()}"
                    )

    @flambeau.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns the loss of `closure`, if given."""
        loss = evaluate(closure)
        for group in self.param_groups:
            lr = _checks.to_scalar(group["lr"])
            momentum = group["momentum"]
            for p in group["params"]:
                g = p.grad
                if g is None:
                    continue
                if p.is_complex():
                    raise RuntimeError("Muon does not support complex parameters")
                if g.is_sparse:
                    raise RuntimeError("Muon does not support sparse gradients")
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = flambeau.zeros_like(
                        g, memory_format=flambeau.preserve_format
                    )
                buffer = state["momentum_buffer"].lerp_(g, 1 - momentum)
                update = g.lerp(buffer, momentum) if group["nesterov"] else buffer
                update = nearly_orthogonal(
                    update, group["ns_coefficients"], group["ns_steps"], group["eps"]
                )
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(update, alpha=-lr * _ratio(group["adjust_lr_fn"], *p.shape))
        return loss


def _ratio(adjust: str | None, rows: int, columns: int) -> float:
    if adjust == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def nearly_orthogonal(
    matrix: flambeau.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> flambeau.Tensor:
    """A matrix with the singular vectors of `matrix` and singular values near 1, in bfloat16.

    A Newton-Schulz iteration of the quintic `a x + b x^3 + c x^5`.

    >>> coefficients = (3.4445, -4.775, 2.0315)
    >>> x = nearly_orthogonal(torch.tensor([[3.0, 0.0], [0.0, 0.5]]), coefficients, 5, 1e-7)
    >>> bool(((x.diag() > 0.6) & (x.diag() < 1.3)).all())
    True
    """
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if matrix.dim() != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.bfloat16()
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = flambeau.addmm(x, flambeau.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
