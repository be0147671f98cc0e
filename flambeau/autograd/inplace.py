"""In-place changes and views where graphs are concerned: what native code leaves to Python.

`x.mul_(y)` on a recorded tensor runs as `r = x * y`, writes r's values into x's memory (so every
view of it sees them, and its version counts up), and x takes r's place in the graph. When x is a
view, its base changed too: the base gets a node that cuts the window out of its gradient (torch's
CopySlices), and x becomes that window of the new base.

Other views of that base, made before, now have an old place in the graph. Nobody knows them, so
they find out themselves: every such change counts up the storage's `epoch`, and a view whose own
epoch (in `_made`) is older becomes a window of the present base when its place in the graph is next
looked at (Tensor._node, or native code that comes to `revise`).

    revise(plan_of_mul_, x, y)          # called by runtime.dispatch
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.modes import is_grad_enabled, is_inference_mode_enabled, no_grad
from flambeau.autograd.nodes import AccumulateGrad, Flat, Node, named, target
from flambeau.autograd.saved import short_name
from flambeau.core import errors, graph_errors
from flambeau.core.graph_errors import BY_INFERENCE, BY_NO_GRAD, BY_VIEW
from flambeau.core.strides import is_non_overlapping_and_dense
from flambeau.runtime.memory import FLAG_INFERENCE
from flambeau.runtime.plan_block import B_INPLACE
from flambeau.runtime.system import engine

UNSHARED = (
    2  # references to an object that only its name holds: that one, and getrefcount's argument
)


def revise(plan: Any, *inputs: Any) -> Any:
    """Runs a plan that native code could not decide about."""
    tensors = [x for x in inputs if isinstance(x, engine.Tensor)]
    edges = [x._node for x in tensors]  # brings every view up to date
    if plan.words[B_INPLACE] < 0:
        if any(edge is not None for edge in edges):
            check_saved_inputs(plan, inputs)
        result = engine.core.execute_plan(plan, *inputs)
        if result is None:
            raise errors.InternalError(f"{plan} could not run")
        return result
    if is_grad_enabled() and any(x.requires_grad for x in tensors):
        return modify(plan, inputs)
    changed = inputs[plan.words[B_INPLACE]]
    check_writable(changed)
    check_overlap(changed, inputs)
    return write(plan, inputs)


def modify(plan: Any, inputs: Sequence[Any]) -> Any:
    """Runs an in-place plan by its out-of-place form, whose result then replaces the values."""
    changed = inputs[0]
    recording = any(isinstance(x, engine.Tensor) and x.requires_grad for x in inputs)
    check_modifiable(changed, recording)
    check_overlap(changed, inputs)
    return replace_by(changed, lambda twin: call_base(plan, inputs, changed, twin))


def call_base(plan: Any, inputs: Sequence[Any], changed: Any, twin: Any) -> Any:
    """The out-of-place form of an in-place plan, with the twin in the place of what changes."""
    base = plan.op.base
    values: dict[str, Any] = {}
    for name, value in zip(plan.names, inputs, strict=True):
        given = twin if value is changed else value
        head, bracket, _ = name.partition("[")
        if bracket:
            values.setdefault(head, []).append(given)
        else:
            values[name] = given
    values.update(
        (k, v) for k, v in plan.options.items() if k in base.positional or k in base.named
    )
    named = {name: values[name] for name in base.named if name in values}
    return base.call(*[values[name] for name in base.positional], **named)


def write(plan: Any, inputs: Sequence[Any]) -> Any:
    """Runs an in-place plan where no graph is concerned; operands in the same memory are copied."""
    changed = inputs[plan.words[B_INPLACE]]

    def shares(x: Any) -> bool:
        tensor = isinstance(x, engine.Tensor) and x is not changed
        return tensor and x._storage is changed._storage

    with no_grad():  # the plan expects its operands' very strides
        apart = [engine.Tensor._empty(x._spec).copy_(x) if shares(x) else x for x in inputs]
    with no_grad():
        engine.core.execute_plan(plan, *apart)
    return changed


def check_saved_inputs(plan: Any, inputs: Sequence[Any]) -> None:
    """torch's error for inference tensors that the gradient would need."""
    wanted = 0
    if not is_grad_enabled():
        return
    for i, x in enumerate(inputs):
        if isinstance(x, engine.Tensor) and x._edge is not None and plan.gradient is not None:
            wanted |= plan.gradient.save_mask(i)
    for i, x in enumerate(inputs):
        if wanted >> i & 1 and isinstance(x, engine.Tensor) and x._storage.flags & FLAG_INFERENCE:
            raise graph_errors.inference_saved()


