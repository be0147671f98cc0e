"""The backward pass: walks the graph of nodes from the roots and carries gradients to the leaves.

    run([(loss._node, ones)], retain_graph=False, create_graph=False)

Called by Tensor.backward and autograd.grad. The walk is iterative (graphs of 100,000 nodes are
ordinary): one pass counts for each node how many gradients it will receive, a second runs every
node once all of them have arrived. With `create_graph` the rules work on recorded tensors, so the
result can be differentiated again; without, pointwise rules run as one fused kernel
(autograd.fused).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from flambeau.autograd import fused
from flambeau.autograd.graph import AccumulateGrad, Edge, Node, edge_to, producer, target
from flambeau.core import errors
from flambeau.ops.kinds import Pointwise
from flambeau.ops.rules import INCOMING, SAVED
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import NO_GRAD

Root = tuple[Any, Any]  # (edge, gradient)


class Anomaly:
    """State of `detect_anomaly`: whether nodes remember where they were made
    and results are checked for NaN.
    """

    enabled = False
    check_nan = True

    @classmethod
    def switch(cls, enabled: bool, check_nan: bool) -> None:
        """Turns the checks on or off."""
        cls.enabled, cls.check_nan = enabled, check_nan


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
    try:
        return _Pass(roots, retain_graph, create_graph, inputs, accumulate).run()
    finally:
        core.set_mode(mode)


class _Pass:
    """One backward pass."""

    def __init__(
        self,
        roots: Sequence[Root],
        retain_graph: bool,
        create_graph: bool,
        inputs: Sequence[Any] | None,
        accumulate: bool,
    ):
        self.roots, self.retain, self.create, self.accumulate = (
            roots,
            retain_graph,
            create_graph,
            accumulate,
        )
        self.wanted: dict[tuple[int, int], int] | None = None
        self.inputs = inputs
        self.found: list[Any] = []
        if inputs is not None:
            self.found = [None] * len(inputs)

    def count(self) -> dict[Node, int]:
        """For each reachable node, how many edges lead to it."""
        counts: dict[Node, int] = {}
        stack = []
        for edge, _ in self.roots:
            node = edge.node if type(edge) is Edge else edge
            if node not in counts:
                counts[node] = 0
                stack.append(node)
        while stack:
            for edge in stack.pop().edges:
                if edge is not None:
                    node = edge.node if type(edge) is Edge else edge
                    if node in counts:
                        counts[node] += 1
                    else:
                        counts[node] = 1
                        stack.append(node)
        return counts

    def needed(self, counts: dict[Node, int]) -> set[Node] | None:
        """With given inputs: the nodes on a way to one of them (those that must run)."""
        if self.inputs is None:
            return None
        targets: dict[Node, list[tuple[int, int]]] = {}
        for position, edge in enumerate(self.inputs):
            node, index = target(edge)
            assert node is not None
            targets.setdefault(node, []).append((index, position))
        self.targets = targets
        users: dict[Node, list[Node]] = {}
        for node in counts:
            for edge in node.edges:
                below = edge.node if type(edge) is Edge else edge
                if below is not None:
                    users.setdefault(below, []).append(node)
        needed: set[Node] = set()
        stack = [node for node in targets if node in counts]
        while stack:
            for user in users.get(stack.pop(), ()):
                if user not in needed:
                    needed.add(user)
                    stack.append(user)
        return needed

    def run(self) -> list[Any]:
        counts = self.count()
        needed = self.needed(counts)
        arrived: dict[Node, Any] = {}
        for edge, grad in self.roots:
            self.deliver(arrived, edge, grad)
        ready = [node for node, count in counts.items() if count == 0]
        plain = needed is None and not Anomaly.enabled
        results: Any
        while ready:
            node = ready.pop()
            grads = arrived.pop(node, None)
            if grads is None:
                results = None
            elif plain and node.hooks is None and node.plan is not None:
                results = self.backward(node, grads)
            elif needed is None or node in needed or node in self.targets:
                results = self.visit(node, grads, needed)
            else:
                results = None
            for position, edge in enumerate(node.edges):
                if edge is None:
                    continue
                below = edge.node if type(edge) is Edge else edge
                if results is not None:
                    grad = results[position]
                    if grad is not None:
                        if (
                            below is edge
                            and below not in arrived
                            and (type(below) is AccumulateGrad or below.outputs == 1)
                        ):
                            arrived[below] = [grad]
                        else:
                            self.deliver(arrived, edge, grad)
                left = counts[below] - 1
                counts[below] = left
                if not left:
                    ready.append(below)
            results = grad = None  # so that a leaf can take over a gradient that nobody else holds
        return self.found

    def backward(self, node: Node, grads: list[Any]) -> Any:
        """Runs the rules of a node that an op made, then frees what it saved."""
        plan = node.plan
        if plan.saves:
            results = backward(node, grads, self.create)
            if not self.retain:
                node.saved = None
            return results
        if not self.create and type(plan.op) is Pointwise:
            return fused.backward(plan, node.edges, node.saved or (), grads[0])
        return backward(node, grads, self.create)

    def deliver(self, arrived: dict[Node, Any], edge: Any, grad: Any) -> None:
        """Adds a gradient to those that have arrived at an edge's target."""
        node, index = (edge.node, edge.index) if type(edge) is Edge else (edge, 0)
        slots = arrived.get(node)
        if slots is None:
            plan = node.plan
            if index == 0 and (node.outputs if plan is None else len(plan.outputs)) == 1:
                arrived[node] = [grad]
                return
            slots = arrived[node] = [None] * node.outputs
        slots[index] = grad if slots[index] is None else slots[index] + grad

    def visit(self, node: Node, grads: Any, needed: set[Node] | None) -> Any:
        """Runs one node: hooks, capture, rule. Returns the gradients of its inputs, or None."""
        if grads is None:
            return None
        hooks = node.hooks
        if hooks is not None:
            grads = run_tensor_hooks(hooks, grads)
        if needed is not None and node in self.targets:
            for index, position in self.targets[node]:
                self.found[position] = grads[index]
            if node not in needed and not (self.accumulate and type(node) is AccumulateGrad):
                return None
        if hooks is not None and hooks.pre:
            grads = run_pre_hooks(hooks, grads)
        if type(node) is AccumulateGrad:
            if needed is None or self.accumulate:
                grad, grads[0] = grads[0], None
                accumulate_grad(node, grad, self.create)
            if hooks is not None and hooks.post:
                for hook in list(hooks.post.values()):
                    hook((), tuple(grads))
            return None
        results = node.apply(grads) if node.plan is None else self.backward(node, grads)
        if hooks is not None and hooks.post:
            results = run_post_hooks(hooks, results, grads)
        if Anomaly.enabled:
            check_anomaly(node, results)
        if not self.retain and node.plan is None:
            node.release()
        return results


