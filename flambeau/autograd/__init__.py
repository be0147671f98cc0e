"""Automatic differentiation: `backward`, `grad`, and the tools around them.

>>> x = torch.tensor(2.0, requires_grad=True)
>>> torch.autograd.grad(x ** 3, x)
(tensor(12.),)
"""

from __future__ import annotations

import importlib as _importlib
from collections.abc import Sequence
from typing import Any

from flambeau.autograd.graph import AccumulateGrad, Edge, Node
from flambeau.autograd.inplace import current
from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled
from flambeau.core import errors
from flambeau.runtime.system import engine as _system

__all__ = [
    "Node",
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
]


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _edge(tensor: Any) -> Any:
    """The graph place of a root or an input."""
    if isinstance(tensor, (Node, Edge)):
        return tensor
    node = getattr(tensor, "edge", None)  # autograd.graph.GradientEdge
    return node if node is not None else current(tensor)


def _unit(output: Any) -> Any:
    """A one of the output's dtype and shape."""
    from flambeau.ops.creation_arguments import unit

    return unit.call(output)


def _root_gradients(
    outputs: Sequence[Any], grads: Sequence[Any], create_graph: bool
) -> list[tuple[Any, Any]]:
    """(edge, gradient) of every root: ones for scalars; torch's errors for what does not fit."""
    roots = []
    for position, (output, grad) in enumerate(zip(outputs, grads, strict=True)):
        if current(output) is None:
            raise errors.no_gradient(position)
        if grad is None:
            if output.numel() != 1:
                raise errors.scalar_outputs_only(output.shape)
            roots.append((output._node, _unit(output)))
            continue
        elif not isinstance(grad, _system.Tensor):
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(grad).__name__}"
            )
        elif grad.shape != output.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{position}] has a shape of {grad.shape} and "
                f"output[{position}] has a "
                f"shape of {output.shape}."
            )
        if grad.dtype.is_complex != output.dtype.is_complex:
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same "
                "dtype. Mismatch in dtype: "
                f"grad_output[{position}] has a dtype of {grad.dtype} and output[{position}] has "
                f"a dtype of {output.dtype}."
            )
        roots.append((output._node, grad if grad.dtype is output.dtype else grad.to(output.dtype)))
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds gradients of `tensors` to the `.grad` of the leaves below them.

    >>> x = torch.ones(2, requires_grad=True)
    >>> torch.autograd.backward([(x * 3).sum()])
    >>> x.grad
    tensor([3., 3.])
    """
    from flambeau.autograd.engine import run

    outputs = _sequence(tensors)
    grads = [None] * len(outputs) if grad_tensors is None else _sequence(grad_tensors)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    edges = None
    if inputs is not None:
        chosen = _sequence(inputs)
        if not chosen:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
        for tensor in chosen:
            if tensor._node is None:
                raise RuntimeError("One of the differentiated Tensors does not require grad")
            if type(tensor._node) is not AccumulateGrad:
                tensor.retain_grad()
        edges = [_edge(t) for t in chosen]
    keep = create_graph if retain_graph is None else retain_graph
    run(_root_gradients(outputs, grads, create_graph), keep, create_graph, edges)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of the sum of `outputs` with respect to `inputs`, returned instead of accumulated.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.grad((x * x).sum(), x)
    (tensor([2., 4.]),)
    """
    from flambeau.autograd.engine import run

    if is_grads_batched:
        raise errors.unsupported("autograd.grad(is_grads_batched=True)")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    roots, chosen = _sequence(outputs), _sequence(inputs)
    grads = [None] * len(roots) if grad_outputs is None else _sequence(grad_outputs)
    if not chosen:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for value in (outputs, inputs):
        if not isinstance(value, (_system.Tensor, tuple, list, Node, Edge)) and not hasattr(
            value, "edge"
        ):
            iter(value)  # Python's TypeError
    for tensor in chosen:
        if _edge(tensor) is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    found = run(
        _root_gradients(roots, grads, create_graph),
        keep,
        create_graph,
        [_edge(t) for t in chosen],
        accumulate=False,
    )
    if not (allow_unused or materialize_grads) and None in (
        unused := [g if g is None else 0 for g in found]
    ):
        raise RuntimeError(
            f"The differentiated Tensor at index {unused.index(None)} appears to not have been "
            "used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    if materialize_grads:
        found = [
            t.new_zeros(t.shape) if g is None else g for g, t in zip(found, chosen, strict=True)
        ]
    return tuple(found)


#: names of other files of this folder: (file, name in it; "" for the file itself)
LATE = {
    "function": ("function", ""),
    "functional": ("functional", ""),
    "graph": ("graph", ""),
    "forward_ad": ("forward_ad", ""),
    "anomaly_mode": ("anomaly_mode", ""),
    "Function": ("function", "Function"),
    "Variable": ("function", "Variable"),
    "NestedIOFunction": ("function", "NestedIOFunction"),
    "gradcheck": ("gradcheck", "gradcheck"),
    "gradgradcheck": ("gradcheck", "gradgradcheck"),
    "detect_anomaly": ("anomaly_mode", "detect_anomaly"),
    "set_detect_anomaly": ("anomaly_mode", "set_detect_anomaly"),
}


def __getattr__(name: str) -> Any:
    """Submodules and names that are rarely needed, at their first use."""
    if name not in LATE:
        raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
    file, inner = LATE[name]
    module = _importlib.import_module(f"flambeau.autograd.{file}")
    value = getattr(module, inner) if inner else module
    for other, (place, inner) in LATE.items():
        if place == file and inner:  # the function `gradcheck` hides its file of the same name
            globals()[other] = getattr(module, inner)
    globals()[name] = value
    return value
