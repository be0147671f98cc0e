"""In-place calls that the native path leaves to Python: tensors that need gradients, and
overlapping memory.

`x.mul_(y)` on a recorded tensor runs as `r = x * y`, writes r's values into x's memory (so every
view of it sees them, and its version counts up), and x takes r's place in the graph. When x is a
view, its base changed too: the base gets a node that cuts the window out of its gradient (torch's
CopySlices), and x becomes that window of the new base. Called by ops.registry.run_plan:

    modify(plan_of_mul_, (x, y))
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from flambeau.autograd.graph import AccumulateGrad, Edge, Node
from flambeau.autograd.graph import target as target_of
from flambeau.autograd.modes import is_grad_enabled, no_grad
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.runtime.plan_block import B_INPLACE, B_KIND, KIND_PYTHON, KIND_VIEW
from flambeau.runtime.system import engine

UNSHARED = 2  # references to a twin that no graph node keeps: its name, and getrefcount's argument


def modify(plan: Any, inputs: Sequence[Any]) -> Any:
    """Runs the in-place plan on inputs that need care; returns the changed tensor."""
    target = inputs[0]
    recording = is_grad_enabled() and any(
        isinstance(x, engine.Tensor) and x._node is not None for x in inputs
    )
    if not recording:
        check_overlap(target, inputs[1:])
    base = plan.op.base
    options = {k: v for k, v in plan.options.items() if k in base.positional or k in base.named}

    def compute(twin: Any) -> Any:
        values: dict[str, Any] = {}
        for name, value in zip(plan.names, inputs, strict=True):
            given = twin if value is target else value
            head, bracket, _ = name.partition("[")
            if bracket:
                values.setdefault(head, []).append(given)
            else:
                values[name] = given
        values.update(options)
        named = {name: values[name] for name in base.named if name in values}
        return base.call(*[values[name] for name in base.positional], **named)

    return replace_by(target, compute)


def revise(plan: Any, *inputs: Any) -> Any:
    """`modify`, as native code calls it."""
    return modify(plan, inputs)


def check_modifiable(target: Any) -> None:
    """torch's errors for in-place work on leaves that need gradients, and on views of them."""
    if not is_grad_enabled() or target._node is None:
        return
    node, index = target_of(target._node)
    if type(node) is AccumulateGrad:
        raise errors.leaf_modified()
    if node is not None and getattr(node, "many_views", False):
        raise RuntimeError(
            f"Output {index} of {node.name().removesuffix('Backward0')} is a view and is being "
            "modified inplace. This view is the "
            "output of a function that returns multiple views. Such functions do not allow the "
            "output views to be modified inplace. "
            "You should replace the inplace operation by an out-of-place one."
        )
    if target._base is not None and type(target._base._node) is AccumulateGrad:
        raise errors.leaf_view_modified()


def check_overlap(target: Any, others: Sequence[Any]) -> None:
    """torch's error for operands that share part of the written memory."""
    for other in others:
        if not isinstance(other, engine.Tensor) or other._storage is not target._storage:
            continue
        if not (other._spec.contiguous and target._spec.contiguous):
            continue
        start, stop = target._offset, target._offset + target._spec.numel
        if other._offset < stop and start < other._offset + other._spec.numel:
            if (other._offset, other._spec.numel) != (start, stop - start):
                raise errors.partial_overlap()


def replace(target: Any, compute: Any) -> Any:
    """`target` takes on the values, and the place in the graph, of what `compute()` returns."""
    return replace_by(target, lambda twin: compute())


def replace_by(target: Any, compute: Any) -> Any:
    """`target` takes on the values, and the place in the graph, of what `compute(twin)` returns.

    The twin is the tensor as it is before the change; where the graph keeps it, it gets a copy of
    the values.
    """
    check_modifiable(target)
    base = target._base
    if (
        base is not None
        and is_grad_enabled()
        and target._node is None
        and type(base._node) is AccumulateGrad
    ):
        raise errors.leaf_view_modified()
    twin = engine.core.make_tensor(target._storage, target._spec, target._offset)
    twin._node = target._node
    result = compute(twin)
    if result.dtype is not target.dtype:
        result = result.to(target.dtype)
    with no_grad():
        if sys.getrefcount(twin) > UNSHARED:
            version, old = twin._storage.version, engine.Tensor._empty(target._spec)
            old.copy_(target)
            twin._storage, twin._offset = old._storage, old._offset
            twin._storage.version = version
        target.copy_(result)
    adopt(target, result._node)
    return target


def adopt(target: Any, edge: Any) -> None:
    """`target`, whose memory was just written, gets the graph `edge`;
    a base is told through CopySlices.
    """
    base = target._base
    if (
        not is_grad_enabled()
        or edge is None
        and target._node is None
        and (base is None or base._node is None)
    ):
        return
    if base is None:
        target._node = Overwritten(target._node) if edge is None else edge
        return
    before = base._node
    base._node = CopySlices(before, edge, base._spec, target._spec, target._offset - base._offset)
    target._node = Window(base._node, base._spec, target._spec, target._offset - base._offset)
    target._seen = target._storage.version