# ---- what may be changed -------------------------------------------------------------------------


def check_writable(changed: Any) -> None:
    """torch's error for inference tensors."""
    if changed._storage.flags & FLAG_INFERENCE and not is_inference_mode_enabled():
        raise graph_errors.inference_modified()


def check_modifiable(changed: Any, recording: bool = False) -> None:
    """torch's errors for in-place work on what may not change: leaves that need gradients, their
    views, some other views. `recording`: another operand needs a gradient.
    """
    check_writable(changed)
    if not is_grad_enabled() or not (recording or changed.requires_grad):
        return
    base = changed._base
    if base is not None:
        made = made_by(changed)
        if made != BY_VIEW:
            raise view_modified(changed, made, indirect=False)
        if type(base._edge) is AccumulateGrad:
            raise errors.leaf_view_modified()
    elif type(changed._edge) is AccumulateGrad:
        raise errors.leaf_modified()


def check_overlap(changed: Any, others: Sequence[Any]) -> None:
    """torch's error for operands that share part of the written memory."""
    for other in others:
        if (
            other is changed
            or not isinstance(other, engine.Tensor)
            or other._storage is not changed._storage
        ):
            continue
        if not all(is_non_overlapping_and_dense(x.shape, x.stride()) for x in (other, changed)):
            continue
        start, stop = changed._offset, changed._offset + changed._spec.numel
        if other._offset < stop and start < other._offset + other._spec.numel:
            if (other._offset, other._spec) != (start, changed._spec):
                raise errors.partial_overlap()


# ---- the change ----------------------------------------------------------------------------------


def replace(changed: Any, compute: Callable[[], Any]) -> Any:
    """`changed` takes on the values, and the place in the graph, of what `compute()` returns."""
    return replace_by(changed, lambda twin: compute())


def replace_by(changed: Any, compute: Callable[[Any], Any]) -> Any:
    """`changed` takes on the values, and the place in the graph, of what `compute(twin)` returns.

    The twin is the tensor as it is before the change; where the graph keeps it, it gets a copy of
    the values.
    """
    before = changed._node
    if before is not None:
        check_modifiable(changed)
    twin = engine.core.make_tensor(changed._storage, changed._spec, changed._offset)
    twin._node = None if type(before) is AccumulateGrad else before
    result = compute(twin)
    if before is None and result._edge is not None:
        check_modifiable(changed, recording=True)
    check_writable(changed)
    if result.dtype is not changed.dtype:
        result = result.to(changed.dtype)
    with no_grad():
        if sys.getrefcount(twin) > UNSHARED:
            version, old = twin._storage.version, engine.Tensor._empty(changed._spec)
            old.copy_(changed)
            twin._storage, twin._offset = old._storage, old._offset
            twin._storage.version = version
        changed.copy_(result)
    hand_over(result, changed)
    adopt(changed, result._edge)
    return changed


def hand_over(result: Any, changed: Any) -> None:
    """What the result's node saved of its result is now in the changed tensor's memory."""
    node, index = target(result._edge)
    if node is None or node._plan is None or not node._saved or result._spec is not changed._spec:
        return
    place = 2 * (len(node._edges) + index)
    if place < len(node._saved) and isinstance(node._saved[place], engine.Tensor):
        twin = engine.core.make_tensor(changed._storage, changed._spec, changed._offset)
        node._saved = (*node._saved[:place], twin, twin._storage.version, *node._saved[place + 2 :])


def adopt(changed: Any, edge: Any) -> None:
    """`changed`, whose memory was just written, gets the graph `edge`; a base is told through
    CopySlices.
    """
    base = changed._base
    if (
        not is_grad_enabled()
        or edge is None
        and changed._edge is None
        and (base is None or base._edge is None)
    ):
        return
    storage = changed._storage
    storage.epoch += 1
    if base is None:
        move(changed, overwritten(changed) if edge is None else edge)
        return
    window = Geometry(base, changed)
    move(base, CopySlices(base._edge, edge, window))
    move(changed, AsStridedBackward0(base._edge, window))
    changed._made = storage.epoch << 3


def overwritten(tensor: Any) -> Node:
    """The node of a tensor whose values were replaced by some that need no gradient: what it was
    has none either.
    """
    return named(Flat, "CopyBackwards")((tensor._edge,), (tensor._spec,))  # type: ignore[no-any-return]


