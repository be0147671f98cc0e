"""The parts of a backward pass that are rare: hooks, gradients for given inputs, nodes written in
Python, anomaly mode.

visits = Visits(pass, counts, inputs, accumulate)
results = visits.visit(node, grads)             # called by autograd.engine for every node that is
not plain
"""

from __future__ import annotations

import itertools
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd.nodes import AccumulateGrad, Edge, Node, target
from flambeau.autograd.saved import Anomaly, state, unpacked
from flambeau.runtime.system import engine

if TYPE_CHECKING:
    from flambeau.autograd.engine import Pass


class _Current(threading.local):
    """The passes that run on a thread, innermost last."""

    def __init__(self) -> None:
        self.passes: list[Visits] = []


current = _Current()
_numbers = itertools.count()


def _is_checkpoint_valid() -> bool:
    """Whether the running pass goes to all leaves, so that a pass inside it may fill in theirs."""
    return not current.passes or current.passes[-1].needed is None


class Visits:
    """What a pass must know beyond plain nodes.

    targets: for nodes at which gradients are asked for, (output index, place in the answer);
    needed: the nodes on the way to them.
    """

    def __init__(
        self, owner: Pass, counts: dict[Node, int], inputs: Sequence[Any] | None, accumulate: bool
    ):
        self.owner, self.accumulate = owner, accumulate
        self.number = next(_numbers)
        self.reachable = counts
        self.callbacks: list[Callable[[], None]] = []
        self.found: list[Any] = []
        self.targets: dict[Node, list[tuple[int, int]]] = {}
        self.needed: set[Node] | None = None
        if inputs is not None:
            self.found = [None] * len(inputs)
            for position, edge in enumerate(inputs):
                node, index = target(edge)
                assert node is not None
                self.targets.setdefault(node, []).append((index, position))
            self.needed = above(counts, [node for node in self.targets if node in counts])

    def runs(self, node: Node) -> bool:
        """Whether the pass runs this node (or just stops at it)."""
        if self.needed is None:
            return True
        return (
            node in self.needed
            or self.accumulate
            and type(node) is AccumulateGrad
            and node in self.targets
        )

    def finish(self) -> list[Any]:
        """Runs what was left for the end; the gradients that were asked for."""
        for callback in self.callbacks:
            callback()
        return self.found

    def visit(self, node: Node, grads: list[Any] | None) -> Any:
        """Runs one node: hooks, capture, rule. Returns the gradients of its inputs as a list, or
        None for none.
        """
        runs, asked = self.runs(node), self.targets.get(node, ())
        if not (runs or asked):
            return None
        missing = node._outputs - (0 if grads is None else len(grads))
        grads = (grads or []) + [None] * missing if missing else grads
        assert grads is not None
        current.passes.append(self)
        state.running.append(node)
        try:
            return self.steps(node, grads, runs, asked)
        except BaseException as error:
            if Anomaly.enabled and isinstance(error, Exception):
                explain(node)
            raise
        finally:
            state.running.pop()
            current.passes.pop()

    def steps(
        self, node: Node, grads: list[Any], runs: bool, asked: Sequence[tuple[int, int]]
    ) -> Any:
        """The steps of `visit`."""
        hooks = node._hooks
        arrived = grads
        if hooks is not None and (hooks.tensor or hooks.retain):
            grads = run_tensor_hooks(hooks, grads)
        for (
            index,
            position,
        ) in asked:  # as in torch, hooks change the answer only where the walk ends
            self.found[position] = (arrived if runs else grads)[index]
        if not runs:
            return None
        if hooks is not None and hooks.pre:
            grads = run_pre_hooks(hooks, grads)
        if type(node) is AccumulateGrad:
            self.reach_leaf(node, grads)
            return None
        results = self.compute(node, grads)
        if hooks is not None and hooks.post:
            results = run_post_hooks(hooks, results, grads)
        if Anomaly.enabled and Anomaly.check_nan and results is not None:
            check_nan(node, results)
        return results

    def compute(self, node: Node, grads: list[Any]) -> Any:
        """The gradients of the node's inputs."""
        if not node._runs_without_gradients and all(grad is None for grad in grads):
            return [None] * len(node._edges)
        if node._plan is None:
            results = node.apply(grads)
            if not self.owner.retain:
                node._release()
            return list(results)
        if node._saved is not None and node._hooks is not None and node._hooks.packed:
            saved = unpacked(node)
            return self.owner.backward(node, saved, grads, fusable=fits(node._plan, saved))
        return self.owner.backward(node, node._saved, grads)

    def reach_leaf(self, node: AccumulateGrad, grads: list[Any]) -> None:
        """Adds to a leaf's gradient and runs its hooks."""
        post = list(node._hooks.post.values()) if node._hooks is not None else ()
        arrived = tuple(grads) if post else ()
        if grads[0] is not None:
            engine.accumulate_grad(node, grads, self.owner.create)
            for hook in list((node._extra or {}).values()):
                hook(node.reference())
        for hook in post:
            hook((), arrived)


