"""`torch.autograd.functional`: Jacobians, Hessians and their products with vectors.

    >>> torch.autograd.functional.jacobian(torch.exp, torch.tensor([0.0, 1.0]))
    tensor([[1.0000, 0.0000],
            [0.0000, 2.7183]])

Jacobian-vector products come from two backward passes: v -> J^T v is linear, and its derivative by
v is J.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd import grad
from flambeau.autograd.modes import enable_grad
from flambeau.ops.join import stack
from flambeau.runtime.system import engine

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _as_tuple(value: Any, name: str, function: str) -> tuple[bool, tuple[Any, ...]]:
    """(whether it was a tuple, the tensors); torch's errors."""
    values = value if isinstance(value, tuple) else (value,)
    for i, item in enumerate(values):
        if not isinstance(item, engine.Tensor):
            if isinstance(value, tuple):
                raise TypeError(
                    f"The {name} given to {function} must be either a Tensor or a tuple of "
                    f"Tensors but the value at index {i} has "
                    f"type {type(item)}."
                )
            raise TypeError(
                f"The {name} given to {function} must be either a Tensor or a tuple of Tensors "
                f"but the given {name} has type {type(item)}."
            )
    return isinstance(value, tuple), values


def _prepared(inputs: Sequence[Any], create_graph: bool) -> tuple[Any, ...]:
    """Inputs to differentiate by: views of the user's where their graph is wanted,
    else fresh leaves.
    """
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs
        )
    return tuple(x.detach().requires_grad_() for x in inputs)


def _finished(values: Any, create_graph: bool) -> Any:
    """Results without a graph unless it is wanted."""
    if isinstance(values, tuple):
        return tuple(_finished(v, create_graph) for v in values)
    return values if create_graph else values.detach()


def _unpacked(values: tuple[Any, ...], many: bool) -> Any:
    return values if many else values[0]


def _grads(
    outputs: Sequence[Any], inputs: Sequence[Any], cotangents: Any, create: bool, strict: str | None
) -> tuple[Any, ...]:
    """Gradients with zeros where an input was not used; torch's errors in strict mode."""
    live = [
        (y, None if cotangents is None else v)
        for y, v in zip(outputs, cotangents or outputs, strict=True)
        if y.requires_grad
    ]
    if not live:
        if strict:
            raise RuntimeError(
                "Output 0 of the user-provided function does not require gradients. "
                "The outputs must be computed in a differentiable "
                "manner from the input when running in strict mode."
            )
        return tuple(x.new_zeros(x.shape) for x in inputs)
    found = grad(
        [y for y, _ in live],
        inputs,
        None if cotangents is None else [v for _, v in live],
        create_graph=create,
        retain_graph=True,
        allow_unused=True,
    )
    for i, g in enumerate(found):
        if strict and g is None:
            raise RuntimeError(
                f"Output 0 of the user-provided function is independent of input {i}. "
                "This is not allowed in strict mode."
            )
    return tuple(
        x.new_zeros(x.shape) if g is None else g for g, x in zip(found, inputs, strict=True)
    )


