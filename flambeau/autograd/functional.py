"""`torch.autograd.functional`: Jacobians, Hessians and their products with vectors.

    >>> torch.autograd.functional.jacobian(torch.exp, torch.tensor([0.0, 1.0]))
    tensor([[1.0000, 0.0000],
            [0.0000, 2.7183]])

J v comes from two backward passes: v -> v^T J is linear in v, and its derivative by v is J. Just so
H v from one more pass. In strict mode a result that cannot depend on an input is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.entry import grad
from flambeau.autograd.modes import enable_grad
from flambeau.runtime.system import engine

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
Function = Callable[..., Any]
STRICT = "This is not allowed in strict mode"
OUTPUTS = "outputs of the user-provided function"


# ---- tuples of tensors ---------------------------------------------------------------------------


def _as_tuple(value: Any, name: str, function: str) -> tuple[bool, tuple[Any, ...]]:
    """(whether it was a tuple, the tensors); torch's errors."""
    many = isinstance(value, tuple)
    values = value if many else (value,)
    for i, item in enumerate(values):
        if not isinstance(item, engine.Tensor):
            which = f"value at index {i}" if many else f"given {name}"
            raise TypeError(
                f"The {name} given to {function} must be either a Tensor or a tuple of Tensors "
                f"but the {which} has type {type(item)}."
            )
    return many, values


def _prepared(inputs: Sequence[Any], create_graph: bool) -> tuple[Any, ...]:
    """Inputs to differentiate by: views of the user's where their graph is wanted, else leaves."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
        for x in inputs
    )


def _finished(values: Any, create_graph: bool) -> Any:
    """Results without a graph unless it is wanted."""
    if isinstance(values, tuple):
        return tuple(_finished(v, create_graph) for v in values)
    return values if create_graph else values.detach()


def _unpacked(values: tuple[Any, ...], many: bool) -> Any:
    return values if many else values[0]


def _vectors(v: Any, like: Sequence[Any], many: bool, function: str, missing: str) -> Any:
    """The vector argument, checked against what it multiplies; ones for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if {missing}")
        return (like[0].detach().new_ones(like[0].shape),)
    _, values = _as_tuple(v, "v", function)
    if len(values) != len(like):
        if many:
            raise RuntimeError(
                f"v is a tuple of invalid length: should be {len(like)} but got {len(values)}."
            )
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (a, b) in enumerate(zip(values, like, strict=True)):
        if a.shape != b.shape:
            entry = f"Entry {i} in " if many else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")
    return values


NO_INPUT_VECTOR = (
    "the input to the user-provided function is a single Tensor with a single element."
)
NO_OUTPUT_VECTOR = "the user-provided function returns a single Tensor with a single element."


# ---- what strict mode asks for -------------------------------------------------------------------

CONSTANT = {
    "outputs": (
        "Output {} of the user-provided function does not require gradients. The outputs must be "
        "computed in a differentiable manner from the input when running in strict mode."
    ),
    "grad_inputs": (
        "The gradient with respect to input {} is independent of the inputs of the user-provided "
        f"function. {STRICT}."
    ),
    "jacobian": (
        "While computing the hessian, found that the jacobian of the user-provided function with "
        f"respect to input {{}} is independent of the input. {STRICT}. You should ensure that your "
        "function is twice differentiable and that the jacobian depends on the inputs (this would "
        "be violated by a linear function for example)."
    ),
    "hessian": (
        "The hessian of the user-provided function with respect to input {} is independent of the "
        f"input. {STRICT}. You should ensure that your function is thrice differentiable and that "
        "the hessian depends on the inputs."
    ),
}
MISSING = {
    "back": f"The output of the user-provided function is independent of input {{}}. {STRICT}.",
    "back_trick": (
        "The gradient with respect to the input is independent of entry {} in the grad_outputs when"
        f" using the double backward trick to compute forward mode gradients. {STRICT}."
    ),
    "double_back": (
        f"The jacobian of the user-provided function is independent of input {{}}. {STRICT}."
    ),
    "double_back_trick": (
        "The hessian of the user-provided function is independent of entry {} in the grad_jacobian."
        f" {STRICT} as it prevents from using the double backward trick to replace forward mode AD."
    ),
}
FLAT = (
    "The {} of the user-provided function is independent of input {}. "
    f"{STRICT} when create_graph=True."
)


