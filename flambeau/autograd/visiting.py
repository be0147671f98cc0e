"""The parts of a backward pass that are rare: hooks, gradients for given inputs, nodes written in
Python, anomaly mode.

    visits = Visits(roots, inputs)
    results = visits.visit(node, grads, True)       # called by native code (runtime.backward)
"""

from __future__ import annotations

import functools
import itertools
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.nodes import AccumulateGrad, Node, target
from flambeau.autograd.rules import by_rules, check_saved, without_graph
from flambeau.autograd.saved import Anomaly, state, unpacked
from flambeau.runtime.system import engine


class _Current(threading.local):
    """The passes that run on a thread, innermost last."""

    def __init__(self) -> None:
        self.passes: list[Visits] = []


current = _Current()
_numbers = itertools.count()


def _is_checkpoint_valid() -> bool:
    """Whether the running pass goes to all leaves, so that a pass inside it may fill in theirs."""
    return not current.passes or not current.passes[-1].limited


class Visits:
    """What a pass must know beyond plain nodes.

    roots: the edges where it begins; inputs: those at which gradients are asked for; with
    `accumulate` leaves among them get their `.grad`. limited: whether the pass goes to these only.
    targets: for their nodes, (output index, place in the answer).
    """

    def __init__(
        self,
        roots: Sequence[Any],
        inputs: Sequence[Any] | None = None,
        accumulate: bool = True,
        retain: bool = False,
        create: bool = False,
    ):
        self.roots, self.accumulate, self.retain, self.create = roots, accumulate, retain, create
        self.limited = inputs is not None
        self.number = next(_numbers)
        self.callbacks: list[Callable[[], None]] = []
        self.found: list[Any] = [None] * len(inputs or ())
        self.targets: dict[Node, list[tuple[int, int]]] = {}
        for position, edge in enumerate(inputs or ()):
            node, index = target(edge)
            assert node is not None
            self.targets.setdefault(node, []).append((index, position))

    @functools.cached_property
    def reached(self) -> set[Node]:
        """The nodes at which gradients arrive in this pass."""
        users: dict[Node, list[Node]] = {}
        pending = [node for node, _ in map(target, self.roots) if node is not None]
        below = set(pending)
        while pending:
            user = pending.pop()
            for node, _ in map(target, user._edges):
                if node is not None:
                    users.setdefault(node, []).append(user)
                    if node not in below:
                        below.add(node)
                        pending.append(node)
        if not self.limited:
            return below
        found = below & self.targets.keys()
        pending = list(found)
        while pending:
            for user in users.get(pending.pop(), ()):
                if user not in found:
                    found.add(user)
                    pending.append(user)
        return found

    def finish(self) -> list[Any]:
        """Runs what was left for the end; the gradients that were asked for."""
        for callback in self.callbacks:
            callback()
        return self.found

    def visit(self, node: Node, grads: list[Any], needed: bool) -> Any:
        """Runs one node: hooks, capture, rule. Returns the gradients of its inputs as a list, or
        None for none. `needed`: whether it is on the way to what is asked for.
        """
        asked = self.targets.get(node, ())
        runs = needed or bool(self.accumulate and asked and type(node) is AccumulateGrad)
        if not (runs or asked):
            return None
        grads += [None] * (node._outputs - len(grads))
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
            results = list(node.apply(grads))
            if not self.retain:
                node._release()
            return results
        saved, fusable = check_saved(node), True
        if node._hooks is not None and node._hooks.packed:
            saved = unpacked(node)
            fusable = fits(node._plan, saved)
        if self.create or not fusable:
            results = by_rules(node, saved, grads, self.create)
        else:
            results = without_graph(node, saved, grads)
        if node._plan.saves and not self.retain:
            node._saved = None
        return results

    def reach_leaf(self, node: AccumulateGrad, grads: list[Any]) -> None:
        """Adds to a leaf's gradient and runs its hooks."""
        post = list(node._hooks.post.values()) if node._hooks is not None else ()
        arrived = tuple(grads) if post else ()
        if grads[0] is not None:
            engine.accumulate_grad(node, grads, self.create)
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


def visitor(retain: int, roots: list[Any]) -> Callable[..., Any]:
    """Called by native code when a plain pass comes to the first node that is not."""
    return Visits(list(roots), retain=bool(retain)).visit


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
