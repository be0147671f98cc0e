"""The graph that gradients flow along: `Node`, `Edge` and the leaves' `AccumulateGrad`.

A tensor's `_node` says how it came about: None (needs no gradient), an `AccumulateGrad` (a leaf
that needs one), a `Node` (result 0 of that call) or an `Edge` (another result). Nodes of ordinary
ops are made by native code (runtime.records) and hold the op's plan, the edges to the inputs'
nodes, and the operands that the gradient rule names with their versions. autograd.engine walks it:

    y = (x * 2).tanh()          # y._node: Node(plan of tanh), edges (Node(plan of mul),), saved
    (..., y', version)
"""

from __future__ import annotations

import importlib
import re
import weakref
from collections.abc import Callable
from typing import Any

from flambeau.core.spec import Spec
from flambeau.runtime.capi import Numbered
from flambeau.runtime.plan_block import B_NODE
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import WATCH, WATCH_ALL

TAKE_NUMBERS = re.compile(
    "(Add|Sub|Mul|Div)Backward"
)  # torch makes tensors of the numbers among their operands
LEAF_ORDER = -(1 << 62)  # leaves take their gradient before any node runs


class Node(Numbered):  # type: ignore[misc]
    """One call in the graph.

    _plan: the op's Plan, or None for nodes written in Python, which override `apply`.
    _edges: for each input None, a Node (its result 0) or an Edge. _saved: (tensor or number or
    None, version or None) alternating, first the inputs, then the outputs; None once the graph was
    freed. _hooks: None or a NodeHooks. _extra: free for the node's owner.
    _order: falls from node to node, so that an edge always leads to a greater one. _needs: bits of
    the edges that are not None (with a plan).
    """

    __slots__ = ("_plan", "_edges", "_saved", "_hooks", "_extra", "__weakref__", "__dict__")

    _plan: Any
    _edges: tuple[Any, ...]
    _saved: tuple[Any, ...] | None
    _hooks: Any
    _extra: Any
    _runs_without_gradients = False  # whether apply wants to be called when no gradient arrived

    def __init__(self, plan: Any, edges: tuple[Any, ...], saved: tuple[Any, ...] | None = ()):
        self._plan, self._edges, self._saved, self._hooks, self._extra = (
            plan,
            edges,
            saved,
            None,
            None,
        )
        self._order = engine.core.next_order()
        if plan is not None:
            self._needs = sum(1 << i for i, edge in enumerate(edges) if edge is not None)
        if engine.core.get_mode() & (WATCH | WATCH_ALL):
            engine.watch(self)

    def name(self) -> str:
        """torch's name of the node, such as MulBackward0."""
        return type(self).__name__

    def apply(self, grads: list[Any]) -> Any:
        """Gradients of the inputs from those of the outputs; overridden by nodes without a plan."""
        raise NotImplementedError(f"node {self.name()} has no backward rule")

    def _release(self) -> None:
        """Frees what a node without a plan saved, after its backward."""

    @property
    def _outputs(self) -> int:
        """Number of results that can receive a gradient."""
        return len(self._plan.outputs) if self._plan is not None else 1

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """(node, which of its outputs) of each input, as torch shows it."""
        if self._plan is None:
            return tuple(target(edge) for edge in self._edges)
        shown = TAKE_NUMBERS.match(self.name()) is not None
        return tuple(
            target(edge)
            for edge, operand in zip(self._edges, self._plan.inputs, strict=True)
            if shown or isinstance(operand.spec, Spec)
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes."""
        return self.__dict__.setdefault("_metadata", {})  # type: ignore[no-any-return]

    def _sequence_nr(self) -> int:
        """Counts the nodes: later ones have greater numbers."""
        return -int(self._order)

    def _table(self) -> NodeHooks:
        if self._hooks is None:
            self._hooks = NodeHooks()
        return self._hooks  # type: ignore[no-any-return]

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_inputs, grad_outputs)` runs after the node's backward and may replace
        grad_inputs.
        """
        return handle(self._table().post, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        """`hook(grad_outputs)` runs before the node's backward and may replace grad_outputs."""
        return handle(self._table().pre, hook)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_saved_", "_raw_saved_")) and self._plan is not None:
            return engine.saved_attribute(self, name)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        names = (
            [f"_saved_{name}" for name in engine.saved_names(self)]
            if self._plan is not None
            else []
        )
        return [*object.__dir__(self), *names]

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"cannot pickle '{type(self).__name__}' object")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


class NodeHooks:
    """Hooks of a node: `tensor` are those registered on its results, as (output index, function);
    `retain` says by output index
    which tensor (weakly) keeps its gradient; `packed`: saved tensors went through hooks and must
    come back through them.
    """

    __slots__ = ("pre", "post", "tensor", "retain", "packed")

    def __init__(self) -> None:
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}
        self.tensor: dict[int, tuple[int, Callable[..., Any]]] = {}
        self.retain: dict[int, Any] = {}
        self.packed = False


def handle(hooks: dict[int, Any], hook: Any) -> Any:
    """Puts a hook into a table; what takes it out again."""
    made = importlib.import_module("flambeau.utils.hooks").RemovableHandle(hooks)
    hooks[made.id] = hook
    return made


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


def edge_to(node: Node, index: int) -> Any:
    """The edge object for output `index` of `node`."""
    return node if index == 0 else Edge(node, index)


class AccumulateGrad(Node):
    """The node of a leaf: keeps its gradient. The leaf owns the node; the node knows the leaf
    weakly.
    """

    __slots__ = ("reference", "grad")

    def __init__(self, variable: Any):
        self._plan, self._edges, self._saved, self._hooks, self._extra = None, (), (), None, None
        self._order = LEAF_ORDER + engine.core.next_order()
        self.reference = weakref.ref(variable)
        self.grad: Any = None

    def name(self) -> str:
        """torch's name."""
        return "torch::autograd::AccumulateGrad"

    @property
    def variable(self) -> Any:
        """The leaf tensor, or None when it is gone."""
        return self.reference()


class Flat(Node):
    """Stands between a gradient and the values that it is piecewise constant in: its own gradient
    is zero.
    """

    __slots__ = ("specs",)

    def __init__(self, edges: tuple[Any, ...], specs: tuple[Spec, ...]):
        super().__init__(None, edges)
        self.specs = specs

    def apply(self, grads: list[Any]) -> Any:
        """Zeros."""
        return [engine.Tensor._empty(spec).zero_() for spec in self.specs]


class CopyBackwards(Node):
    """Node of `copy_`, which torch writes by hand."""

    __slots__ = ()

    def name(self) -> str:
        """torch's name."""
        return "torch::autograd::CopyBackwards"


_classes: dict[tuple[type[Node], str], type[Node]] = {}


def named(kind: type[Node], name: str) -> Any:
    """The subclass of a kind of nodes that has torch's name, and nothing else of its own."""
    found = _classes.get((kind, name))
    if found is None:
        members = {"__slots__": (), "__module__": "builtins", "__doc__": f"Graph node {name}."}
        found = _classes.setdefault((kind, name), type(name, (kind,), members))
    return found


def node_class(plan: Any) -> type[Node]:
    """The class of a plan's nodes, which native code finds in the plan's block from now on."""
    name = plan.node_name
    found: type[Node] = CopyBackwards if name == "CopyBackwards0" else named(Node, name)
    plan.words[B_NODE] = id(found)
    return found