def run_tensor_hooks(hooks: Any, grads: list[Any]) -> list[Any]:
    """Hooks of the node's results may replace their gradients; retained gradients are kept."""
    grads = list(grads)
    for index, hook in list(hooks.tensor.values()):
        if grads[index] is not None:
            replaced = hook(grads[index])
            if replaced is not None:
                grads[index] = replaced
    for index, reference in hooks.retain.items():
        tensor = reference()
        if tensor is not None and grads[index] is not None:
            tensor._retain(grads[index])
    return grads


def run_pre_hooks(hooks: Any, grads: list[Any]) -> list[Any]:
    """Hooks that see all incoming gradients."""
    for hook in list(hooks.pre.values()):
        replaced = hook(tuple(grads))
        if replaced is not None:
            grads = list(replaced) if isinstance(replaced, tuple) else [replaced]
    return grads


def run_post_hooks(hooks: Any, results: Any, grads: list[Any]) -> Any:
    """Hooks that see the gradients of inputs and outputs."""
    for hook in list(hooks.post.values()):
        replaced = hook(tuple(results), tuple(grads))
        if replaced is not None:
            results = list(replaced) if isinstance(replaced, tuple) else [replaced]
    return results


def check_anomaly(node: Node, results: Sequence[Any]) -> None:
    """torch's error when a rule gave NaN in anomaly mode."""
    if not Anomaly.check_nan:
        return
    for position, grad in enumerate(results):
        if grad is not None and (grad != grad).any().item():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {position}th output."
            )


def accumulate_grad(node: AccumulateGrad, grad: Any, create: bool) -> None:
    """Adds to the leaf's gradient.

    A gradient that nobody else holds becomes the leaf's without a copy.
    """
    variable = node.reference()
    before = node.grad
    if before is None:
        spec = variable._spec if variable is not None else grad._spec
        if create:
            node.grad = grad.clone() if grad._spec is not spec else grad
        elif (
            grad._spec is spec
            and grad._node is None
            and grad._base is None
            and sys.getrefcount(grad) <= 3
            and sys.getrefcount(grad._storage) <= 2
        ):
            node.grad = grad
        else:
            node.grad = _laid_out_like(grad.detach(), spec)
    elif create:
        node.grad = before + grad
    else:
        before.add_(grad)
    if node.hooks is not None and node.extra:
        for hook in list(node.extra.values()):
            hook(variable)


