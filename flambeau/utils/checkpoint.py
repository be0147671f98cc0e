"""Checkpointing: memory for time.

What a function computed is forgotten and computed again in backward.

    y = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)

(Chen et al., Training deep nets with sublinear memory cost, 2016.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import flambeau

__all__ = ["checkpoint", "checkpoint_sequential"]


class CheckpointFunction(flambeau.autograd.Function):
    """Runs a function without recording; backward runs it again with recording."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Keeps the inputs and the random state only."""
        ctx.function, ctx.preserve = function, preserve
        ctx.random_state = flambeau.get_rng_state() if preserve else None
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, flambeau.Tensor)]
        ctx.others = [None if isinstance(a, flambeau.Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Computes the function again and goes back through it."""
        args = list(ctx.others)
        for place, tensor in zip(ctx.places, ctx.saved_tensors):
            args[place] = tensor.detach().requires_grad_(tensor.requires_grad)
        with flambeau.random.fork_rng(enabled=ctx.preserve):
            if ctx.preserve:
                flambeau.set_rng_state(ctx.random_state)
            with flambeau.enable_grad():
                outputs = ctx.function(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        live = [
            (y, g)
            for y, g in zip(outputs, grads)
            if isinstance(y, flambeau.Tensor) and y.requires_grad
        ]
        if not live:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        flambeau.autograd.backward([y for y, _ in live], [g for _, g in live])
        found = [a.grad if isinstance(a, flambeau.Tensor) else None for a in args]
        return None, None, *found


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args)`, whose intermediate results are computed again in backward.

    Random numbers are the same in both runs unless `preserve_rng_state=False`.

    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([2.7183, 2.7183])
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            "exception. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True. Refer to docs for more "
            "details on the differences between the two variants.",
            stacklevel=2,
        )
    if context_fn is not None:
        raise NotImplementedError("checkpoint(context_fn=...)")
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    run = (lambda *a: function(*a, **kwargs)) if kwargs else function
    if not use_reentrant and not any(
        isinstance(a, flambeau.Tensor) and a.requires_grad for a in args
    ):
        # parameters inside the function still want gradients: a leaf of no elements lets it record
        anchor = flambeau.empty(0, requires_grad=True)
        return CheckpointFunction.apply(lambda _, *a: run(*a), preserve, anchor, *args)
    return CheckpointFunction.apply(run, preserve, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Runs a sequence of modules in `segments` parts, each but the last checkpointed.

    >>> layers = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
    >>> x = torch.ones(1, requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint_sequential(layers, 2, x, use_reentrant=False)
    tensor([1.], grad_fn=<ReluBackward0>)
    """
    modules: Sequence[Any] = (
        list(functions.children()) if isinstance(functions, flambeau.nn.Sequential) else functions
    )
    size = len(modules) // segments

    def part(start: int, stop: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for module in modules[start:stop]:
                x = module(x)
            return x

        return run

    start = 0
    for _ in range(segments - 1):
        input = checkpoint(part(start, start + size), input, use_reentrant=use_reentrant, **kwargs)
        start += size
    return part(start, len(modules))(input)
