"""`torch.autograd.graph`: nodes, edges, hooks over several tensors and on saved tensors.

>>> x = torch.ones(2, requires_grad=True)
>>> torch.autograd.graph.get_gradient_edge(x * 2).node.name()
'MulBackward0'
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau.autograd.nodes import AccumulateGrad as AccumulateGrad
from flambeau.autograd.nodes import Edge as Edge
from flambeau.autograd.nodes import Node as Node
from flambeau.autograd.nodes import edge_to as edge_to
from flambeau.autograd.nodes import target as target
from flambeau.autograd.saved import disable_saved_tensors_hooks as disable_saved_tensors_hooks
from flambeau.autograd.saved import save_on_cpu as save_on_cpu
from flambeau.autograd.saved import saved_tensors_hooks as saved_tensors_hooks
from flambeau.autograd.visiting import Visits, current
from flambeau.runtime.system import engine

__all__ = [
    "GradientEdge", "Node", "allow_mutation_on_saved_tensors", "disable_saved_tensors_hooks",
    "get_gradient_edge", "increment_version", "register_multi_grad_hook", "save_on_cpu",
    "saved_tensors_hooks",
]  # fmt: skip


class GradientEdge(NamedTuple):
    """A place in the graph at which a gradient arrives: a result of a node."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The place in the graph at which the tensor's gradient arrives; `grad` and `backward` take it
    for the tensor.

    >>> x = torch.ones(2, requires_grad=True)
    >>> edge = torch.autograd.graph.get_gradient_edge(x * 2)
    >>> torch.autograd.grad(edge, x, torch.ones(2))
    (tensor([2., 2.]),)
    """
    node, index = target(tensor._node)
    if node is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(node, index, tensor if type(node) is AccumulateGrad else None)


def increment_version(tensor: Any) -> None:
    """Tells autograd that the tensor (or each of several) was changed in place by something that it
    cannot see.

    >>> x = torch.zeros(2)
    >>> torch.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for each in (tensor,) if isinstance(tensor, engine.Tensor) else tensor:
        each._storage.version += 1


class Handles:
    """Several handles removed together."""

    def __init__(self, handles: Sequence[Any]):
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Takes all the hooks off."""
        for each in self.handles:
            each.remove()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[..., None], *, mode: str = "all"
) -> Handles:
    """Calls `fn` when the gradients of several tensors are there: once with all of them, or ("any")
    with the first.

    >>> a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    >>> register = torch.autograd.graph.register_multi_grad_hook
    >>> handle = register((a, b), lambda grads: print(len(grads)))
    >>> (a * b).sum().backward()
    2
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    if mode == "any":
        last: list[int] = [-1]

        def first_hook(grad: Any) -> None:
            number = current.passes[-1].number
            with lock:
                if last[0] == number:
                    return
                last[0] = number
            fn(grad)

        return Handles(
            [tensor.register_hook(first_hook) for tensor in tensors if tensor.requires_grad]
        )
    collections: dict[int, list[Any]] = {}
    left: dict[int, int] = {}

    def collect(index: int, grad: Any) -> None:
        visits = current.passes[-1]
        number = visits.number
        with lock:
            if number not in left:
                left[number] = reached(visits, tensors)
                collections[number] = [None] * len(tensors)
            collections[number][index] = grad
            left[number] -= 1
            complete = left[number] == 0
        if complete:
            del left[number]
            fn(collections.pop(number))

    return Handles(
        [tensor.register_hook(functools.partial(collect, i)) for i, tensor in enumerate(tensors)]
    )


def reached(visits: Visits, tensors: Sequence[Any]) -> int:
    """How many of the tensors get a gradient in a pass."""
    count = 0
    for tensor in tensors:
        node, _ = target(tensor._node)
        assert node is not None
        count += node in visits.reached
    return count


class allow_mutation_on_saved_tensors:
    """Inside this block saved tensors may be changed in place: a tensor that is about to be changed
    is copied for backward first.

    The copy is made when the tensor is saved, because an in-place operation does not know who saved
    what it changes.

    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     x = torch.ones(2, requires_grad=True)
    ...     y = x.clone()
    ...     z = (y * y).sum()
    ...     _ = y.sin_()
    ...     z.backward()
    """

    def __enter__(self) -> None:
        self.hooks = saved_tensors_hooks(
            lambda tensor: tensor.detach().clone(), lambda tensor: tensor
        )
        self.hooks.__enter__()

    def __exit__(self, *error: object) -> None:
        self.hooks.__exit__(*error)