def _laid_out_like(grad: Any, spec: Any) -> Any:
    """A copy of the gradient with the leaf's strides (torch's layout contract for gradients)."""
    copy = engine.Tensor._empty(spec.like() if spec.contiguous or grad._spec is spec else spec)
    copy.copy_(grad)
    return copy


def backward(node: Node, grads: list[Any], create: bool) -> list[Any]:
    """The gradients of a node's inputs by its op's rules."""
    plan, saved, edges = node.plan, node.saved, node.edges
    if saved is None:
        raise errors.second_backward()
    gradient = plan.gradient
    for place in gradient.guarded:
        version = saved[place + 1]
        if version is not None and saved[place]._storage.version != version:
            raise modified(node, version)
    if create:
        saved = tuple(restored(node))
    elif type(plan.op) is Pointwise:
        return fused.backward(plan, edges, saved, grads[0])
    found: list[Any] = [None] * len(edges)
    for i, edge in enumerate(edges):
        if edge is not None:
            rule, sources, spec = gradient.recipes[i]
            if rule is not None:
                grad = rule(
                    *[
                        saved[v] if kind == SAVED else grads[v] if kind == INCOMING else v
                        for kind, v in sources
                    ]
                )
                if grad is not None:
                    found[i] = grad if grad._spec is spec else fit(grad, spec)
                    if create and grad._node is None:
                        found[i] = connected(
                            found[i], [saved[v] for kind, v in sources if kind == SAVED]
                        )
    return found


class Flat(Node):
    """Stands between a gradient and the values it is piecewise constant in:
    its own gradient is zero.
    """

    __slots__ = ()

    def name(self) -> str:
        """Shown as the function whose gradient it is part of."""
        return "ZerosBackward0"

    def apply(self, grads: list[Any]) -> Any:
        """Nothing flows on."""
        return [None] * len(self.edges)


def connected(grad: Any, values: Sequence[Any]) -> Any:
    """The gradient of a function with flat pieces (relu) still counts
    as computed from the function's input, as in torch.
    """
    edges = tuple(v._node for v in values if isinstance(v, engine.Tensor) and v._node is not None)
    if not edges or not (grad.dtype.is_floating_point or grad.dtype.is_complex):
        return grad
    twin = engine.core.make_tensor(grad._storage, grad._spec, grad._offset)
    twin._node = Flat(None, edges)
    return twin


def restored(node: Node) -> list[Any]:
    """The saved values with their graph, as rules need them
    that are to be differentiated themselves.
    """
    saved, edges = list(node.saved or ()), node.edges
    for i, edge in enumerate(edges):
        saved[2 * i] = restore(saved[2 * i], edge)
    for k in range(len(saved) // 2 - len(edges)):
        place = 2 * (len(edges) + k)
        saved[place] = restore(saved[place], edge_to(node, k))
    return saved


def fit(grad: Any, spec: Any) -> Any:
    """A gradient with its input's dtype and shape: broadcast dimensions are summed."""
    if grad._spec is spec:
        return grad
    if grad.dtype is not spec.dtype:
        grad = (grad.real if grad.dtype.is_complex and not spec.dtype.is_complex else grad).to(
            spec.dtype
        )
    if grad.shape != spec.shape:
        grad = grad.sum_to_size(spec.shape)
    return grad


def restore(value: Any, edge: Any) -> Any:
    """A saved tensor with the graph it had when it was saved (its own object may have moved on)."""
    if value is None or not isinstance(value, engine.Tensor) or value._node is edge:
        return value
    twin = engine.core.make_tensor(value._storage, value._spec, value._offset)
    twin._node = edge
    return twin


def modified(node: Node, version: int) -> RuntimeError:
    """torch's error for a saved tensor that was changed in place."""
    saved = node.saved
    assert saved is not None
    position = next(
        i
        for i in range(0, len(saved), 2)
        if saved[i + 1] is not None and saved[i]._storage.version != saved[i + 1]
    )
    tensor, count = saved[position], len(node.edges)
    maker: Node | None = node
    if position // 2 >= count:
        index = position // 2 - count
    else:
        maker, index = target(tensor._node)
    return errors.modified_in_place(
        tensor.dtype.tensor_type,
        tuple(tensor.shape),
        producer(maker, index),
        tensor._storage.version,
        version,
    )