def current(tensor: Any) -> Any:
    """The tensor's place in the graph. Of a view whose base was changed in place since it was made,
    this is a window of the base's new place (see refresh).
    """
    base = tensor._base
    if base is not None and base._node is not None:
        if getattr(tensor, "_seen", None) != tensor._storage.version:
            refresh(tensor)
    return tensor._node


def refresh(view: Any) -> None:
    """A view of a tensor that was changed in place becomes a window of what that tensor is now."""
    view._seen = view._storage.version
    base = view._base
    if view._node is None:
        stale = was_changed(base._node)
    else:
        stale = not hangs_from(view._node, base._node)
    if stale:
        if view.dtype is not base.dtype:
            raise NotImplementedError(
                "gradients through a view as another dtype whose base was changed in place"
            )
        view._node = Window(base._node, base._spec, view._spec, view._offset - base._offset)


def was_changed(edge: Any) -> bool:
    """Whether a tensor's last change was one in place."""
    node, _ = target_of(edge)
    if node is None or node.plan is None:
        return isinstance(node, (CopySlices, Overwritten))
    return bool(node.plan.words[B_INPLACE] >= 0)


def hangs_from(edge: Any, goal: Any) -> bool:
    """Whether a view's node leads, through nodes of views, to this place in the graph."""
    end = target_of(goal)
    while edge is not None:
        if target_of(edge) == end:
            return True
        node, _ = target_of(edge)
        assert node is not None
        is_view = node.plan is None or node.plan.words[B_KIND] in (KIND_VIEW, KIND_PYTHON)
        if not is_view or not node.edges:
            return False
        edge = node.edges[0]
    return False


def in_place(name: str) -> Any:
    """The method `NAME_` of an op without an in-place kernel: the result of `NAME`,
    written into the tensor.
    """

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return replace(self, lambda: getattr(self, name)(*args, **kwargs))

    method.__name__, method.__doc__ = name + "_", f"`{name}`, written into the tensor."
    return method


class Overwritten(Node):
    """A tensor whose values were replaced by some that need no gradient:
    what it was before has none either.
    """

    __slots__ = ()

    def __init__(self, before: Any):
        super().__init__(None, (before,))

    def name(self) -> str:
        """Shown as a copy."""
        return "CopyBackwards"

    def apply(self, grads: list[Any]) -> Any:
        """Zeros."""
        return [grads[0].new_zeros(grads[0].shape)]


class CopySlices(Node):
    """A base of which one window was overwritten: its gradient goes to what was written there and,
    around it, to the old base.
    """

    __slots__ = ("window", "base_spec", "offset")

    def __init__(self, before: Any, written: Any, base: Spec, window: Spec, offset: int):
        super().__init__(None, (before, written))
        self.base_spec, self.window, self.offset = base, window, offset

    def apply(self, grads: list[Any]) -> Any:
        """Gradients of the old base and of the written values."""
        g = grads[0]
        if g._spec is not self.base_spec:
            g = (
                g.contiguous()
                if self.base_spec.contiguous
                else g.new_empty_strided(self.base_spec.shape, self.base_spec.strides).copy_(g)
            )
        window = g.as_strided(self.window.shape, self.window.strides, g._offset + self.offset)
        old = None
        if self.edges[0] is not None:
            old = g.clone()
            hole = old.as_strided(self.window.shape, self.window.strides, old._offset + self.offset)
            hole.zero_()
        return [old, window.clone() if self.edges[1] is not None else None]


class Window(Node):
    """A view of a base that was changed in place:
    the base's gradient is zero but for the window.
    """

    __slots__ = ("window", "base_spec", "offset")

    def __init__(self, base: Any, spec: Spec, window: Spec, offset: int):
        super().__init__(None, (base,))
        self.base_spec, self.window, self.offset = spec, window, offset

    def name(self) -> str:
        """torch shows such a tensor as made by as_strided."""
        return "AsStridedBackward0"

    def apply(self, grads: list[Any]) -> Any:
        """The gradient of the base."""
        g = grads[0]
        whole = engine.Tensor._empty(self.base_spec)
        whole = whole.zero_()
        window = whole.as_strided(
            self.window.shape, self.window.strides, whole._offset + self.offset
        )
        window.copy_(g)
        return [whole]


def edges_of(tensors: Sequence[Any]) -> tuple[Any, ...]:
    """The graph edges of tensors, None for others."""
    return tuple(t._node if isinstance(t, engine.Tensor) else None for t in tensors)


__all__ = [
    "CopySlices",
    "Edge",
    "Window",
    "adopt",
    "check_modifiable",
    "check_overlap",
    "edges_of",
    "modify",
    "replace",
]
