"""`gradcheck` and `gradgradcheck`: gradients compared with differences of the function's values.

    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.exp, (x,))
    True

The numerical Jacobian is made of central differences (f(x + eps) - f(x - eps)) / (2 eps), one
element at a time; the analytical one of backward passes from unit vectors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd import grad
from flambeau.autograd.modes import enable_grad, no_grad
from flambeau.runtime.system import engine

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """Raised by `gradcheck` and `gradgradcheck`."""


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value
    return tuple(value) if isinstance(value, list) else (value,)


def _is_differentiable(value: Any) -> bool:
    return isinstance(value, engine.Tensor) and value.requires_grad


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    """The differentiable results of a call."""
    found = _as_tuple(function(*inputs))
    tensors = [x for x in found if isinstance(x, engine.Tensor)]
    return [x for x in tensors if x.is_floating_point() or x.is_complex()]


def _numerical(
    function: Callable[..., Any], inputs: Sequence[Any], which: int, output: int, eps: float
) -> Any:
    """d output / d input as a matrix (elements of the input, elements of the output)."""
    target = inputs[which]
    rows = []
    with no_grad():
        flat = target.detach().view(-1) if target.is_contiguous() else None
        for position in range(target.numel()):
            steps = (eps, eps * 1j) if target.is_complex() else (eps,)
            parts = []
            for step in steps:
                values = []
                for signed in (step, -step):
                    before = _element(target, flat, position)
                    _set_element(target, flat, position, before + signed)
                    values.append(_outputs(function, inputs)[output].detach().clone())
                    _set_element(target, flat, position, before)
                parts.append(((values[0] - values[1]) / (2 * eps)).reshape(-1))
            rows.append(parts)
    return rows


def _element(target: Any, flat: Any, position: int) -> Any:
    return (target.detach().reshape(-1) if flat is None else flat)[position].item()


def _set_element(target: Any, flat: Any, position: int, value: Any) -> None:
    if flat is not None:
        flat[position] = value
        return
    index = []
    for size in reversed(target.shape):
        index.append(position % size)
        position //= size
    target.detach()[tuple(reversed(index))] = value


def _analytical(outputs: Sequence[Any], inputs: Sequence[Any], output: int) -> list[list[Any]]:
    """For each unit cotangent of the output, the gradients of all inputs (zeros where none)."""
    result = outputs[output]
    columns = []
    units = (1.0, 1j) if result.is_complex() else (1.0,)
    for position in range(result.numel()):
        for unit in units:
            cotangent = result.detach().new_zeros(result.numel())
            cotangent[position] = unit
            grads = grad(
                result, inputs, cotangent.view(result.shape), retain_graph=True, allow_unused=True
            )
            columns.append([_checked(g, x) for g, x in zip(grads, inputs, strict=True)])
    return columns


def _checked(found: Any, value: Any) -> Any:
    if found is None:
        return value.detach().new_zeros(value.shape).reshape(-1)
    if found.shape != value.shape:
        raise GradcheckError("grad has a different size than the input")
    return found.detach().reshape(-1)


def _compare_real(
    numerical: Any,
    columns: list[list[Any]],
    which: int,
    place: tuple[int, int],
    atol: float,
    rtol: float,
) -> None:
    """torch's comparison and text for one pair of input and output."""
    n = [parts[0] for parts in numerical]
    matrix = n[0].new_zeros((len(n), n[0].numel())) if n else None
    if matrix is None or not matrix.numel():
        return
    for i, row in enumerate(n):
        matrix[i] = row
    analytical = matrix.new_zeros(matrix.shape)
    for j, grads in enumerate(columns):
        analytical[:, j] = grads[which].to(matrix.dtype)
    if not _close(analytical, matrix, atol, rtol):
        raise GradcheckError(
            f"Jacobian mismatch for output {place[0]} with respect to input {place[1]},\n"
            f"numerical:{matrix}\nanalytical:{analytical}\n"
        )


def _close(a: Any, b: Any, atol: float, rtol: float) -> bool:
    gap = (a - b).abs()
    bound = b.abs() * rtol + atol
    same = (gap <= bound) | ((a != a) & (b != b)) | (a == b)
    return bool(same.all())


