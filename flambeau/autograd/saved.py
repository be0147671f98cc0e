"""What nodes save: hooks that pack it away (`torch.autograd.graph.saved_tensors_hooks`), and its
display as `node._saved_...`.

    with saved_tensors_hooks(lambda x: x.numpy(), torch.from_numpy):
        y = x.exp()                 # pack runs here
    y.sum().backward()              # unpack runs here

While hooks are set (or anomaly mode is on) native code shows every new node to `watch`.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import change_mode, no_grad
from flambeau.autograd.nodes import AccumulateGrad, Node, edge_to, target
from flambeau.core import errors, graph_errors
from flambeau.core.spec import Spec
from flambeau.runtime.system import engine
from flambeau.runtime.thread_modes import WATCH

Hook = Callable[[Any], Any]
SAVED = 1  # in a rule's sources: a saved value (ops.rules)


class Anomaly:
    """State of `detect_anomaly`: whether nodes remember where they were made and results are
    checked for NaN.
    """

    enabled = False
    check_nan = True


class _State(threading.local):
    """The hooks of a thread, innermost last; why they are forbidden, if they are; the nodes whose
    backward runs.
    """

    def __init__(self) -> None:
        self.hooks: list[tuple[Hook, Hook]] = []
        self.forbidden: str | None = None
        self.running: list[Node] = []


state = _State()


def watch(node: Node) -> Node:
    """Looks at a new node: notes where it was made in anomaly mode, and packs what it saved if
    hooks are set.
    """
    if Anomaly.enabled:
        node.metadata["traceback_"] = traceback.format_stack()[:-1]
        if state.running:
            node.metadata["parent_"] = state.running[-1]
    if state.hooks and node._saved:
        pack_all(node, *state.hooks[-1])
    return node


# ---- packing -------------------------------------------------------------------------------------


class Packed:
    """In a node's `saved`: what a pack hook returned, and how to get the tensor back."""

    __slots__ = ("value", "unpack")

    def __init__(self, value: Any, unpack: Hook):
        self.value, self.unpack = value, unpack

    def tensor(self) -> Any:
        """The tensor, by the unpack hook."""
        found = self.unpack(self.value)
        if not isinstance(found, engine.Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(found).__name__}"
            )
        return found


def pack(tensor: Any, hook: Hook, unpack: Hook) -> Packed:
    """A tensor through a pack hook."""
    version = tensor._storage.version
    with no_grad():
        value = hook(tensor)
    if tensor._storage.version != version:
        raise graph_errors.packed_in_place()
    return Packed(value, unpack)


def pack_all(node: Node, hook: Hook, unpack: Hook) -> None:
    """Replaces all tensors that a node saved."""
    saved = list(node._saved or ())
    for place in places_of(node):
        if saved[place + 1] is not None:
            pack_one(node, saved, place, hook, unpack)
    node._saved = tuple(saved)


def places_of(node: Node) -> list[int]:
    """The places of saved values in the order in which the rules name them, as torch saves and
    unpacks them.
    """
    recipes = [
        node._plan.gradient.recipes[i] for i, edge in enumerate(node._edges) if edge is not None
    ]
    return list(
        dict.fromkeys(
            place for _, sources, _ in recipes for kind, place in sources if kind == SAVED
        )
    )


def pack_one(node: Node, saved: list[Any], place: int, hook: Hook, unpack: Hook) -> None:
    """Replaces the tensor at a place of `saved`."""
    saved[place] = pack(restore(saved[place], edge_at(node, place)), hook, unpack)
    saved[place + 1] = None
    node._table().packed = True


def unpacked(node: Node) -> tuple[Any, ...]:
    """What a node saved, with packed tensors unpacked."""
    saved = list(node._saved or ())
    for place in places_of(node):
        if type(saved[place]) is Packed:
            saved[place] = saved[place].tensor()
    return tuple(saved)


# ---- saved tensors with their graph --------------------------------------------------------------


