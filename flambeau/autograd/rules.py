"""Applies the gradient rules of an op to a node of the graph: on tensors, as they are written.

    by_rules(node, saved, [g], create=True)     # the gradients of the node's inputs

Called by autograd.engine where a graph of the gradients is wanted or a node needs attention, and by
autograd.programs, which writes down what the rules do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.autograd import fused
from flambeau.autograd.nodes import Flat, Node
from flambeau.autograd.saved import modified, restored
from flambeau.core import graph_errors
from flambeau.ops.kinds import Pointwise
from flambeau.ops.rules import INCOMING, SAVED, Joint
from flambeau.runtime.system import engine


def check_saved(node: Node) -> Any:
    """What a node saved; torch's errors when it is gone or was changed."""
    saved = node._saved
    if saved is None:
        raise graph_errors.second_backward()
    if not engine.core.check_saved(saved):
        raise modified(node)
    return saved


def without_graph(node: Node, saved: Any, grads: list[Any]) -> list[Any]:
    """The gradients of a node's inputs where nobody wants a graph of them."""
    if type(node._plan.op) is Pointwise:
        return fused.backward(node, saved, grads[0])
    return by_rules(node, saved, grads)


def by_rules(node: Node, saved: Any, grads: list[Any], create: bool = False) -> list[Any]:
    """The gradients of a node's inputs by its op's rules; `create`: with their own graph."""
    plan, edges = node._plan, node._edges
    if len(grads) < len(plan.outputs):
        grads = grads + [None] * (len(plan.outputs) - len(grads))
    if create:
        saved = restored(node, saved)
    found: list[Any] = [None] * len(edges)
    shared: dict[Any, Any] = {}
    for i, edge in enumerate(edges):
        if edge is not None:
            rule, sources, spec = plan.gradient.recipes[i]
            if rule is not None:
                values = [
                    saved[v] if kind == SAVED else grads[v] if kind == INCOMING else v
                    for kind, v in sources
                ]
                grad = (
                    together(rule, edges, values, shared) if type(rule) is Joint else rule(*values)
                )
                if grad is not None:
                    found[i] = grad if grad._spec is spec else fit(grad, spec)
                    if create and grad._edge is None:
                        found[i] = connected(
                            found[i], [saved[v] for kind, v in sources if kind == SAVED]
                        )
    return found


def together(rule: Joint, edges: Any, values: list[Any], shared: dict[Any, Any]) -> Any:
    """One input's gradient by a rule that serves several: it runs for the first of them."""
    answer = shared.get(rule.function)
    if answer is None:
        needed = [place >= 0 and edges[place] is not None for place in rule.inputs]
        answer = shared[rule.function] = rule.function(needed, *values)
    return answer[rule.place]


def fit(grad: Any, spec: Any) -> Any:
    """A gradient with its input's dtype and shape: broadcast dimensions are summed."""
    if grad.dtype is not spec.dtype:
        grad = (grad.real if grad.dtype.is_complex and not spec.dtype.is_complex else grad).to(
            spec.dtype
        )
    if grad.shape != spec.shape:
        grad = grad.sum_to_size(spec.shape)
    return grad


def connected(grad: Any, values: Sequence[Any]) -> Any:
    """The gradient of a function with flat pieces (relu) still counts as computed from the
    function's input, as in torch.
    """
    recorded = [v for v in values if isinstance(v, engine.Tensor) and v._edge is not None]
    if not recorded or not (grad.dtype.is_floating_point or grad.dtype.is_complex):
        return grad
    twin = engine.core.make_tensor(grad._storage, grad._spec, grad._offset)
    twin._node = Flat(tuple(v._edge for v in recorded), tuple(v._spec for v in recorded))
    return twin
