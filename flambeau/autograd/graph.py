"""The graph that gradients flow along: `Node`, `Edge` and the leaves' `AccumulateGrad`.

A tensor's `_node` says how it came about: None (needs no gradient), an `AccumulateGrad` (a leaf
that needs one), a `Node` (result 0 of that call) or an `Edge` (another result). Nodes of ordinary
ops are made by native code (runtime.records.record) and hold the op's plan, the edges to the
inputs' nodes, and the operands that the gradient rule names with their versions. autograd.engine
walks it:

    y = (x * 2).tanh()
    # y._node: Node(plan of tanh), edges (Node(plan of mul),), saved (..., y', version)
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from flambeau.utils.hooks import RemovableHandle


class Node:
    """One call in the graph.

    plan: the op's Plan, or None for nodes written in Python, which override `apply`. edges: for
    each input None, a Node (its result 0) or an Edge. saved: (tensor or number or None, version or
    None) alternating, first the inputs, then the outputs; None once the graph was freed. hooks:
    None or a NodeHooks. extra: free for the node's owner.
    """

    __slots__ = ("plan", "edges", "saved", "hooks", "extra", "__weakref__", "__dict__")

    plan: Any
    edges: tuple[Any, ...]
    saved: tuple[Any, ...] | None
    hooks: Any
    extra: Any

    def __init__(self, plan: Any, edges: tuple[Any, ...], saved: tuple[Any, ...] | None = ()):
        self.plan, self.edges, self.saved, self.hooks, self.extra = plan, edges, saved, None, None

    def name(self) -> str:
        """torch's name of the node, such as MulBackward0."""
        return self.plan.node_name if self.plan is not None else type(self).__name__

    def apply(self, grads: list[Any]) -> Any:
        """Gradients of the inputs from those of the outputs; overridden by nodes without a plan."""
        raise NotImplementedError(f"node {self.name()} has no backward rule")

    def release(self) -> None:
        """Frees what a node without a plan saved, after its backward."""

    @property
    def outputs(self) -> int:
        """Number of results that can receive a gradient."""
        return len(self.plan.outputs) if self.plan is not None else 1

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """(node, which of its outputs) of each input, as torch shows it."""
        return tuple(
            target(edge) for edge in self.edges if edge is not None or self._shows_missing()
        )

    def _shows_missing(self) -> bool:
        return True

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes."""
        found: dict[str, Any] = self.__dict__.setdefault("_metadata", {})
        return found

    def _hooks(self) -> NodeHooks:
        if self.hooks is None:
            self.hooks = NodeHooks()
        return self.hooks  # type: ignore[no-any-return]

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_inputs, grad_outputs)` runs after the node's backward
        and may replace grad_inputs.
        """
        return _handle(self._hooks().post, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_outputs)` runs before the node's backward and may replace grad_outputs."""
        return _handle(self._hooks().pre, hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class NodeHooks:
    """Hooks of a node: `tensor` are those registered on its results, as (output index, function,
    retained tensor).
    """

    __slots__ = ("pre", "post", "tensor", "retain")

    def __init__(self) -> None:
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}
        self.tensor: dict[int, tuple[int, Callable[..., Any]]] = {}
        self.retain: dict[int, Any] = {}


def _handle(hooks: dict[int, Any], hook: Any) -> Any:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


class Edge:
    """Output `index` (not 0) of a node."""

    __slots__ = ("node", "index")

    node: Node
    index: int

    def __init__(self, node: Node, index: int):
        self.node, self.index = node, index


def target(edge: Any) -> tuple[Node | None, int]:
    """(node, output index) that an edge points at."""
    if type(edge) is Edge:
        return edge.node, edge.index
    return edge, 0


def producer(node: Node | None, index: int) -> str | None:
    """What made a tensor, as error texts say it: "output 0 of Mul"; None for leaves."""
    if node is None or type(node) is AccumulateGrad:
        return None
    name = node.name()
    if name.startswith("Copy"):
        return f"output {index} of torch::autograd::{name}"
    return f"output {index} of {name.replace('Backward', '').removesuffix('0')}"


def edge_to(node: Node, index: int) -> Any:
    """The edge object for output `index` of `node`."""
    return node if index == 0 else Edge(node, index)


class AccumulateGrad(Node):
    """The node of a leaf: keeps its gradient.

    The leaf owns the node; the node knows the leaf weakly.
    """

    __slots__ = ("reference", "grad")

    def __init__(self, variable: Any):
        super().__init__(None, ())
        self.reference = weakref.ref(variable)
        self.grad: Any = None

    def name(self) -> str:
        """torch's name, with the namespace of its C++ class."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"

    @property
    def variable(self) -> Any:
        """The leaf tensor, or None when it is gone."""
        return self.reference()
