"""`Function`: operations whose forward and backward the user writes in Python.

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    y = Square.apply(x)

`ctx` is the graph node itself, as in torch, so `y.grad_fn.saved_tensors` works.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.graph import Node, edge_to, producer, target
from flambeau.autograd.inplace import adopt, check_modifiable
from flambeau.autograd.modes import enable_grad, is_grad_enabled, no_grad
from flambeau.core import errors
from flambeau.runtime.system import engine


class FunctionCtx:
    """What forward leaves for backward."""

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward: `ctx.saved_tensors`.

        Inputs and outputs only are safe to keep this way.
        """
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Any) -> None:
        """These inputs were changed in place by forward."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """These outputs never need a gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward sees zeros (the default) or None for outputs without a gradient."""
        self.materialize_grads = value


class BackwardCFunction(Node, FunctionCtx):
    """The node of one call of a custom function, which is also its `ctx`."""

    def __init__(self, owner: type[Function], needs: tuple[bool, ...], edges: tuple[Any, ...]):
        super().__init__(None, edges, ())
        self.owner, self.needs_input_grad = owner, needs
        self.to_save = ()
        self.dirty_tensors = ()
        self.non_differentiable = ()
        self.materialize_grads = True
        self.kept: list[tuple[Any, Any, int]] | None = []
        self.input_specs: list[Any] = []
        self.output_specs: list[Any] = []

    def name(self) -> str:
        """torch's name: the class and Backward."""
        return self.owner.__name__ + "Backward"

    @property
    def outputs(self) -> int:
        """Number of results."""
        return max(1, len(self.output_specs))

    def keep(self, results: Sequence[Any]) -> None:
        """Stores what save_for_backward was given; own results without their node,
        else they would hold themselves.
        """
        self.kept = []
        for tensor in self.to_save:
            if tensor is None:
                self.kept.append((None, None, 0))
                continue
            if not isinstance(tensor, engine.Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {len(self.kept)} is "
                    f"of type {type(tensor).__name__}"
                )
            place = next((k for k, result in enumerate(results) if result is tensor), None)
            if place is None:
                self.kept.append((tensor, tensor._node, tensor._storage.version))
            else:
                self.kept.append((tensor.detach(), place, tensor._storage.version))
        self.to_save = ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What forward saved, with its place in the graph."""
        if self.kept is None:
            raise errors.second_backward()
        found = []
        for tensor, origin, version in self.kept:
            if tensor is not None and tensor._storage.version != version:
                raise errors.modified_in_place(
                    tensor.dtype.tensor_type,
                    tuple(tensor.shape),
                    producer(*((self, origin) if isinstance(origin, int) else target(origin))),
                    tensor._storage.version,
                    version,
                )
            if tensor is not None and isinstance(origin, int):
                twin = tensor.detach()
                twin._node = edge_to(self, origin)
                tensor = twin
            found.append(tensor)
        return tuple(found) if self.kept or not self.to_save else tuple(self.to_save)

    saved_variables = saved_tensors

    def release(self) -> None:
        """Frees the saved tensors."""
        if self.kept:
            self.kept = None

    def apply(self, *grads: Any) -> Any:
        """Runs the user's backward; torch's errors for results that do not fit."""
        incoming = list(grads[0]) if len(grads) == 1 and isinstance(grads[0], list) else list(grads)
        if self.materialize_grads:
            incoming = [
                engine.Tensor._empty(spec).zero_() if g is None and spec is not None else g
                for g, spec in zip(incoming, self.output_specs, strict=False)
            ]
        rule = self.owner.vjp if self.owner.backward is Function.backward else self.owner.backward
        result = rule(self, *incoming)
        grads_out = list(result) if isinstance(result, tuple) else [result]
        expected = len(self.edges)
        if len(grads_out) > expected and all(g is None for g in grads_out[expected:]):
            grads_out = grads_out[:expected]
        if len(grads_out) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{expected}, got {len(grads_out)})"
            )
        return [self._checked(i, g) for i, g in enumerate(grads_out)]

    def _checked(self, i: int, grad: Any) -> Any:
        spec = self.input_specs[i]
        if grad is None:
            return None
        if not isinstance(grad, engine.Tensor):
            raise TypeError(f"expected Variable or None (got {type(grad).__name__})")
        if spec is None:
            raise RuntimeError(
                f"function {self.name()} returned a gradient different from None at position "
                f"{i + 1}, but the corresponding forward "
                "input was not a Variable"
            )
        if self.edges[i] is None:
            return None
        if grad.shape != spec.shape:
            if len(grad.shape) < len(spec.shape) or not sums_to(grad.shape, spec.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got "
                    f"{errors.brackets(grad.shape)} but expected "
                    f"shape compatible with {errors.brackets(spec.shape)}"
                )
            grad = grad.sum_to_size(spec.shape)
        return grad if grad.dtype is spec.dtype else grad.to(spec.dtype)


def sums_to(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a gradient of `shape` may be summed to `target`."""
    return all(t in (1, s) for s, t in zip(shape[len(shape) - len(target) :], target, strict=True))


