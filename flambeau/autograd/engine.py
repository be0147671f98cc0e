"""The backward pass: what native code (runtime.backward), which walks the graph, needs from Python.

    run([loss._node], [ones], retain_graph=False, create_graph=False)

Called by Tensor.backward and autograd.grad. Ordinary nodes never come here: they run as programs
(autograd.programs). With `create_graph` the rules work on recorded tensors, so the result can be
differentiated again. What is rare (hooks, given inputs, nodes written in Python, anomaly mode) is
in autograd.visiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.nodes import AccumulateGrad
from flambeau.autograd.saved import Anomaly
from flambeau.autograd.visiting import Visits
from flambeau.core import graph_errors
from flambeau.runtime.pass_entries import CREATE, LIMITED, RETAIN, VISIT_ALL
from flambeau.runtime.system import engine

_leaf_lock = threading.RLock()  # two threads' passes may reach the same leaf


def run(
    edges: list[Any],
    grads: list[Any],
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Any] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Carries gradients from the edges where the pass begins through the graph; empties `grads`.

    inputs: edges to stop at; with `accumulate` leaves among them get their `.grad`, else the
    gradients are returned in order.
    """
    flags = RETAIN if retain_graph else 0
    if create_graph:
        flags |= CREATE | VISIT_ALL
    if Anomaly.enabled:
        flags |= VISIT_ALL
    if inputs is not None:
        flags |= LIMITED
    visits = None
    if flags & (VISIT_ALL | LIMITED):
        visits = Visits(edges, inputs, accumulate, retain_graph, create_graph)
    visit = engine.core.run_pass(visits and visits.visit, edges, grads, inputs, flags)
    if visit is None:
        return []
    if visit is False:
        raise graph_errors.too_many_modes()
    finish: Callable[[], list[Any]] = visit.__self__.finish
    return finish()


def accumulate_grad(leaf: AccumulateGrad, grads: list[Any], create: bool = False) -> None:
    """Adds the only gradient of the list to the leaf's. One that nobody else holds becomes the
    leaf's without a copy.
    """
    with _leaf_lock:
        if leaf.grad is None:
            if engine.core.take_over(leaf, grads):
                return
            grad, variable = grads[0], leaf.reference()
            spec = variable._spec if variable is not None else grad._spec
            copy = laid_out_like(grad if create else grad.detach(), spec)
            if leaf.grad is None:  # native code may have put one there meanwhile
                leaf.grad = copy
                return
        if create:
            leaf.grad = leaf.grad + grads[0]
        else:
            leaf.grad.add_(grads[0])


def laid_out_like(grad: Any, spec: Any) -> Any:
    """A copy of the gradient with the leaf's strides (torch's layout contract for gradients)."""
    copy = engine.Tensor._empty(spec.like() if spec.contiguous or grad._spec is spec else spec)
    copy.copy_(grad)
    return copy


engine.accumulate_grad = accumulate_grad
