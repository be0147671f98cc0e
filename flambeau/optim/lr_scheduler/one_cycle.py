"""One long cycle: up to a high rate, then down to far below the first (Smith and Topin 2018).

>>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.9)
>>> scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
>>> for _ in range(4):
...     print(round(scheduler.get_last_lr()[0], 2), round(optimizer.param_groups[0]["momentum"], 2))
...     optimizer.step()
...     scheduler.step()
0.04 0.95
0.52 0.9
1.0 0.85
0.95 0.85
"""

from __future__ import annotations

import math
from typing import Any, Literal

from flambeau.optim.lr_scheduler.base import Rate, check_optimizer, one_per_group
from flambeau.optim.lr_scheduler.cyclic import MomentumCycle
from flambeau.optim.optimizer import Optimizer


def _positive_integer(name: str, value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value}")
    return value


class OneCycleLR(MomentumCycle):
    """From `max_lr / div_factor` up to `max_lr`, then down; momentum moves the other way.

    With `three_phase` the way down stops at the first rate before it goes on to the lowest.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if total_steps is not None:
            self.total_steps = _positive_integer("total_steps", total_steps)
        elif epochs is not None and steps_per_epoch is not None:
            self.total_steps = _positive_integer("epochs", epochs) * _positive_integer(
                "steps_per_epoch", steps_per_epoch
            )
        else:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        self._schedule_phases = self._phases(pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        highs = one_per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for high, group in zip(highs, optimizer.param_groups):
                group["initial_lr"] = high / div_factor
                group["max_lr"] = high
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._begin_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _phases(self, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
        """Each phase: its last step, and the names of the values it leads from and to."""

        def phase(end: float, rates: tuple[str, str], momentums: tuple[str, str]) -> dict[str, Any]:
            return {
                "end_step": end,
                "start_lr": rates[0],
                "end_lr": rates[1],
                "start_momentum": momentums[0],
                "end_momentum": momentums[1],
            }

        first = float(pct_start * self.total_steps) - 1
        second = float(2 * pct_start * self.total_steps) - 2
        last = self.total_steps - 1
        low, high = "base_momentum", "max_momentum"
        rise = phase(first, ("initial_lr", "max_lr"), (high, low))
        if three_phase:
            fall = phase(second, ("max_lr", "initial_lr"), (low, high))
            return [rise, fall, phase(last, ("initial_lr", "min_lr"), (high, high))]
        return [rise, phase(last, ("max_lr", "min_lr"), (low, high))]

    def _anneal_func(self, start: Any, end: Any, pct: float) -> Any:
        if self._anneal_func_type == "linear":
            return (end - start) * pct + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * pct) + 1)

    def get_lr(self) -> list[Rate]:
        """The rates of step `last_epoch`; sets the momentums too."""
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start_step = 0.0
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start_step = phase["end_step"]
        pct = (step - start_step) / (phase["end_step"] - start_step)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal_func(group[phase["start_lr"]], group[phase["end_lr"]], pct))
            if self.cycle_momentum:
                momentum = self._anneal_func(
                    group[phase["start_momentum"]], group[phase["end_momentum"]], pct
                )
                self._set_momentum(group, momentum)
        return rates
