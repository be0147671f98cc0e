"""Checkpointing: memory for time. What a function computed is forgotten and computed again in
backward.

    y = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)

Two ways, as in torch. With `use_reentrant=False` the function is recorded as usual, but what its
graph nodes save is thrown away (hooks for saved tensors) until backward asks for it; with True it
runs without recording, and backward runs it again with a backward pass of its own inside.
(Chen et al., Training deep nets with sublinear memory cost, 2016.)
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flambeau

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]

ADVICE = (
    "use_reentrant=False is recommended, but if you need to preserve the current default behavior, "
    "you can pass use_reentrant=True. Refer to docs for more details on the differences between "
    "the two variants."
)
TIP = (
    "\nTip: To see a more detailed error message, either pass `debug=True` to\n"
    "`torch.utils.checkpoint.checkpoint(...)` or wrap the code block\n"
    "with `with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):` to\n"
    "enable checkpoint\u2011debug mode globally.\n"
)


class CheckpointError(RuntimeError):
    """The function did not do the same the second time."""


class _StopRecomputation(Exception):
    """Everything that was asked for is there: the rest of the function need not run."""


_early_stop: list[bool | None] = [None]


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Whether checkpoints made inside stop running their function again as soon as they can.

    >>> with torch.utils.checkpoint.set_checkpoint_early_stop(False):
    ...     pass
    """
    before, _early_stop[0] = _early_stop[0], enable
    try:
        yield
    finally:
        _early_stop[0] = before


def noop_context_fn() -> tuple[Any, Any]:
    """The default of `context_fn`: two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors as leaves that need gradients as before; other values as they are.

    >>> torch.utils.checkpoint.detach_variable((torch.ones(1, requires_grad=True) * 2, 3))
    (tensor([2.], requires_grad=True), 3)
    """
    if not isinstance(inputs, tuple):
        kind = type(inputs).__name__
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: {kind}"
        )
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, flambeau.Tensor) else x
        for x in inputs
    )


def check_backward_validity(inputs: Any) -> None:
    """Warns when no gradient can come out."""
    if not any(x.requires_grad for x in inputs if isinstance(x, flambeau.Tensor)):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )


class _RandomState:
    """The state of the random generator, to be taken up again."""

    def __init__(self, preserve: bool):
        self.state = flambeau.get_rng_state() if preserve else None

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """Draws inside are the ones that followed when this state was taken."""
        with flambeau.random.fork_rng(enabled=self.state is not None):
            if self.state is not None:
                flambeau.set_rng_state(self.state)
            yield


# ---- use_reentrant=True --------------------------------------------------------------------------