def fits(plan: Any, saved: Sequence[Any]) -> bool:
    """Whether unpacked tensors have the shapes and strides that were packed, as a kernel expects
    them.
    """
    specs = [*(operand.spec for operand in plan.inputs), *plan.outputs]
    return all(
        not isinstance(value, engine.Tensor) or value._spec is spec
        for value, spec in zip(saved[::2], specs, strict=True)
    )


def above(counts: dict[Node, int], targets: Sequence[Node]) -> set[Node]:
    """The nodes of a graph from which one of the targets can be reached."""
    users: dict[Node, list[Node]] = {}
    for node in counts:
        for edge in node._edges:
            if edge is not None:
                users.setdefault(edge.node if type(edge) is Edge else edge, []).append(node)
    found: set[Node] = set()
    stack = list(targets)
    while stack:
        for user in users.get(stack.pop(), ()):
            if user not in found:
                found.add(user)
                stack.append(user)
    return found


# ---- hooks ---------------------------------------------------------------------------------------


def hook_name(hook: Any) -> str:
    """A hook as torch's errors call it."""
    return str(getattr(hook, "__name__", type(hook).__name__))


def checked(before: Any, after: Any, hook: Any) -> Any:
    """A gradient that a hook returned in the place of another, if it may take that place."""
    if after is None:
        return None
    if not isinstance(after, engine.Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(after).__name__}'")
    if before is None:
        raise RuntimeError("can't replace a None gradient with a non-None value")
    if after.dtype is not before.dtype:
        raise RuntimeError(
            f"hook '{hook_name(hook)}' has changed the type of value (was "
            f"{before.dtype.tensor_type} got {after.dtype.tensor_type})"
        )
    if after.device != before.device:
        raise RuntimeError(f"hook '{hook_name(hook)}' has changed the device of value")
    if after.shape != before.shape:
        raise RuntimeError(f"hook '{hook_name(hook)}' has changed the size of value")
    return after


def checked_all(before: Sequence[Any], after: Any, hook: Any) -> list[Any]:
    """The same for a tuple of gradients."""
    if not isinstance(after, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(after).__name__}'")
    if len(after) != len(before):
        raise RuntimeError(
            f"hook '{hook_name(hook)}' has returned an incorrect number of values (got "
            f"{len(after)}, but expected {len(before)})"
        )
    return [checked(old, new, hook) for old, new in zip(before, after, strict=True)]


def run_tensor_hooks(hooks: Any, grads: list[Any]) -> list[Any]:
    """Hooks of the node's results may replace their gradients; then gradients are kept where they
    are retained.
    """
    grads = list(grads)
    for index, hook in list(hooks.tensor.values()):
        replaced = hook(grads[index])
        if replaced is not None:
            grads[index] = checked(grads[index], replaced, hook)
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
            grads = checked_all(grads, replaced, hook)
    return grads


def run_post_hooks(hooks: Any, results: Any, grads: list[Any]) -> Any:
    """Hooks that see the gradients of inputs and outputs."""
    for hook in list(hooks.post.values()):
        replaced = hook(tuple(results), tuple(grads))
        if replaced is not None:
            results = checked_all(results, replaced, hook)
    return results


# ---- anomaly mode --------------------------------------------------------------------------------


def check_nan(node: Node, results: Sequence[Any]) -> None:
    """torch's error when a rule gave NaN."""
    for position, grad in enumerate(results):
        if grad is not None and bool((grad != grad).any()):
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {position}th output."
            )


def explain(node: Node) -> None:
    """Says in a warning where the forward call of a failing node was, and that of the nodes by
    whose backward it was made.
    """
    lines = node.metadata.get("traceback_")
    if lines is None:
        warnings.warn(
            f"Error detected in {node.name()}. No forward pass information available. Enable "
            "detect anomaly during forward pass for more information.",
            UserWarning,
            stacklevel=6,
        )
        return
    warnings.warn(
        f"Error detected in {node.name()}. Traceback of forward call that caused the "
        f"error:\n{''.join(lines)}",
        UserWarning,
        stacklevel=6,
    )
    while (parent := node.metadata.get("parent_")) is not None:
        node, lines = parent, parent.metadata.get("traceback_")
        if lines is None:
            warnings.warn(
                f"\n\nPrevious calculation was induced by {node.name()}. No forward pass "
                "information available. Enable detect anomaly during forward pass for more "
                "information.",
                UserWarning,
                stacklevel=6,
            )
            return
        warnings.warn(
            f"\n\nPrevious calculation was induced by {node.name()}. Traceback of forward call "
            f"that induced the previous calculation:\n{''.join(lines)}",
            UserWarning,
            stacklevel=6,
        )
