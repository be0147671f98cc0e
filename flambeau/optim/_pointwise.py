"""An optimizer given by one elementwise formula: the base class of nearly all of this package.

A subclass says what its state is (`init_state`), which options shape the formula (`flags`), which
numbers the formula needs in this step (`scalars`), and the formula itself (`update`).

>>> class Descent(PointwiseOptimizer):
...     def scalars(self, group, step, state):
...         return {"lr": group["lr"]}
...     @staticmethod
...     def update(p, g, *, lr, maximize):
...         return p + lr * g if maximize else p - lr * g, {}
>>> weight = torch.nn.Parameter(torch.ones(2))
>>> weight.sum().backward()
>>> Descent([weight], {"lr": 0.5, "maximize": False, "differentiable": False}).step()
>>> weight.tolist()
[0.5, 0.5]
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import flambeau
from flambeau.optim import _checks, _fused
from flambeau.optim.optimizer import Optimizer

State = dict[str, Any]
Group = dict[str, Any]


def counter(dtype: flambeau.dtype | None = None, value: float = 0.0) -> flambeau.Tensor:
    """A 0-d tensor that counts steps: of float32, or of float64 if that is the default dtype.

    >>> counter()
    tensor(0.)
    """
    wide = flambeau.get_default_dtype() == flambeau.float64
    dtype = dtype or (flambeau.float64 if wide else flambeau.float32)
    return flambeau.tensor(value, dtype=dtype)


def zeros_like(p: flambeau.Tensor) -> flambeau.Tensor:
    """A state tensor laid out in memory as the parameter is."""
    return flambeau.zeros_like(p, memory_format=flambeau.preserve_format)


def in_grad_mode_of_defaults(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with gradient recording off, or on for an optimizer made `differentiable`."""

    @functools.wraps(step)
    def guarded_step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        before = _fused.set_recording(self.defaults["differentiable"])
        try:
            return step(self, *args, **kwargs)
        finally:
            _fused.restore_recording(before)

    return guarded_step


def evaluate(closure: Callable[[], Any] | None) -> Any:
    """The loss computed by `closure`, with gradient recording on."""
    if closure is None:
        return None
    with flambeau.enable_grad():
        return closure()


class PointwiseOptimizer(Optimizer):
    """Runs `update` on every parameter that has a gradient."""

    # The options that change the shape of the formula: arguments of `update`, given by `flags`.
    flag_names: ClassVar[tuple[str, ...]] = ("maximize",)
    # What checkpoints of old versions may lack in their groups.
    later_options: ClassVar[dict[str, Any]] = {}
    # 0-d tensors of the state that those checkpoints hold as Python numbers.
    counters: ClassVar[tuple[str, ...]] = ("step",)
    # Whether `scalars` looks at the state, so that parameters cannot share its result.
    scalars_differ: ClassVar[bool] = False
    # Named in the message for capturable=True; no device here records graphs of its own.
    capturable_names: ClassVar[str] = "params and state_steps"
    capturable_devices: ClassVar[list[str]] = ["cuda", "xpu", "hpu", "privateuseone", "xla"]
    sparse_message: ClassVar[str] = "{name} does not support sparse gradients"

    def init_state(self, p: flambeau.Tensor, group: Group) -> State:
        """The state of a parameter before its first step: `step` and the named tensors."""
        return {"step": counter(), **{name: zeros_like(p) for name in self.state_names(group)}}

    def state_names(self, group: Group) -> tuple[str, ...]:
        """The state tensors that the formula reads and renews."""
        return ()

    def flags(self, group: Group) -> tuple[Any, ...]:
        """The values of `flag_names`; there is a kernel for each, with its own state names."""
        return (group["maximize"],)

    def scalars(self, group: Group, step: float, state: State) -> dict[str, Any]:
        """The numbers of this step; `step` counts from 1. No `state` unless `scalars_differ`."""
        raise NotImplementedError

    @staticmethod
    def update(p: Any, g: Any, **named: Any) -> tuple[Any, dict[str, Any]]:
        """The new parameter and the new state, in elementwise tensor algebra."""
        raise NotImplementedError

    def __setstate__(self, state: State) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            for name, value in self.later_options.items():
                group.setdefault(name, value)
            for p in group["params"]:
                own = self.state.get(p, {})
                for name in self.counters:
                    if name in own and not isinstance(own[name], flambeau.Tensor):
                        own[name] = counter(value=float(own[name]))

    @in_grad_mode_of_defaults
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient; returns the loss of `closure`, if given.

        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> weight.sum().backward()
        >>> torch.optim.SGD([weight], lr=0.5).step()
        >>> weight.tolist()
        [0.5, 0.5]
        """
        loss = evaluate(closure)
        for group in self.param_groups:
            self._update_group(group)
        return loss

    def _update_group(self, group: Group) -> None:
        update = self._update_of(group)
        names = update.names
        found = _fused.gather(group["params"], self.state, names)
        rows, steps = ([], []) if found is None else found
        for p in group["params"] if found is None else ():
            g = p.grad
            if g is None:
                continue
            state = self.state[p]
            if not state:
                self._begin(p, g, group, state)
            rows.append((p, g, *[state[name] for name in names]))
            steps.append(state["step"])
        if not rows:
            return
        if group.get("capturable"):
            raise AssertionError(
                f"If capturable=True, {self.capturable_names} must be on supported devices: "
                f"{self.capturable_devices}."
            )
        if group["differentiable"] and any(step.requires_grad for step in steps):
            raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
        numbers = functools.partial(self._numbers, group)
        _fused.run(update, rows, steps, numbers, not self.scalars_differ)

    def _numbers(self, group: Group, p: flambeau.Tensor, count: float) -> dict[str, Any]:
        """The numbers of a parameter's step, which all share unless `scalars_differ`."""
        return self.scalars(group, count, self.state[p] if self.scalars_differ else {})

    def _update_of(self, group: Group) -> _fused.Update:
        flags = self.flags(group)
        update = _updates.get((type(self), flags))
        if update is None:
            named = dict(zip(self.flag_names, flags))
            update = _fused.Update(type(self).update, self.state_names(group), named)
            _updates[type(self), flags] = update
        return update

    def _begin(self, p: flambeau.Tensor, g: flambeau.Tensor, group: Group, state: State) -> None:
        if g.is_sparse:
            raise RuntimeError(self.sparse_message.format(name=type(self).__name__))
        if group.get("fused"):
            _checks.fusible(p)
        state.update(self.init_state(p, group))


_updates: dict[tuple[type, tuple[Any, ...]], _fused.Update] = {}
