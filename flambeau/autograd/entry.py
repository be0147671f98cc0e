"""`backward` and `grad`: checks of the arguments, first gradients, then the pass (autograd.engine).

>>> x = torch.tensor(2.0, requires_grad=True)
>>> torch.autograd.grad(x ** 3, x)
(tensor(12.),)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from flambeau.autograd.engine import run
from flambeau.autograd.nodes import AccumulateGrad, edge_to
from flambeau.core import errors
from flambeau.ops.creation_arguments import unit
from flambeau.runtime.system import engine

_warned = {"create_graph": False}


def sequence(value: Any) -> list[Any]:
    """A tensor, edge or sequence of them as a list; a GradientEdge is a tuple itself."""
    return (
        [value] if isinstance(value, engine.Tensor) or hasattr(value, "output_nr") else list(value)
    )


def edge_of(place: Any) -> Any:
    """The graph place of a root or an input: a tensor or a GradientEdge."""
    if isinstance(place, engine.Tensor):
        return place._node
    if hasattr(place, "output_nr"):
        return edge_to(place.node, place.output_nr)
    raise TypeError(f"expected Tensor or GradientEdge, but got {errors.type_name(place)}")


def first_gradient(output: Any, grad: Any, position: int) -> Any:
    """The gradient of a root: as given, or a one for scalars; torch's errors otherwise."""
    if not isinstance(output, engine.Tensor):
        if grad is None:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return grad
    if grad is None:
        if output._node is None:
            raise errors.no_gradient(position)
        if output._spec.numel != 1:
            raise errors.scalar_outputs_only(output.shape)
        if not output._spec.dtype.is_floating_point:
            raise RuntimeError(
                "grad can be implicitly created only for real scalar outputs but got "
                f"{output.dtype}"
            )
        return unit.call(output)
    if not isinstance(grad, engine.Tensor):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(grad).__name__}")
    if grad.shape != output.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{position}] has a shape of {grad.shape} and "
            f"output[{position}] has a shape of {output.shape}."
        )
    if grad.dtype.is_complex != output.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same "
            f"dtype. Mismatch in dtype: grad_output[{position}] has a dtype of {grad.dtype} and "
            f"output[{position}] has a dtype of {output.dtype}."
        )
    return grad if grad.dtype is output.dtype else grad.to(output.dtype)


def roots_of(outputs: Sequence[Any], grads: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The edges where a pass begins, and the gradients there."""
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    firsts = [
        first_gradient(*pair, position)
        for position, pair in enumerate(zip(outputs, grads, strict=True))
    ]
    edges = [edge_of(output) for output in outputs]
    if None in edges:
        raise errors.no_gradient(edges.index(None))
    return edges, firsts


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
    if grad_variables is not None:
        warnings.warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.",
            FutureWarning,
            stacklevel=2,
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    outputs = sequence(tensors)
    grads = [None] * len(outputs) if grad_tensors is None else sequence(grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    edges = None if inputs is None else [retained_edge(each) for each in chosen(inputs)]
    if create_graph and not _warned["create_graph"]:
        _warned["create_graph"] = True
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient which can cause a memory leak. We recommend using "
            "autograd.grad when creating the graph to avoid this. If you have to use this "
            "function, make sure to reset the .grad fields of your parameters to None after use "
            "to break the cycle and avoid the leak.",
            UserWarning,
            stacklevel=3,
        )
    run(*roots_of(outputs, grads), keep, create_graph, edges)


def backward_of(
    tensor: Any, gradient: Any, retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    """`tensor.backward(...)`: the plain case without detours."""
    if gradient is None and not create_graph and inputs is None:
        edge = tensor._node
        grads = [first_gradient(tensor, None, 0)]
        if edge is None:
            raise errors.no_gradient(0)
        run([edge], grads, bool(retain_graph))
    else:
        backward(tensor, gradient, retain_graph, create_graph, inputs=inputs)


def chosen(inputs: Any) -> list[Any]:
    """The `inputs` of backward."""
    found = sequence(inputs)
    if not found:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    return found


def retained_edge(place: Any) -> Any:
    """The edge of an input of backward, which keeps the gradient that arrives there."""
    edge = edge_of(place)
    if isinstance(place, engine.Tensor) and type(edge) is not AccumulateGrad:
        place.retain_grad()
    return edge


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
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use "
            "torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    roots, places = sequence(outputs), sequence(inputs)
    grads = [None] * len(roots) if grad_outputs is None else sequence(grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        found = batched(roots, places, grads, keep, create_graph)
    else:
        found = gradients_at(places, roots_of(roots, grads), keep, create_graph)
    for position, gradient in enumerate(found):
        if gradient is None and not (allow_unused or materialize_grads):
            raise RuntimeError(
                f"The differentiated Tensor at index {position} appears to not have been used in "
                "the graph. Set allow_unused=True if this is the desired behavior."
            )
    if materialize_grads:
        found = [
            p.new_zeros(p.shape) if g is None else g for g, p in zip(found, places, strict=True)
        ]
    return tuple(found)


def gradients_at(
    places: Sequence[Any], roots: tuple[list[Any], list[Any]], keep: bool, create: bool
) -> list[Any]:
    """The gradients that arrive at tensors or edges."""
    if not places:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    edges = [edge_of(place) for place in places]
    if any(edge is None for edge in edges):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return run(*roots, keep, create, edges, accumulate=False)


def batched(
    roots: Sequence[Any], places: Sequence[Any], grads: Sequence[Any], keep: bool, create: bool
) -> list[Any]:
    """One pass for each entry of the gradients' first dimension; the results stacked."""
    sizes = {g.shape[0] for g in grads if g is not None}
    if len(sizes) != 1:
        raise RuntimeError(
            "is_grads_batched=True needs grad_outputs with one common first size, but got "
            f"{sorted(sizes)}"
        )
    (size,) = sizes
    rows = []
    for i in range(size):
        row = [None if g is None else g[i] for g in grads]
        rows.append(gradients_at(places, roots_of(roots, row), keep or i + 1 < size, create))
    stack = engine.functions["stack"]
    return [None if column[0] is None else stack(column) for column in zip(*rows, strict=True)]


engine.backward_of = backward_of