def _check_varying(values: Sequence[Any], what: str, strict: bool) -> None:
    """In strict mode: all values are there and depend on something."""
    for i, value in enumerate(values):
        if strict and value is None:
            raise RuntimeError(MISSING["back"].format(i))
        if strict and not value.requires_grad:
            raise RuntimeError(CONSTANT[what].format(i))


def _gradients(
    outputs: Sequence[Any], inputs: Sequence[Any], vectors: Any, create: bool
) -> tuple[Any, ...]:
    """Gradients, None where an output does not lead to an input."""
    weights = [None] * len(outputs) if vectors is None else vectors
    live = [(y, v) for y, v in zip(outputs, weights, strict=True) if y is not None]
    live = [(y, v) for y, v in live if y.requires_grad]
    if not live:
        return (None,) * len(inputs)
    roots, cotangents = [y for y, _ in live], [v for _, v in live]
    return grad(roots, inputs, cotangents, True, create_graph=create, allow_unused=True)


def _filled(
    grads: Sequence[Any], like: Sequence[Any], strict: bool, create: bool, stage: str
) -> tuple[Any, ...]:
    """Zeros where there is no gradient; in strict mode an error."""
    found = []
    for i, (g, x) in enumerate(zip(grads, like, strict=True)):
        if g is None and strict:
            raise RuntimeError(MISSING[stage].format(i))
        if strict and create and not g.requires_grad and not stage.endswith("trick"):
            raise RuntimeError(FLAT.format("jacobian" if stage == "back" else "hessian", i))
        found.append(x.new_zeros(x.shape) if g is None else g)
    return tuple(found)


# ---- first derivatives ---------------------------------------------------------------------------


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), v^T J).

    >>> torch.autograd.functional.vjp(torch.exp, torch.tensor([0.0]), torch.tensor([2.0]))
    (tensor([1.]), tensor([2.]))
    """
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "vjp")
        values = _prepared(values, create_graph)
        many_out, outputs = _as_tuple(func(*values), OUTPUTS, "vjp")
        _check_varying(outputs, "outputs", strict)
        vectors = _vectors(v, outputs, many_out, "vjp", NO_OUTPUT_VECTOR)
        grads = _gradients(outputs, values, vectors, create_graph)
        found = _filled(grads, values, strict, create_graph, "back")
    results = _unpacked(outputs, many_out), _unpacked(found, many)
    return _finished(results, create_graph)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), J v).

    >>> torch.autograd.functional.jvp(torch.exp, torch.tensor([0.0]), torch.tensor([2.0]))
    (tensor([1.]), tensor([2.]))
    """
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "jvp")
        values = _prepared(values, create_graph)
        vectors = _vectors(v, values, many, "jvp", NO_INPUT_VECTOR)
        many_out, outputs = _as_tuple(func(*values), OUTPUTS, "jvp")
        _check_varying(outputs, "outputs", strict)
        cotangents = tuple(y.new_zeros(y.shape).requires_grad_() for y in outputs)
        transposed = _gradients(outputs, values, cotangents, True)
        _check_varying(transposed, "grad_inputs", strict)
        grads = _gradients(transposed, cotangents, vectors, create_graph)
        found = _filled(grads, outputs, strict, create_graph, "back_trick")
    results = _unpacked(outputs, many_out), _unpacked(found, many_out)
    return _finished(results, create_graph)


def _check_strategy(strategy: str, create_graph: bool, strict: bool, vectorize: bool) -> None:
    """torch's errors for wishes that do not go together."""
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            "torch.autograd.functional.jacobian: `create_graph=True` and "
            '`strategy="forward-mode"` are not supported together (yet). Please either set '
            '`create_graph=False` or `strategy="reverse-mode"`.'
        )
    if strategy == "forward-mode" and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` "
            'and `strategy="forward-mode"` are not supported together (yet). '
            "Please either set `strict=False` or "
            '`strategy="reverse-mode"`.'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is"
            "only implemented for `vectorize=True`."
        )
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`."
        )


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """d outputs / d inputs: for each output and input a tensor of shape (*output, *input).

    Every strategy gives the same numbers here: one backward pass for each element of the outputs.

    >>> torch.autograd.functional.jacobian(torch.exp, torch.tensor([0.0]))
    tensor([[1.]])
    """
    _check_strategy(strategy, create_graph, strict, vectorize)
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "jacobian")
        values = _prepared(values, create_graph)
        many_out, outputs = _as_tuple(func(*values), OUTPUTS, "jacobian")
        _check_varying(outputs, "outputs", strict)
        rows = [
            _unpacked(_rows_of(i, output, values, create_graph, strict), many)
            for i, output in enumerate(outputs)
        ]
    return _finished(_unpacked(tuple(rows), many_out), create_graph)