class Function:
    """Base of custom operations; see the module's first lines."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise RuntimeError(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the "
            "class itself. Instantiating an autograd function will raise an error in a future "
            "version of PyTorch."
        )

    generate_vmap_rule = False

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The operation: `forward(ctx, *inputs)`, or `forward(*inputs)` beside `setup_context`."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fills `ctx` from inputs and output when forward does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the inputs from those of the outputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Forward-mode derivative."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation and records it."""
        tensor = engine.Tensor
        recording = is_grad_enabled()
        needs = tuple(isinstance(a, tensor) and a._node is not None for a in args)
        active = recording and any(needs)
        edges = tuple(a._node if active and isinstance(a, tensor) else None for a in args)
        node = BackwardCFunction(cls, needs if recording else tuple(False for _ in needs), edges)
        node.input_specs = [a._spec if isinstance(a, tensor) else None for a in args]
        versions = [a._storage.version if isinstance(a, tensor) else None for a in args]
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(node, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, output)
        single = not isinstance(output, (tuple, list))
        results = [output] if single else list(output)
        results = finish(node, args, results, versions, active)
        if single:
            return results[0]
        return tuple(results)


def finish(
    node: BackwardCFunction,
    args: Sequence[Any],
    results: list[Any],
    versions: list[Any],
    active: bool,
) -> list[Any]:
    """Hangs the node on the results: in-place ones keep their object,
    inputs handed back become views of themselves.
    """
    tensor = engine.Tensor
    node.output_specs = [r._spec if isinstance(r, tensor) else None for r in results]
    raw = list(results)
    for k, result in enumerate(results):
        if not isinstance(result, tensor):
            continue
        dirty = any(result is d for d in node.dirty_tensors)
        if dirty:
            result._storage.version += 1  # beside what the operations inside counted, as in torch
            if active:
                with enable_grad():
                    check_modifiable(result)
                    adopt(result, edge_to(node, k))
            continue
        if any(result is a for a in args):
            result = results[k] = result.view_as(result) if not active else result.detach()
        if not active or any(raw[k] is n for n in node.non_differentiable):
            continue
        kind = result.dtype
        if kind.is_floating_point or kind.is_complex:
            if result._node is not None:
                result = results[k] = result.detach()
            result._node = edge_to(node, k)
    if active:
        node.to_save = tuple(
            results[next(k for k, r in enumerate(raw) if r is t)] if any(r is t for r in raw) else t
            for t in node.to_save
        )
        node.keep(results)
    return results


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """For a backward written with code that cannot be differentiated again."""

    @functools.wraps(backward)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = backward(ctx, *args)
        if not is_grad_enabled() or not any(
            isinstance(a, engine.Tensor) and a.requires_grad for a in args
        ):
            return outputs
        results = outputs if isinstance(outputs, tuple) else (outputs,)
        error = DelayedError()
        marked = []
        for result in results:
            if isinstance(result, engine.Tensor):
                result = result.detach()
                result._node = error
            marked.append(result)
        return tuple(marked) if isinstance(outputs, tuple) else marked[0]

    return wrapper


class DelayedError(Node):
    """Raises when somebody differentiates through it."""

    def __init__(self) -> None:
        super().__init__(None, ())

    def name(self) -> str:
        """torch's name."""
        return "Error"

    def apply(self, grads: list[Any]) -> Any:
        """torch's error."""
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


class Variable:
    """The old name of a tensor: `Variable(x)` is x."""

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        made = data.detach()
        return made.requires_grad_(True) if requires_grad else made


class NestedIOFunction(Function):
    """torch's name for functions over nested structures; the plain form takes them already."""


__all__ = ["Function", "FunctionCtx", "Variable", "once_differentiable"]
