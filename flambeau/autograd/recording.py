"""Recording of calls that run in Python; runtime.records does the same natively.

record(plan, inputs, outputs)       # hangs a Node on the outputs if an input needs a gradient
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.autograd.modes import is_recording
from flambeau.autograd.nodes import edge_to, node_class
from flambeau.core import graph_errors
from flambeau.runtime.memory import FLAG_INFERENCE
from flambeau.runtime.plan_block import SAVE_OUTPUT
from flambeau.runtime.system import engine


def record(plan: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
    """Makes the graph node of a call that ran in Python."""
    gradient = plan.gradient
    tensor = engine.Tensor
    if gradient is None or not gradient.differentiable or not is_recording():
        return
    edges = tuple(x._node if isinstance(x, tensor) else None for x in inputs)
    if not any(edge is not None for edge in edges):
        return
    mask = 0
    for i, edge in enumerate(edges):
        if edge is not None:
            mask |= gradient.save_mask(i)
    saved: list[Any] = []
    for i, x in enumerate(inputs):
        keep = mask >> i & 1
        if keep and isinstance(x, tensor) and x._storage.flags & FLAG_INFERENCE:
            raise graph_errors.inference_saved()
        saved += (
            [x, x._storage.version if isinstance(x, tensor) else None] if keep else [None, None]
        )
    for k, y in enumerate(outputs):
        if mask >> (SAVE_OUTPUT + k) & 1:
            saved += [engine.core.make_tensor(y._storage, y._spec, y._offset), y._storage.version]
        else:
            saved += [None, None]
    node = node_class(plan)(plan, edges, tuple(saved))
    for k, y in enumerate(outputs):
        if gradient.differentiable >> k & 1:
            y._node = edge_to(node, k)
