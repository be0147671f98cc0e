"""Backward hooks of a module: two identity nodes of the graph around one call.

`module_hooks.py` makes a `BackwardHook` for each call of a module that has such hooks.

>>> layer = torch.nn.Linear(2, 1, bias=False)
>>> handle = layer.register_full_backward_hook(lambda module, grad_in, grad_out: print(grad_out))
>>> layer(torch.ones(1, 2)).sum().backward()
(tensor([[1.]]),)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import flambeau


class BackwardHookFunction(flambeau.autograd.Function):
    """The identity, as a graph node of its own: a place for hooks around a module."""

    @staticmethod
    def forward(ctx, *args):
        ctx.mark_non_differentiable(*[arg for arg in args if not arg.requires_grad])
        return args

    @staticmethod
    def backward(ctx, *args):
        return args


class BackwardHook:
    """One module call's backward hooks.

    Two identity nodes enclose the call. The outer one (on the outputs) runs first in backward: it
    keeps the output gradients, after the user's pre-hooks. The inner one (on the inputs) sees the
    input gradients and runs the user's hooks on both. Without an input that needs a gradient there
    is no inner node and the outer one calls the hooks.
    """

    def __init__(self, module: Any, user_hooks: list, user_pre_hooks: list) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs: tuple | None = None
        self.n_inputs = -1
        self.n_outputs = -1
        self.input_tensors_index: list[int] | None = None
        self.output_tensors_index: list[int] | None = None

    def setup_input_hook(self, args: tuple) -> tuple:
        """Put the inner node in front of the call and return the arguments that come out of it."""
        result, index = self._pass_through(self._on_input_gradients, args)
        self.n_inputs = len(args)
        self.input_tensors_index = index
        return result

    def setup_output_hook(self, output: Any) -> Any:
        """Put the outer node behind the call and return the output that comes out of it."""
        outputs = output if isinstance(output, tuple) else (output,)
        result, index = self._pass_through(self._on_output_gradients, outputs)
        self.n_outputs = len(outputs)
        self.output_tensors_index = index
        return result if isinstance(output, tuple) else result[0]

    def _pass_through(self, hook: Callable, values: tuple) -> tuple[tuple, list[int] | None]:
        index = [i for i, value in enumerate(values) if isinstance(value, flambeau.Tensor)]
        tensors = [values[i] for i in index]
        if not (flambeau.is_grad_enabled() and any(t.requires_grad for t in tensors)):
            return values, None
        passed = BackwardHookFunction.apply(*tensors)
        nodes = [t.grad_fn for t in passed if t.grad_fn is not None]
        nodes = [node for node in nodes if node.name() == "BackwardHookFunctionBackward"]
        if not nodes:
            raise RuntimeError(
                "Error while setting up backward hooks. Please open "
                "an issue with a code sample to reproduce this."
            )
        nodes[0].register_hook(hook)
        replaced = list(values)
        for i, value in zip(index, passed):
            replaced[i] = value
        # A named tuple keeps its class.
        return (tuple(replaced) if type(values) is tuple else type(values)(*replaced)), index

    def _on_input_gradients(self, grad_input: tuple, _: tuple) -> tuple | None:
        if self.grad_outputs is None:  # the outer node has not run: only a part was differentiated
            return None
        index = self.input_tensors_index or []
        gradients = _spread(index, grad_input, self.n_inputs)
        for user_hook in self.user_hooks:
            out = user_hook(self.module, gradients, self.grad_outputs)
            if out is None:
                continue
            if len(out) != len(gradients):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(out)}, but expected {len(gradients)}"
                )
            gradients = out
        self.grad_outputs = None
        return tuple(gradients[i] for i in index)

    def _on_output_gradients(self, _: tuple, grad_output: tuple) -> tuple | None:
        index = self.output_tensors_index or []
        self.grad_outputs = _spread(index, grad_output, self.n_outputs)
        for user_pre_hook in self.user_pre_hooks:
            out = user_pre_hook(self.module, self.grad_outputs)
            if out is None:
                continue
            if len(out) != len(self.grad_outputs):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(out)}, but expected {len(self.grad_outputs)}"
                )
            self.grad_outputs = out
        gradients = self.grad_outputs
        if self.input_tensors_index is None:
            self._run_without_input_gradients()
        return tuple(gradients[i] for i in index)

    def _run_without_input_gradients(self) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        gradients = (None,) * self.n_inputs
        for user_hook in self.user_hooks:
            out = user_hook(self.module, gradients, self.grad_outputs)
            if out is not None and not (isinstance(out, tuple) and all(o is None for o in out)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires "
                    "gradient should always return None or None for all gradients."
                )
        self.grad_outputs = None


def _spread(index: list[int], values: tuple, size: int) -> tuple:
    """`values` at the positions `index` of a tuple of length `size`, None elsewhere."""
    result: list = [None] * size
    for i, value in zip(index, values):
        result[i] = value
    return tuple(result)