def _vectors(v: Any, like: Sequence[Any], what: str, function: str) -> tuple[Any, ...]:
    """The vector argument, checked against what it multiplies."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                (
                    f"The vector v can only be None if the {what} is a single Tensor with a single "
                    "element."
                )
                if what == "input"
                else (
                    "The vector v can only be None if the user-provided function returns a "
                    "single Tensor with a single element."
                )
            )
        return (like[0].detach().new_ones(like[0].shape),)
    _, values = _as_tuple(v, "v", function)
    if len(values) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(values)}."
        )
    for i, (a, b) in enumerate(zip(values, like, strict=True)):
        if a.shape != b.shape:
            where = f"Entry {i} in v" if len(values) > 1 else "v"
            raise RuntimeError(f"{where} has invalid size: should be {b.shape} but got {a.shape}.")
    return values


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(func(inputs), v^T J).

    >>> torch.autograd.functional.vjp(torch.exp, torch.tensor([0.0]), torch.tensor([2.0]))
    (tensor([1.]), tensor([2.]))
    """
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "vjp")
        values = _prepared(values, create_graph)
        many_out, outputs = _as_tuple(func(*values), "outputs of the user-provided function", "vjp")
        vectors = _vectors(v, outputs, "output", "vjp")
        found = _grads(outputs, values, vectors, create_graph, "vjp" if strict else None)
    return _finished(_unpacked(outputs, many_out), create_graph), _finished(
        _unpacked(found, many), create_graph
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(func(inputs), J v).

    >>> torch.autograd.functional.jvp(torch.exp, torch.tensor([0.0]), torch.tensor([2.0]))
    (tensor([1.]), tensor([2.]))
    """
    with enable_grad():
        _, values = _as_tuple(inputs, "inputs", "jvp")
        vectors = _vectors(v, values, "input", "jvp")
        values = _prepared(values, create_graph)
        many_out, outputs = _as_tuple(func(*values), "outputs of the user-provided function", "jvp")
        cotangents = tuple(y.detach().new_zeros(y.shape).requires_grad_() for y in outputs)
        transposed = _grads(outputs, values, cotangents, True, "jvp" if strict else None)
        found = _grads(transposed, cotangents, vectors, create_graph, None)
    return _finished(_unpacked(outputs, many_out), create_graph), _finished(
        _unpacked(found, many_out), create_graph
    )


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """d outputs / d inputs: for each output and input a tensor of shape (*output, *input).

    >>> torch.autograd.functional.jacobian(torch.exp, torch.tensor([0.0]))
    tensor([[1.]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: '
            'If your function has more outputs than inputs, "forward-mode" tends to be more '
            'performant. Otherwise, prefer to use "reverse-mode".'
        )
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "jacobian")
        values = _prepared(values, create_graph)
        many_out, outputs = _as_tuple(
            func(*values), "outputs of the user-provided function", "jacobian"
        )
        rows = []
        for output in outputs:
            flat = output.reshape(-1)
            columns: list[list[Any]] = [[] for _ in values]
            for position in range(flat.numel()):
                found = _grads(
                    [flat[position]], values, None, create_graph, "jacobian" if strict else None
                )
                for column, g in zip(columns, found, strict=True):
                    column.append(g)
            rows.append(
                tuple(
                    _stacked(column, output, x) for column, x in zip(columns, values, strict=True)
                )
            )
        result = tuple(_unpacked(row, many) for row in rows)
    return _finished(_unpacked(result, many_out), create_graph)


def _stacked(columns: list[Any], output: Any, x: Any) -> Any:
    """Gradients of all elements as one tensor of shape (*output, *input)."""
    shape = (*output.shape, *x.shape)
    if not columns:
        return x.new_zeros(shape)
    return stack.call(columns).view(shape)


def _scalar(func: Callable[..., Any], values: Sequence[Any], function: str) -> Any:
    """The single value of a function; torch's errors."""
    many, outputs = _as_tuple(func(*values), "outputs of the user-provided function", function)
    if many:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {function} should contain a "
            "single element"
        )
    return outputs[0].reshape(())


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Second derivatives of a function with one value.

    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    many, values = _as_tuple(inputs, "inputs", "hessian")

    def gradients(*arguments: Any) -> Any:
        value = _scalar(func, arguments, "hessian")
        found = _grads([value], arguments, None, True, "hessian" if strict else None)
        return found if many else found[0]

    return jacobian(gradients, inputs, create_graph, False)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(func(inputs), Hessian v).

    >>> x, v = torch.tensor([1.0]), torch.tensor([1.0])
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), x, v)
    (tensor(1.), tensor([6.]))
    """
    return _second_product(func, inputs, v, create_graph, strict, "hvp")


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """(func(inputs), v^T Hessian): one more backward pass.

    >>> x, v = torch.tensor([1.0]), torch.tensor([1.0])
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), x, v)
    (tensor(1.), tensor([6.]))
    """
    return _second_product(func, inputs, v, create_graph, strict, "vhp")


def _second_product(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, name: str
) -> Any:
    """The Hessian is symmetric, so both products are the derivative of <gradient, v>."""
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", name)
        vectors = _vectors(v, values, "input", name)
        values = _prepared(values, create_graph)
        value = _scalar(func, values, name)
        first = _grads([value], values, None, True, name if strict else None)
        found = _grads(first, values, vectors, create_graph, None)
    return _finished(value, create_graph), _finished(_unpacked(found, many), create_graph)