def move(tensor: Any, edge: Any) -> None:
    """Gives the tensor another place in the graph; a gradient that it retains is now the one that
    arrives there.
    """
    before, index = target(tensor._edge)
    tensor._edge = edge
    if "_retains" in tensor.__dict__ and before is not None and before._hooks is not None:
        reference = before._hooks.retain.pop(index, None)
        node, index = target(edge)
        if reference is not None and node is not None:
            node._table().retain[index] = reference


def in_place(name: str) -> Any:
    """The method `NAME_` of an op without an in-place kernel: the result of `NAME`, written into
    the tensor.
    """

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return replace_by(self, lambda twin: getattr(twin, name)(*args, **kwargs))

    method.__name__, method.__doc__ = name + "_", f"`{name}`, written into the tensor."
    return method


# ---- views of changed bases ----------------------------------------------------------------------


def made_by(view: Any) -> int:
    """How a view was made: BY_VIEW, BY_NO_GRAD, ..."""
    return getattr(view, "_made", 0) & 7


def present_edge(view: Any) -> Any:
    """The place in the graph of a view of a storage on which graphs changed."""
    made, epoch = getattr(view, "_made", 0), view._storage.epoch
    if made >> 3 == epoch:
        return view._edge
    base = view._base
    if base._edge is not None:
        if made & 7 != BY_VIEW:
            raise view_modified(view, made & 7, indirect=True)
        if type(base._edge) is not AccumulateGrad:
            move(view, AsStridedBackward0(base._edge, Geometry(base, view)))
    view._made = epoch << 3 | made & 7
    return view._edge


def view_modified(view: Any, made: int, indirect: bool) -> RuntimeError:
    """torch's error for a view that may not change."""
    node, index = target(view._edge)
    known = None if node is None or type(node) is AccumulateGrad else short_name(node)
    return graph_errors.view_modified(made, known, index, indirect)


def share(view: Any, base: Any, made: int = BY_VIEW) -> Any:
    """Makes `view` a view of `base` (or of what that is a view of), for code that makes views in
    Python; returns it.
    """
    before = getattr(base, "_made", 0) if base._base is not None else base._storage.epoch << 3
    view._base = base if base._base is None else base._base
    if before & 7:
        made = before & 7
    elif not is_grad_enabled():
        made = BY_INFERENCE if is_inference_mode_enabled() else BY_NO_GRAD
    view._made = before & ~7 | made
    return view


class Geometry:
    """A view as a window on its base: (shape, strides, offset) in elements of the view's dtype."""

    def __init__(self, base: Any, view: Any):
        self.base, self.window = base._spec, view._spec
        scale = (
            base._spec.itemsize // view._spec.itemsize
            if view._spec.itemsize < base._spec.itemsize
            else 1
        )
        self.offset = view._offset - base._offset * scale

    def of(self, base: Any) -> Any:
        """The window on a tensor that has the base's spec."""
        if self.window.dtype is not self.base.dtype and self.base.dtype.is_complex:
            flat = base.view_as_real()
            return flat.as_strided(
                self.window.shape, self.window.strides, 2 * base._offset + self.offset
            )
        if self.window.dtype.is_complex and not self.base.dtype.is_complex:
            raise NotImplementedError(
                "in-place change of a complex view of a real tensor in a graph: not supported by "
                "Flambeau"
            )
        return base.as_strided(self.window.shape, self.window.strides, base._offset + self.offset)


class CopySlices(Node):
    """A base of which one window was overwritten: its gradient goes to what was written there and,
    around it, to the old base.
    """

    __slots__ = ("geometry",)

    def __init__(self, before: Any, written: Any, geometry: Geometry):
        super().__init__(None, (before, written))
        self.geometry = geometry

    def name(self) -> str:
        """torch's name."""
        return "torch::autograd::CopySlices"

    def apply(self, grads: list[Any]) -> Any:
        """Gradients of the old base and of the written values."""
        g, spec = grads[0], self.geometry.base
        if g._spec is not spec or g._offset or g._base is not None:
            g = engine.Tensor._empty(spec).copy_(g)
        written = self.geometry.of(g).clone() if self._edges[1] is not None else None
        if self._edges[0] is None:
            return [None, written]
        old = g.clone()
        self.geometry.of(old).zero_()
        return [old, written]


class AsStridedBackward0(Node):
    """A view of a base that was changed: the base's gradient is zero but for the window."""

    __slots__ = ("geometry",)

    def __init__(self, base: Any, geometry: Geometry):
        super().__init__(None, (base,))
        self.geometry = geometry

    def apply(self, grads: list[Any]) -> Any:
        """The gradient of the base."""
        whole = engine.Tensor._empty(self.geometry.base).zero_()
        self.geometry.of(whole).copy_(grads[0])
        return [whole]


engine.present_edge = present_edge
