"""The backward pass: walks the graph of nodes from the roots and carries gradients to the leaves.

    run([(loss._node, ones)], retain_graph=False, create_graph=False)

Called by Tensor.backward and autograd.grad. The walk is iterative (graphs of 100,000 nodes are
ordinary): native code counts for each node how many gradients it will receive; then every node runs
once all of them have arrived, the latest made first, leaves at once. With `create_graph` the rules
work on recorded tensors, so the result can be differentiated again; without, pointwise rules run as
one fused kernel (autograd.fused). What is rare (hooks, given inputs, nodes written in Python,
anomaly mode) is in autograd.visiting.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

from flambeau.autograd import fused
from flambeau.autograd.nodes import AccumulateGrad, Edge, Flat, Node
from flambeau.autograd.saved import Anomaly, modified, restored
from flambeau.autograd.visiting import Visits
from flambeau.core import errors
from flambeau.ops.kinds import Pointwise
from flambeau.ops.rules import INCOMING, SAVED, Joint
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import NO_GRAD

Root = tuple[Any, Any]  # (edge, gradient)
ONLY_LISTED = (
    2  # references to a gradient that only a list holds: the list's, and getrefcount's argument
)
_leaf_lock = threading.RLock()  # two threads' passes may reach the same leaf


def run(
    roots: Sequence[Root],
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Any] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Carries the roots' gradients through the graph.

    inputs: edges to stop at; with `accumulate` leaves among them get their `.grad`, else the
    gradients are returned in order.
    """
    core = engine.core
    mode = core.get_mode()
    core.set_mode(mode & ~NO_GRAD if create_graph else mode | NO_GRAD)
    walk = Pass(retain_graph, create_graph)
    try:
        return walk.run(roots, inputs, accumulate)
    finally:
        core.set_mode(mode)
        walk.visits = None  # they refer to each other: the gradients must not wait for a collection


class Pass:
    """One backward pass."""

    __slots__ = ("retain", "create", "plain", "counts", "visits")

    def __init__(self, retain: bool, create: bool):
        self.retain, self.create = retain, create
        self.plain = (
            True  # whether no node needs a visit unless it has hooks or is written in Python
        )
        self.counts: dict[Node, int] = {}
        self.visits: Visits | None = None

    def run(
        self, roots: Sequence[Root], inputs: Sequence[Any] | None, accumulate: bool
    ) -> list[Any]:
        """The walk; returns the gradients at `inputs`."""
        counts = self.counts = engine.core.count_uses([edge for edge, _ in roots])
        arrived: dict[Node, list[Any]] = {}
        for edge, grad in roots:
            deliver(arrived, edge, grad)
        ready: list[tuple[int, Node]] = []
        for node in arrived:
            if counts[node] == 0:
                heappush(ready, (node._order, node))
        if inputs is not None or Anomaly.enabled:
            self.plain = False
            self.visits = Visits(self, counts, inputs, accumulate)
        while ready:
            self.follow(heappop(ready)[1], ready, counts, arrived)
        return self.visits.finish() if self.visits is not None else []

    def follow(
        self,
        node: Node,
        ready: list[tuple[int, Node]],
        counts: dict[Node, int],
        arrived: dict[Node, list[Any]],
    ) -> None:
        """Runs a node, and those that become ready by it as long as nothing else is."""
        plain = self.plain
        while True:
            grads = arrived.pop(node, None)
            if plain and grads is not None and node._hooks is None and node._plan is not None:
                results = self.backward(node, node._saved, grads)
            else:
                results = self.visit(node, grads)
            following = grads = None
            edges = node._edges
            for i in range(len(edges)):
                edge = edges[i]
                if edge is None:
                    continue
                below = edge.node if type(edge) is Edge else edge
                if results is not None and results[i] is not None:
                    if below is edge and below not in arrived:
                        arrived[below] = [results[i]]
                    else:
                        deliver(arrived, edge, results[i])
                    results[i] = (
                        None  # so that a leaf can take over a gradient that nobody else holds
                    )
                left = counts[below] - 1
                if left:
                    counts[below] = left
                elif type(below) is AccumulateGrad:
                    if plain and below._hooks is None and below in arrived:
                        accumulate_grad(below, arrived.pop(below), self.create)
                    else:
                        self.visit(below, arrived.pop(below, None))
                elif following is None:
                    following = below
                else:
                    heappush(ready, (below._order, below))
            if following is None:
                return
            node = heappushpop(ready, (following._order, following))[1] if ready else following

    def visit(self, node: Node, grads: list[Any] | None) -> Any:
        """Runs a node that is not plain."""
        if self.visits is None:
            self.visits = Visits(self, self.counts, None, True)
        return self.visits.visit(node, grads)

    def backward(self, node: Node, saved: Any, grads: list[Any], fusable: bool = True) -> Any:
        """Runs the rules of a node that an op made, then frees what it saved."""
        plan = node._plan
        if fusable and not self.create and type(plan.op) is Pointwise:
            results = fused.backward(node, saved, grads[0])
        else:
            results = by_rules(node, saved, grads, self.create)
        if plan.saves and not self.retain:
            node._saved = None
        return results


def deliver(arrived: dict[Node, list[Any]], edge: Any, grad: Any) -> None:
    """Adds a gradient to those that have arrived at an edge's target."""
    node, index = (edge.node, edge.index) if type(edge) is Edge else (edge, 0)
    slots = arrived.setdefault(node, [])
    slots.extend([None] * (index + 1 - len(slots)))
    slots[index] = grad if slots[index] is None else slots[index] + grad


def accumulate_grad(leaf: AccumulateGrad, grads: list[Any], create: bool) -> None:
    """Adds the only gradient of the list to the leaf's. One that nobody else holds becomes the
    leaf's without a copy.
    """
    with _leaf_lock:
        before = leaf.grad
        if before is not None:
            if create:
                leaf.grad = before + grads[0]
            else:
                before.add_(grads[0])
            return
        unshared = sys.getrefcount(grads[0]) == ONLY_LISTED
        grad, variable = grads[0], leaf.reference()
        spec = variable._spec if variable is not None else grad._spec
        if (
            unshared
            and grad._spec is spec
            and grad._edge is None
            and grad._base is None
            and sys.getrefcount(grad._storage) == ONLY_LISTED
        ):
            leaf.grad = grad
        else:
            leaf.grad = laid_out_like(grad if create else grad.detach(), spec)


def laid_out_like(grad: Any, spec: Any) -> Any:
    """A copy of the gradient with the leaf's strides (torch's layout contract for gradients)."""
    copy = engine.Tensor._empty(spec.like() if spec.contiguous or grad._spec is spec else spec)
    copy.copy_(grad)
    return copy


def by_rules(node: Node, saved: Any, grads: list[Any], create: bool) -> list[Any]:
    """The gradients of a node's inputs by its op's rules."""
    if saved is None:
        raise errors.second_backward()
    if not engine.core.check_saved(saved):
        raise modified(node)
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


engine.accumulate_grad = accumulate_grad
