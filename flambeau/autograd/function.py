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

`ctx` is the graph node itself, as in torch, so `y.grad_fn.saved_tensors` works; names of our own
begin with an underscore there.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.inplace import adopt, check_modifiable, share
from flambeau.autograd.modes import enable_grad, is_grad_enabled, no_grad
from flambeau.autograd.nodes import AccumulateGrad, Node, edge_to, target
from flambeau.autograd.saved import Packed, modified_error, pack, restore, state
from flambeau.core import errors, graph_errors
from flambeau.core.graph_errors import BY_FUNCTION
from flambeau.core.spec import Spec
from flambeau.runtime.system import engine

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "NestedIOFunction", "once_differentiable"]


class FunctionCtx:
    """What forward leaves for backward."""

    to_save: Sequence[Any]
    dirty_tensors: Sequence[Any]
    non_differentiable: Sequence[Any]

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for backward: `ctx.saved_tensors`. Inputs and outputs only are safe to keep
        this way.
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
    """The node of one call of a custom function, which is also its `ctx`. Each function has a
    subclass with torch's name.
    """

    _owner: type[Function]
    _runs_without_gradients = True

    def __init__(
        self, edges: tuple[Any, ...], inputs: Sequence[Spec | None], needs: tuple[bool, ...]
    ):
        super().__init__(None, edges, ())
        self.needs_input_grad = needs
        self.to_save = self.dirty_tensors = self.non_differentiable = ()
        self.materialize_grads = True
        self._kept: (
            list[tuple[Any, Any, int]] | None
        ) = []  # (tensor or Packed or None, its edge or result number, its version)
        self._input_specs = inputs
        self._output_specs: list[Spec | None] = []

    @property
    def _outputs(self) -> int:
        return max(1, len(self._output_specs))

    def _keep(self, results: Sequence[Any]) -> None:
        """Stores what save_for_backward was given; own results without their node, else they would
        hold themselves.
        """
        self._kept = []
        for tensor in self.to_save:
            if tensor is None:
                self._kept.append((None, None, 0))
                continue
            place = next((k for k, result in enumerate(results) if result is tensor), None)
            origin = tensor._node if place is None else place
            value = tensor if place is None else tensor.detach()
            if state.hooks:
                value = pack(restore(value, self._edge_of(origin)), *state.hooks[-1])
            self._kept.append((value, origin, tensor._storage.version))
        self.to_save = ()

    def _edge_of(self, origin: Any) -> Any:
        return edge_to(self, origin) if type(origin) is int else origin

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What forward saved, with its place in the graph."""
        if self._kept is None:
            raise graph_errors.second_backward()
        return tuple(self._saved_one(*each) for each in self._kept)

    saved_variables = saved_tensors

    def _saved_one(self, value: Any, origin: Any, version: int) -> Any:
        if value is None:
            return None
        if type(value) is Packed:
            value = value.tensor()
        elif value._storage.version != version:
            maker, index = (self, origin) if type(origin) is int else target(value._edge)
            raise modified_error(value, maker, index, version)
        return restore(value, self._edge_of(origin))

    def _release(self) -> None:
        if self._kept:
            self._kept = None

    def apply(self, *grads: Any) -> Any:
        """Runs the user's backward; torch's errors for results that do not fit."""
        incoming = list(grads[0]) if len(grads) == 1 and isinstance(grads[0], list) else list(grads)
        if self.materialize_grads:
            for k, spec in enumerate(self._output_specs):
                if incoming[k] is None and spec is not None:
                    incoming[k] = engine.Tensor._empty(spec).zero_()
        result = rule_of(self._owner)(self, *incoming)
        grads_out = list(result) if isinstance(result, tuple) else [result]
        expected = len(self._edges)
        if len(grads_out) > expected and all(g is None for g in grads_out[expected:]):
            grads_out = grads_out[:expected]
        if len(grads_out) != expected:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{expected}, got {len(grads_out)})"
            )
        return [self._checked(i, g) for i, g in enumerate(grads_out)]

    def _checked(self, i: int, grad: Any) -> Any:
        if grad is None:
            return None
        spec = self._input_specs[i]
        if spec is None:
            raise RuntimeError(
                f"function {self.name()} returned a gradient different than None at position "
                f"{i + 1}, but the corresponding forward input was not a Variable"
            )
        if not isinstance(grad, engine.Tensor):
            raise RuntimeError(f"expected Variable or None (got {errors.type_name(grad)})")
        if self._edges[i] is None:  # nobody needs it, but hooks of the node see it
            return grad
        if grad.shape != spec.shape:
            if not sums_to(grad.shape, spec.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got "
                    f"{errors.brackets(grad.shape)} but expected shape compatible with "
                    f"{errors.brackets(spec.shape)}"
                )
            grad = grad.sum_to_size(spec.shape)
        if grad.dtype is spec.dtype:
            return grad
        return (grad.real if grad.dtype.is_complex and not spec.dtype.is_complex else grad).to(
            spec.dtype
        )


def sums_to(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a gradient of `shape` may be summed to the wanted one."""
    added = len(shape) - len(wanted)
    return added >= 0 and all(t in (1, s) for s, t in zip(shape[added:], wanted, strict=True))