class CheckpointFunction(flambeau.autograd.Function):
    """Runs a function without recording; backward runs it again with recording."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Keeps the inputs and the random state only."""
        check_backward_validity(args)
        ctx.function, ctx.random = function, _RandomState(preserve)
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, flambeau.Tensor)]
        ctx.others = [None if isinstance(a, flambeau.Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Computes the function again and goes back through it."""
        if not flambeau.autograd._is_checkpoint_valid():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        given = list(ctx.others)
        for place, tensor in zip(ctx.places, ctx.saved_tensors):
            given[place] = tensor
        args = detach_variable(tuple(given))
        with ctx.random.again(), flambeau.enable_grad():
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


# ---- use_reentrant=False -------------------------------------------------------------------------


class _Inputs(flambeau.autograd.Function):
    """A graph node that saves the inputs, so that a checkpoint around this one forgets them too."""

    @staticmethod
    def forward(ctx: Any, anchor: Any, *tensors: Any) -> Any:
        ctx.save_for_backward(*tensors)
        return flambeau.empty(0)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise AssertionError("nobody goes backward through the inputs of a checkpoint")


class _Frame:
    """One checkpointed call: how to run it again, and what its nodes saved, as far as it is there.

    expected: shape, dtype and device of each saved tensor, in order; found: saved tensors by place.
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]):
        self.function, self.kwargs = function, kwargs
        self.places = [i for i, a in enumerate(args) if isinstance(a, flambeau.Tensor)]
        self.others = [None if isinstance(a, flambeau.Tensor) else a for a in args]
        anchor = flambeau.empty(0, requires_grad=True)
        with flambeau.enable_grad():
            self.inputs = _Inputs.apply(anchor, *[args[i] for i in self.places])
        self.expected: list[dict[str, Any]] = []
        self.found: dict[int, Any] = {}

    def arguments(self) -> list[Any]:
        """The arguments of the call."""
        args = list(self.others)
        for place, tensor in zip(self.places, self.inputs.grad_fn.saved_tensors):
            args[place] = tensor
        return args

    def pack(self, tensor: Any) -> int:
        """In forward: instead of a tensor its place is saved."""
        self.expected.append(_metadata(tensor))
        return len(self.expected) - 1

    def unpack(self, place: int) -> Any:
        """In backward: a saved tensor, after the call was run again if need be."""
        if place not in self.found:
            self.recompute()
        return self.found.pop(place)

    def recompute(self) -> None:
        """Runs the call again and takes what its nodes save."""
        taken: list[Any] = []

        def take(tensor: Any) -> Any:
            taken.append(tensor.detach())
            if self.early_stop and len(taken) == len(self.expected):
                raise _StopRecomputation
            return taken[-1]

        hooks = flambeau.autograd.graph.saved_tensors_hooks(take, lambda tensor: tensor)
        again = (self.random.again(), self.context, flambeau.enable_grad(), hooks)
        with contextlib.suppress(_StopRecomputation), contextlib.ExitStack() as stack:
            for each in again:
                stack.enter_context(each)
            self.function(*self.arguments(), **self.kwargs)
        self.compare(taken)
        self.found = dict(enumerate(taken))

    def compare(self, taken: Sequence[Any]) -> None:
        """torch's errors when the second run was another one."""
        if len(taken) != len(self.expected):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(self.expected)}\n"
                f"Number of tensors saved during recomputation: {len(taken)}.\n{TIP}"
            )
        lines = []
        for place, (tensor, before) in enumerate(zip(taken, self.expected)):
            after = _metadata(tensor)
            if self.check and after != before:
                lines.append(
                    f"tensor at position {place}:\nsaved metadata: {before}\n"
                    f"recomputed metadata: {after}"
                )
        if lines:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n"
                + "\n".join(lines)
                + f"\n.\n{TIP}"
            )

    early_stop = check = True
    random: _RandomState
    context: Any


def _metadata(tensor: Any) -> dict[str, Any]:
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


def _without_reentry(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    preserve: bool,
    context_fn: Callable[[], tuple[Any, Any]],
    check: bool,
    early_stop: bool,
) -> Any:
    """`checkpoint` with use_reentrant=False."""
    forward_context, recompute_context = context_fn()
    frame = _Frame(function, args, kwargs)
    frame.random, frame.context = _RandomState(preserve), recompute_context
    frame.early_stop = early_stop if _early_stop[0] is None else _early_stop[0]
    frame.check = check
    with flambeau.autograd.graph.saved_tensors_hooks(frame.pack, frame.unpack), forward_context:
        return function(*args, **kwargs)


# ---- the public functions ------------------------------------------------------------------------


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
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
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            f"exception. {ADVICE}",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant:
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    if debug:
        raise NotImplementedError("checkpoint(debug=True): not supported by Flambeau")
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], but got {determinism_check}"
        )
    check = determinism_check == "default"
    return _without_reentry(function, args, kwargs, preserve, context_fn, check, early_stop)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Runs a sequence of modules in `segments` parts, each but the last checkpointed.

    >>> layers = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
    >>> x = torch.ones(1, requires_grad=True)
    >>> torch.utils.checkpoint.checkpoint_sequential(layers, 2, x, use_reentrant=False)
    tensor([1.], grad_fn=<ReluBackward0>)
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            f"passed. {ADVICE}",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    sequential = isinstance(functions, flambeau.nn.Sequential)
    modules: Sequence[Any] = list(functions.children()) if sequential else functions
    size = len(modules) // segments

    def part(start: int, stop: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for module in modules[start:stop]:
                x = module(x)
            return x

        return run

    start = 0
    for _ in range(segments - 1):
        input = checkpoint(
            part(start, start + size),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )
        start += size
    return part(start, len(modules))(input)
