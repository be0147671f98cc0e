"""Averages of a model's weights over training, and the schedule that goes with them.

>>> model = torch.nn.Linear(1, 1, bias=False)
>>> average = torch.optim.swa_utils.AveragedModel(model)
>>> for value in (1.0, 2.0, 3.0):
...     _ = torch.nn.init.constant_(model.weight, value)
...     average.update_parameters(model)
>>> average.module.weight.item()
2.0
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, Literal

import flambeau
from flambeau.optim.lr_scheduler.base import LRScheduler, Rate, one_per_group
from flambeau.optim.optimizer import Optimizer

__all__ = [
    "AveragedModel",
    "update_bn",
    "SWALR",
    "get_ema_multi_avg_fn",
    "get_swa_multi_avg_fn",
    "get_ema_avg_fn",
    "get_swa_avg_fn",
]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _interpolates(tensor: flambeau.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """The function that moves a list of averages towards the present values by `1 - decay`.

    >>> average = torch.zeros(1)
    >>> get_ema_multi_avg_fn(0.5)([average], [torch.ones(1)], None)
    >>> average
    tensor([0.5000])
    """
    _check_decay(decay)

    @flambeau.no_grad()
    def ema_update(ema_param_list: Any, current_param_list: Any, _: Any) -> None:
        for average, current in zip(ema_param_list, current_param_list):
            if _interpolates(average):
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """The function that brings one more value into a list of equally weighted averages.

    >>> average = torch.zeros(1)
    >>> get_swa_multi_avg_fn()([average], [torch.ones(1)], 1)
    >>> average
    tensor([0.5000])
    """

    @flambeau.no_grad()
    def swa_update(averaged_param_list: Any, current_param_list: Any, num_averaged: Any) -> None:
        weight = 1 / (num_averaged + 1)
        if isinstance(weight, flambeau.Tensor):
            weight = weight.item()
        for average, current in zip(averaged_param_list, current_param_list):
            if _interpolates(average):
                average.lerp_(current, weight)
            else:
                average.addcdiv_(current - average, flambeau.as_tensor(num_averaged + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., flambeau.Tensor]:
    """The function that gives a moving average with one more value."""
    _check_decay(decay)

    @flambeau.no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> flambeau.Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Callable[..., flambeau.Tensor]:
    """The function that gives an equally weighted average with one more value."""

    @flambeau.no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> flambeau.Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(flambeau.nn.Module):
    """A copy of a model whose parameters are averages; `update_parameters` takes in the present.

    Equally weighted by default (Izmailov et al. 2018), or as `avg_fn` or `multi_avg_fn` say.
    """

    n_averaged: flambeau.Tensor

    def __init__(
        self,
        model: flambeau.nn.Module,
        device: Any = None,
        avg_fn: Callable[..., flambeau.Tensor] | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", flambeau.tensor(0, dtype=flambeau.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: flambeau.nn.Module) -> None:
        """Takes the present parameters of `model` into the averages."""
        pairs = [
            (average.detach(), current.detach().to(average.device))
            for average, current in zip(self._averaged(self.module), self._averaged(model))
        ]
        if self.n_averaged == 0:
            for average, current in pairs:
                average.copy_(current)
        elif self.multi_avg_fn is not None:
            self._update_lists(pairs, self.multi_avg_fn)
        else:
            update = self.avg_fn or get_swa_avg_fn()
            for average, current in pairs:
                average.copy_(update(average, current, self.n_averaged.to(average.device)))
        if not self.use_buffers:
            # Buffers are no weights: the latest ones count.
            for ours, theirs in zip(self.module.buffers(), model.buffers()):
                ours.detach().copy_(theirs.detach().to(ours.device))
        self.n_averaged += 1

    def _averaged(self, model: flambeau.nn.Module) -> Iterable[flambeau.Tensor]:
        if self.use_buffers:
            return itertools.chain(model.parameters(), model.buffers())
        return model.parameters()

    def _update_lists(
        self,
        pairs: list[tuple[flambeau.Tensor, flambeau.Tensor]],
        update: Callable[..., None],
    ) -> None:
        alike: defaultdict[Any, list[Any]] = defaultdict(list)
        for average, current in pairs:
            alike[average.device, average.dtype].append((average, current))
        for (device, _), members in alike.items():
            averages, currents = map(list, zip(*members))
            update(averages, currents, self.n_averaged.to(device))


@flambeau.no_grad()
def update_bn(loader: Iterable[Any], model: flambeau.nn.Module, device: Any = None) -> None:
    """Computes the running statistics of batch normalisation anew, in one pass over the data."""
    batch_norm = flambeau.nn.modules.batchnorm._BatchNorm
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, batch_norm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None  # a plain average over all batches
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        if device is not None:
            batch = batch.to(device)
        model(batch)
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Goes to the rate `swa_lr` within `anneal_epochs` and stays there.

    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> optimizer.step(), scheduler.step()
    (None, None)
    >>> scheduler.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(one_per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the final rate there is after so many steps."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Rate]:
        """The rates of epoch `last_epoch`."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            final = group["swa_lr"]
            # What the present rate is a mixture of.
            first = final if before == 1 else (group["lr"] - before * final) / (1 - before)
            rates.append(final * now + first * (1 - now))
        return rates