def _rows_of(
    position: int, output: Any, inputs: Sequence[Any], create: bool, strict: bool
) -> tuple[Any, ...]:
    """The Jacobians of one output by all inputs."""
    columns: list[list[Any]] = [[] for _ in inputs]
    for element in output.reshape(-1):
        grads = _gradients([element], inputs, None, create)
        for i, (column, g, x) in enumerate(zip(columns, grads, inputs, strict=True)):
            if strict and g is None:
                raise RuntimeError(
                    f"Output {position} of the user-provided function is independent of input {i}. "
                    f"{STRICT}."
                )
            if strict and create and not g.requires_grad:
                raise RuntimeError(FLAT.format("jacobian", position))
            column.append(x.new_zeros(x.shape) if g is None else g)
    stack = engine.functions["stack"]
    shapes = [(*output.shape, *x.shape) for x in inputs]
    return tuple(
        stack(column, 0).view(shape) if column else x.new_zeros(shape)
        for column, shape, x in zip(columns, shapes, inputs, strict=True)
    )


# ---- second derivatives --------------------------------------------------------------------------


def _single_value(func: Function, values: Sequence[Any], function: str, strict: bool) -> Any:
    """The value of a function, which must be one number; torch's errors."""
    many, outputs = _as_tuple(func(*values), OUTPUTS, function)
    _check_varying(outputs, "outputs", strict)
    if many:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {function} should contain a single "
            "element"
        )
    return outputs[0]


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Second derivatives of a function with one value.

    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    many, _ = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def slope(*values: Any) -> Any:
        value = _single_value(func, values, "hessian", strict).reshape(())
        grads = _gradients([value], values, None, True)
        found = tuple(x.new_zeros(x.shape) if g is None else g for g, x in zip(grads, values))
        _check_varying(found, "jacobian", strict)
        return found if many else found[0]

    return jacobian(slope, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), H v).

    >>> x, v = torch.tensor([1.0]), torch.tensor([1.0])
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), x, v)
    (tensor(1.), tensor([6.]))
    """
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "hvp")
        values = _prepared(values, create_graph)
        vectors = _vectors(v, values, many, "hvp", NO_INPUT_VECTOR)
        value = _single_value(func, values, "hvp", strict)
        slope = _gradients([value], values, None, True)
        _check_varying(slope, "jacobian", strict)
        cotangents = tuple(x.new_zeros(x.shape).requires_grad_() for x in values)
        transposed = _gradients(slope, values, cotangents, True)
        _check_varying(transposed, "hessian", strict)
        grads = _gradients(transposed, cotangents, vectors, create_graph)
        found = _filled(grads, values, strict, create_graph, "double_back_trick")
    return _finished((value, _unpacked(found, many)), create_graph)


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> Any:
    """(func(inputs), v^T H): one pass less than `hvp`.

    >>> x, v = torch.tensor([1.0]), torch.tensor([1.0])
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), x, v)
    (tensor(1.), tensor([6.]))
    """
    with enable_grad():
        many, values = _as_tuple(inputs, "inputs", "vhp")
        values = _prepared(values, create_graph)
        vectors = _vectors(v, values, many, "vhp", NO_INPUT_VECTOR)
        value = _single_value(func, values, "vhp", strict)
        slope = _gradients([value], values, None, True)
        _check_varying(slope, "jacobian", strict)
        grads = _gradients(slope, values, vectors, create_graph)
        found = _filled(grads, values, strict, create_graph, "double_back")
    return _finished((value, _unpacked(found, many)), create_graph)