def edge_at(node: Node, place: int) -> Any:
    """The edge of a saved value: an input's own, or this node for a result."""
    count = len(node._edges)
    return node._edges[place // 2] if place < 2 * count else edge_to(node, place // 2 - count)


def restore(value: Any, edge: Any) -> Any:
    """A saved tensor with the graph that it had when it was saved (its own object may have moved
    on).
    """
    if value is None or not isinstance(value, engine.Tensor) or value._edge is edge:
        return value
    if value._spec.dtype.category < 2:  # the indices of max, say
        return value
    twin = engine.core.make_tensor(value._storage, value._spec, value._offset)
    twin._node = edge
    return twin


def restored(node: Node, saved: tuple[Any, ...]) -> list[Any]:
    """All saved values with their graph, as rules need them that are to be differentiated
    themselves.
    """
    return [
        restore(value, edge_at(node, place)) if place % 2 == 0 else value
        for place, value in enumerate(saved)
    ]


def modified(node: Node) -> RuntimeError:
    """torch's error for a saved tensor that was changed in place."""
    saved = node._saved
    assert saved is not None
    place = next(
        i
        for i in range(0, len(saved), 2)
        if saved[i + 1] is not None and saved[i]._storage.version != saved[i + 1]
    )
    tensor, count = saved[place], len(node._edges)
    maker, index = (node, place // 2 - count) if place >= 2 * count else target(tensor._edge)
    return modified_error(tensor, maker, index, saved[place + 1])


def modified_error(tensor: Any, maker: Node | None, index: int, version: int) -> RuntimeError:
    """The error for a tensor that `maker` made and that had `version` when it was saved."""
    producer = None
    if maker is not None and type(maker) is not AccumulateGrad:
        producer = f"output {index} of {short_name(maker)}"
    return errors.modified_in_place(
        tensor.dtype.tensor_type, tuple(tensor.shape), producer, tensor._storage.version, version
    )


def short_name(node: Node) -> str:
    """A node's name without Backward0, as error texts have it."""
    return node.name().removesuffix("0").removesuffix("Backward")


# ---- node._saved_NAME ----------------------------------------------------------------------------

NAMES = {"input": "self", "y": "result"}  # torch's names for ours
SIZES = "_sym_sizes"


def saved_names(node: Node) -> list[str]:
    """The names of what a node saved, as torch shows them: operands, results, options."""
    plan = node._plan
    gradient = plan.gradient
    if gradient is None:
        return []
    kept = {
        place for place in gradient.guarded if node._saved is None or node._saved[place] is not None
    }
    operands = [NAMES.get(name, name) for i, name in enumerate(plan.names) if 2 * i in kept]
    results = [
        f"result{k}" if len(plan.outputs) > 1 else "result"
        for k in range(len(plan.outputs))
        if 2 * (len(plan.names) + k) in kept
    ]
    sizes = [
        NAMES.get(name, name) + SIZES
        for name, operand in zip(plan.names, plan.inputs, strict=True)
        if isinstance(operand.spec, Spec)
    ]
    return [*operands, *results, *sizes, *(name for name in plan.options if name != "compute")]


def saved_attribute(node: Node, attribute: str) -> Any:
    """`node._saved_NAME`, or `node._raw_saved_NAME`."""
    raw, name = attribute.startswith("_raw"), attribute.partition("saved_")[2]
    plan = node._plan
    shown = [NAMES.get(own, own) for own in plan.names]
    place = None
    if name in shown:
        place = 2 * shown.index(name)
    elif name.startswith("result") and plan.gradient is not None and (name[6:] or "0").isdigit():
        place = 2 * (len(shown) + int(name[6:] or 0))
    if place is not None and place in plan.gradient.guarded:
        return SavedTensor(node, place) if raw else saved_tensor(node, place)
    if place is not None and place // 2 < len(shown) and not raw:
        return None
    if name.removesuffix(SIZES) in shown and name.endswith(SIZES):
        return tuple(plan.inputs[shown.index(name.removesuffix(SIZES))].spec.shape)
    if name in plan.options and name != "compute":
        value = plan.options[name]
        return tuple(value) if isinstance(value, list) else value
    raise AttributeError(f"'{type(node).__name__}' object has no attribute '{attribute}'")


def saved_tensor(node: Node, place: int) -> Any:
    """One saved value, with its graph; torch's errors when it is gone or was changed."""
    if node._saved is None:
        raise graph_errors.second_backward()
    value = node._saved[place]
    if type(value) is Packed:
        value = value.tensor()
    elif node._saved[place + 1] is not None and value._storage.version != node._saved[place + 1]:
        raise modified(node)
    if type(value) in (int, float, bool) and node._plan.names[place // 2] == "other":
        return engine.functions["tensor"](value)  # torch made a tensor of it
    return restore(value, edge_at(node, place))


class SavedTensor:
    """`node._raw_saved_NAME`: lets hooks be set on one saved tensor."""

    def __init__(self, node: Node, place: int):
        self._node, self._place = node, place

    @property
    def data(self) -> Any:
        """The tensor."""
        return saved_tensor(self._node, self._place)

    def register_hooks(self, pack_hook: Hook, unpack_hook: Hook) -> None:
        """Packs the tensor now, unpacks it whenever it is needed."""
        node, place = self._node, self._place
        if node._saved is None:
            raise graph_errors.second_backward()
        if node._saved[place + 1] is None:
            if type(node._saved[place]) is Packed:
                raise RuntimeError(
                    "Calling register_hooks on a saved tensor whose hooks have already been set. "
                    "Hint: only one pair of hooks is allowed at a time."
                )
            raise RuntimeError(
                "Calling register_hooks on a saved tensor with value None is forbidden"
            )
        saved = list(node._saved)
        pack_one(node, saved, place, pack_hook, unpack_hook)
        node._saved = tuple(saved)


# ---- the public hooks ----------------------------------------------------------------------------


class saved_tensors_hooks:
    """Tensors that are saved for backward inside this block go through `pack_hook`, and through
    `unpack_hook` when they are needed.

    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.half(), lambda t: t.float()):
    ...     y = x.exp().sum()
    >>> y.backward()
    """

    def __init__(self, pack_hook: Hook, unpack_hook: Hook):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if state.forbidden is not None:
            raise RuntimeError(state.forbidden)
        state.hooks.append((self.pack_hook, self.unpack_hook))
        change_mode(WATCH, 0)

    def __exit__(self, *error: object) -> None:
        state.hooks.pop()
        if not state.hooks:
            change_mode(0, WATCH)


class save_on_cpu(saved_tensors_hooks):
    """Saved tensors wait for backward in the CPU's memory.

    >>> with torch.autograd.graph.save_on_cpu():
    ...     y = torch.ones(2, requires_grad=True).exp()
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        def pack_to_cpu(tensor: Any) -> tuple[Any, Any]:
            return tensor.device, tensor.cpu()

        def unpack_from_cpu(packed: tuple[Any, Any]) -> Any:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack_to_cpu, unpack_from_cpu)


class disable_saved_tensors_hooks:
    """Inside this block hooks for saved tensors are an error with the given text.

    >>> with torch.autograd.graph.disable_saved_tensors_hooks("no hooks here"):
    ...     pass
    """

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __enter__(self) -> None:
        self.before = state.forbidden
        if state.hooks:
            raise RuntimeError(self.error_message)
        state.forbidden = self.error_message

    def __exit__(self, *error: object) -> None:
        state.forbidden = self.before


engine.watch, engine.saved_attribute, engine.saved_names = watch, saved_attribute, saved_names