def _compare_complex(
    numerical: Any,
    columns: list[list[Any]],
    which: int,
    place: tuple[int, int],
    result: Any,
    atol: float,
    rtol: float,
) -> None:
    """Compares real derivatives of both parts: torch's convention gives conj(d/dRe + i d/dIm)."""
    units = 2 if result.is_complex() else 1
    for position, parts in enumerate(numerical):
        for element in range(result.numel()):
            for unit in range(units):
                value = columns[element * units + unit][which][position].item()
                derivative = [p[element].item() for p in parts]
                seen = [(d.real if unit == 0 else d.imag) if units == 2 else d for d in derivative]
                expected = complex(seen[0], seen[1]) if len(seen) == 2 else complex(seen[0])
                if abs(complex(value) - expected) > atol + rtol * abs(expected):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {place[0]} with respect to input "
                        f"{place[1]},\n"
                        f"numerical:{expected}\nanalytical:{value}\n"
                    )


def _check_inputs(inputs: Sequence[Any]) -> list[int]:
    """Places of the differentiable inputs; torch's error and warning."""
    places = [i for i, x in enumerate(inputs) if _is_differentiable(x)]
    if not places:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of them have requires_grad=True."
        )
    for i in places:
        if inputs[i].dtype.itemsize < (16 if inputs[i].is_complex() else 8):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. "
                "This check will likely fail if all the inputs are not of double precision "
                "floating point or complex. ",
                stacklevel=3,
            )
    return places


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func` at `inputs` agree with differences of its values.

    >>> x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda t: t * t, x)
    True
    """
    for name, asked in (
        ("check_forward_ad", check_forward_ad),
        ("check_batched_grad", check_batched_grad),
        ("check_batched_forward_grad", check_batched_forward_grad),
    ):
        if asked:
            raise NotImplementedError(f"gradcheck({name}=True)")
    values = _as_tuple(inputs)
    places = _check_inputs(values)
    try:
        _check(func, values, places, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    func: Callable[..., Any],
    values: Sequence[Any],
    places: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    """The comparisons, output by output and input by input."""
    outputs = _outputs(func, values)
    chosen = [values[i] for i in places]
    if not outputs:
        return
    for k in range(len(outputs)):
        outputs = _outputs(func, values)  # anew: the differences below change the inputs' memory
        result = outputs[k]
        if not result.requires_grad:
            columns = None
        else:
            columns = _analytical(outputs, chosen, k)
            again = _analytical(_outputs(func, values), chosen, k)
            if any(
                (a - b).abs().max().item() > nondet_tol
                for x, y in zip(columns, again, strict=True)
                for a, b in zip(x, y, strict=True)
                if a.numel()
            ):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and "
                    "grad_output multiple times gives "
                    "different values, although analytical gradient matches numerical gradient."
                    f"The tolerance for nondeterminism was {nondet_tol}."
                )
        for which, place in enumerate(places):
            numerical = _numerical(func, values, place, k, eps)
            if columns is None:
                if any(
                    part.abs().max().item() > atol
                    for parts in numerical
                    for part in parts
                    if part.numel()
                ):
                    raise GradcheckError("Numerical gradient for function expected to be zero")
            elif chosen[which].is_complex() or result.is_complex():
                _compare_complex(numerical, columns, which, (k, place), result, atol, rtol)
            else:
                _compare_real(numerical, columns, which, (k, place), atol, rtol)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradients themselves.

    >>> x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda t: t * t * t, x)
    True
    """
    values = _as_tuple(inputs)
    outputs = _outputs(func, values)
    if grad_outputs is None:
        grads = tuple(_cotangent(y) for y in outputs)
    else:
        grads = _as_tuple(grad_outputs)
    count = len(values)

    def gradients(*arguments: Any) -> tuple[Any, ...]:
        inner, cotangents = arguments[:count], arguments[count:]
        chosen = [x for x in inner if _is_differentiable(x)]
        with enable_grad():  # numerical differences are taken without recording, but of gradients
            results = _outputs(func, inner)
            found = grad(results, chosen, cotangents, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        (*values, *grads),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_batched_grad=check_batched_grad,
    )


def _cotangent(result: Any) -> Any:
    """A fixed cotangent without symmetry: values spread over (0.5, 1.5)."""
    flat = result.detach().new_zeros(result.numel())
    for i in range(result.numel()):
        flat[i] = 0.5 + (i * 0.6180339887498949) % 1
    return flat.view(result.shape).requires_grad_(True)