def rule_of(function: type[Function]) -> Callable[..., Any]:
    """The backward that the user wrote, under either name."""
    own, other = function.backward is not Function.backward, function.vjp is not Function.vjp
    if own and other:
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
            "should only implement one of them."
        )
    return function.vjp if other else function.backward


class Function:
    """Base of custom operations; see the module's first lines."""

    generate_vmap_rule = False
    _backward_cls: type[BackwardCFunction]

    def __init__(self, *args: Any, **kwargs: Any):
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __init_subclass__(cls, **keywords: Any):
        super().__init_subclass__(**keywords)
        cls._backward_cls = type(
            cls.__name__ + "Backward", (BackwardCFunction,), {"_owner": cls, "_forward_cls": cls}
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

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
        edges = tuple(a._node if isinstance(a, tensor) else None for a in args)
        needs = tuple(edge is not None for edge in edges)
        active = is_grad_enabled() and any(needs)
        specs = [a._spec if isinstance(a, tensor) else None for a in args]
        needs += (False,) * len(kwargs)
        node = cls._backward_cls(edges if active else (), specs, needs)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(node, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, output)
        results = list(output) if isinstance(output, tuple) else [output]
        finished = finish(node, args, results, active)
        return tuple(finished) if isinstance(output, tuple) else finished[0]


Function.__init_subclass__.__func__(Function)  # type: ignore[attr-defined]


def finish(
    node: BackwardCFunction, args: Sequence[Any], raw: Sequence[Any], active: bool
) -> list[Any]:
    """Hangs the node on the results: changed inputs keep their object, inputs handed back become
    views of themselves.
    """
    tensor = engine.Tensor
    for position, kept in enumerate(node.to_save):
        if kept is not None and not isinstance(kept, tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {position} is of type "
                f"{type(kept).__name__}"
            )
    if any(all(r is not dirty for r in raw) for dirty in node.dirty_tensors):
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. "
            "The inputs that are modified inplace must all be outputs of the Function."
        )
    node._output_specs = [r._spec if isinstance(r, tensor) else None for r in raw]
    results = list(raw)
    for k, result in enumerate(raw):
        if not isinstance(result, tensor):
            continue
        constant = any(result is n for n in node.non_differentiable) or result.dtype.category < 2
        edge = edge_to(node, k) if active and not constant else None
        if any(result is dirty for dirty in node.dirty_tensors):
            result._storage.version += 1
            if active:
                take_dirty(result, edge)
        else:
            results[k] = placed(result, edge, any(result is a for a in args))
    if active:
        renamed = {
            id(r): result for r, result in zip(raw, results, strict=True) if isinstance(r, tensor)
        }
        node.to_save = [renamed.get(id(t), t) for t in node.to_save]
        node._keep(results)
    return results


def take_dirty(changed: Any, edge: Any) -> None:
    """A result that is an input, changed in place."""
    with enable_grad():
        if changed._base is None and type(changed._edge) is AccumulateGrad:
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation."
            )
        check_modifiable(changed, recording=True)
        adopt(changed, edge)


def placed(result: Any, edge: Any, is_input: bool) -> Any:
    """A result with its place in the graph: an input handed back as a view of itself, a tensor with
    another graph without that.
    """
    if is_input:
        base, result = result, result.detach()
        if edge is not None or base._edge is None:
            share(result, base, BY_FUNCTION)
    elif result._edge is not None:
        result = result.detach()
    elif result._base is not None:
        result._made = result._storage.epoch << 3 | BY_FUNCTION
    if edge is not None:
        result._node = edge
    return result


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
        error = Error()
        marked = [
            mark(result, error)
            for result in (outputs if isinstance(outputs, tuple) else (outputs,))
        ]
        return tuple(marked) if isinstance(outputs, tuple) else marked[0]

    return wrapper


def mark(result: Any, node: Node) -> Any:
    """A gradient that may not be differentiated."""
    if isinstance(result, engine.Tensor):
        result = result.detach()
        result._node = node
    return result


class Error(Node):
    """Raises when somebody differentiates through it."""

    def __init__(self) -> None:
        super().__init__(None, ())

    def apply(self, grads: list[Any]) -> Any:
        """torch's error."""
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


class InplaceFunction(Function):
    """torch's base of functions that may work in place; it adds nothing that is still used."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace


class NestedIOFunction(Function):
    """torch's name for functions over nested structures; the plain form takes them already."""
