"""`gradcheck` and `gradgradcheck`: gradients compared with differences of the function's values.

    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.exp, (x,))
    True

The numerical Jacobian is made of central differences (f(x + eps) - f(x - eps)) / (2 eps), one
element at a time; the analytical one of backward passes from unit vectors. Both are matrices
(elements of the input, elements of the output). Complex outputs are checked as two real ones; the
gradient by a complex input x + iy is d/dx + i d/dy.
"""

from __future__ import annotations

import itertools
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau.autograd.entry import grad
from flambeau.autograd.nodes import Node
from flambeau.core.promotion import promote_types
from flambeau.runtime.system import engine

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
Function = Callable[..., Any]
NONDETERMINISTIC = """

NOTE: If your op relies on non-deterministic operations i.e., it is listed here:
https://pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
this failure might be expected.

If you are adding a new operator, please file an issue and then use one of the
workarounds. The workaround depends on how your test invokes gradcheck/gradgradcheck.
If the test
- manually invokes gradcheck/gradgradcheck, then call gradcheck/gradgradcheck
  with `nondet_tol=<tol>` as a keyword argument.
- is OpInfo-based (e.g., in test_ops_gradients.py), then modify the OpInfo for the test
  to have `gradcheck_nondet_tol=<tol>`.
- is a Module test (e.g., in common_nn.py), then modify the corresponding
  module_test entry to have `gradcheck_nondet_tol=<tol>`
"""
UNDEFINED = (
    'undefined output grads. Please look at "Notes about undefined output gradients" in '
    '"tools/autograd/derivatives.yaml"'
)


class GradcheckError(RuntimeError):
    """What `gradcheck` and `gradgradcheck` raise when gradients are wrong."""


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return value
    return tuple(value) if isinstance(value, list) else (value,)


def _differentiable(values: Any) -> tuple[Any, ...]:
    """The results that need gradients."""
    return tuple(o for o in _as_tuple(values) if o.requires_grad)


def _needing(inputs: Sequence[Any]) -> list[Any]:
    """The inputs by which a function is differentiated."""
    return [x for x in inputs if isinstance(x, engine.Tensor) and x.requires_grad]


# ---- the numerical Jacobian ----------------------------------------------------------------------


def _places(tensor: Any) -> Iterator[tuple[int, ...]]:
    """The indices of all elements."""
    return itertools.product(*[range(size) for size in tensor.shape])


def _values_at(function: Function, data: Any, place: tuple[int, ...], value: Any) -> list[Any]:
    """The function's results with one element set to `value` for the time of the call."""
    before = data[place].item()
    data[place] = value
    try:
        return [o.detach().clone() for o in _as_tuple(function())]
    finally:
        data[place] = before


def _difference(
    function: Function, data: Any, place: tuple[int, ...], step: Any, eps: float
) -> list[Any]:
    """Central differences of all results when one element moves along `step`."""
    middle = data[place].item()
    below = _values_at(function, data, place, middle - step)
    above = _values_at(function, data, place, middle + step)
    for a, b in zip(below, above, strict=True):
        if a.shape != b.shape:
            raise AssertionError(
                "Expected `func` to return outputs with the same shape when inputs are perturbed "
                f"by {eps}, but got: shapes {a.shape} and {b.shape}."
            )
    return [((b - a) / (2 * eps)).reshape(-1) for a, b in zip(below, above, strict=True)]


def _numerical(function: Function, inputs: Sequence[Any], eps: float) -> list[list[Any]]:
    """For each input that needs a gradient, the Jacobian of each result."""

    def call() -> Any:
        return function(*inputs)

    return [_by_input(call, x, eps) for x in _needing(inputs)]


def _by_input(call: Function, x: Any, eps: float) -> list[Any]:
    """The Jacobians of all results by one input."""
    data, rows = x.data, []
    for place in _places(x):
        slopes = _difference(call, data, place, eps, eps)
        if x.is_complex():
            sideways = _difference(call, data, place, eps * 1j, eps)
            slopes = [s.to(x.dtype) + t * 1j for s, t in zip(slopes, sideways, strict=True)]
        rows.append(slopes)
    if not rows:
        return [x.new_zeros((0, o.numel())) for o in _as_tuple(call())]
    stack = engine.functions["stack"]
    return [stack(list(column)) for column in zip(*rows, strict=True)]


# ---- the analytical Jacobian ---------------------------------------------------------------------


def _analytical(inputs: Sequence[Any], output: Any, check_dtypes: bool) -> list[Any]:
    """The Jacobian of one result by each input that needs a gradient."""
    needing = _needing(inputs)
    output = output.clone()
    unit = output.detach().new_zeros(output.shape)
    matrices = [x.new_zeros((x.numel(), output.numel())) for x in needing]
    for column, place in enumerate(_places(output)):
        unit.zero_()
        unit[place] = 1
        grads = grad(output, needing, unit.clone(), retain_graph=True, allow_unused=True)
        for matrix, x, g in zip(matrices, needing, grads, strict=True):
            if g is None:
                continue
            if check_dtypes and g.dtype != x.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            if g.shape != x.shape:
                raise GradcheckError("Analytical gradient has incorrect size")
            matrix[:, column] = g.detach().reshape(-1)
    return matrices


def _analytical_twice(
    inputs: Sequence[Any], output: Any, nondet_tol: float, check_dtypes: bool
) -> list[Any]:
    """The same, computed twice: backward must give the same numbers each time."""
    first = _analytical(inputs, output, check_dtypes)
    again = _analytical(inputs, output, check_dtypes)
    for a, b in zip(first, again, strict=True):
        if a.numel() and (a - b).abs().max().item() > nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches "
                f"numerical gradient.The tolerance for nondeterminism was {nondet_tol}."
                + NONDETERMINISTIC
            )
    return first


# ---- the comparisons -----------------------------------------------------------------------------


class _Check:
    """One gradcheck: the function at its inputs, and the tolerances."""

    def __init__(self, function: Function, inputs: Sequence[Any], options: dict[str, Any]):
        self.function, self.inputs = function, inputs
        self.eps, self.atol, self.rtol = options["eps"], options["atol"], options["rtol"]
        self.nondet_tol, self.dtypes = options["nondet_tol"], options["check_grad_dtypes"]

    def jacobians(self, outputs: Sequence[Any]) -> None:
        """All Jacobians; complex results part by part."""
        kinds = [o.is_complex() for o in outputs]
        if not any(kinds):
            self.compare(self.parts(lambda o: o), "")
            return
        imag, real = engine.functions["imag"], engine.functions["real"]
        text = "While considering the {} part of complex outputs only, "
        imaginary = self.parts(lambda o: imag(o) if o.is_complex() else None)
        self.compare(imaginary, text.format("imaginary"), [i for i, c in enumerate(kinds) if c])
        self.compare(self.parts(lambda o: real(o) if o.is_complex() else o), text.format("real"))

    def parts(self, part: Function) -> Function:
        """The function whose results are parts of the differentiable ones; None leaves one out."""

        def function(*inputs: Any) -> tuple[Any, ...]:
            found = [part(o) for o in _differentiable(self.function(*inputs))]
            return tuple(o for o in found if o is not None)

        return function

    def compare(self, function: Function, prefix: str, numbers: Any = None) -> None:
        """torch's comparison of a function with real results; `numbers`: which results they are."""
        outputs = function(*self.inputs)
        numerical = _numerical(function, self.inputs, self.eps)
        for i, output in enumerate(outputs):
            analytical = _analytical_twice(self.inputs, output, self.nondet_tol, self.dtypes)
            for j, matrix in enumerate(analytical):
                measured = numerical[j][i]
                if not self.close(matrix, measured):
                    number = i if numbers is None else numbers[i]
                    raise GradcheckError(
                        f"{prefix}Jacobian mismatch for output {number} with respect to input {j},"
                        f"\nnumerical:{measured}\nanalytical:{matrix}\n"
                    )

    def close(self, a: Any, b: Any) -> bool:
        """Whether two Jacobians agree within the tolerances."""
        if not a.numel():
            return True
        kind = promote_types(a.dtype, b.dtype)
        allclose = engine.functions["allclose"]
        return bool(allclose(a.to(kind), b.to(kind), self.rtol, self.atol))

    def constant(self) -> None:
        """A function whose results need no gradient must not depend on its inputs."""

        def function(*inputs: Any) -> tuple[Any, ...]:
            return _as_tuple(self.function(*inputs))

        for matrices in _numerical(function, self.inputs, self.eps):
            for matrix in matrices:
                if matrix.numel() and matrix.abs().max().item() > self.atol:
                    raise GradcheckError("Numerical gradient for function expected to be zero")

    def zero_gradients(self, outputs: Sequence[Any]) -> None:
        """Backward of zeros must give zeros of the inputs' shapes and dtypes."""
        needing = _needing(self.inputs)
        zeros = [o.detach().new_zeros(o.shape) for o in outputs]
        grads = grad(outputs, needing, zeros, retain_graph=True, allow_unused=True)
        for g, x in zip(grads, needing, strict=True):
            if g is None:
                continue
            if not (g == 0).all():
                raise GradcheckError("backward not multiplied by grad_output")
            if g.dtype != x.dtype:
                raise GradcheckError("grad is incorrect type")
            if g.device != x.device:
                raise GradcheckError("grad is incorrect device")
            if g.shape != x.shape:
                raise GradcheckError("grad is incorrect size")

    def undefined_gradients(self) -> None:
        """Backward must take missing gradients: all of them, and one at a time."""
        outputs = _differentiable(self.function(*self.inputs))
        cases: list[set[int]] = [set(range(len(outputs)))]
        if len(outputs) > 1:
            cases += [{i} for i in range(len(outputs))]
        for missing in cases:
            outputs = _differentiable(self.function(*self.inputs))
            self.undefined(
                [UndefinedGrad.of(o) if i in missing else o for i, o in enumerate(outputs)]
            )

    def undefined(self, outputs: Sequence[Any]) -> None:
        """One case: zeros for the results whose gradients are not missing."""
        zeros = [o.detach().new_zeros(o.shape) for o in outputs]
        try:
            grads = grad(outputs, _needing(self.inputs), zeros, allow_unused=True)
        except RuntimeError as error:
            _warn_undefined()
            raise GradcheckError(f"Expected backward function to handle {UNDEFINED}") from error
        if any(g is not None and not (g == 0).all() for g in grads):
            _warn_undefined()
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are "
                'undefined or zero. Please look at "Notes about undefined output gradients" in '
                '"tools/autograd/derivatives.yaml"'
            )


class UndefinedGrad(Node):
    """Lets no gradient through: what is below gets None."""

    __slots__ = ()

    @staticmethod
    def of(output: Any) -> Any:
        """The same values behind such a node."""
        twin = output.detach()
        twin._node = UndefinedGrad(None, (output._node,))
        return twin

    def apply(self, grads: list[Any]) -> Any:
        """None."""
        return [None]


def _warn_undefined() -> None:
    warnings.warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by "
        "default, but it may break existing callers of this function. If this is true for you, you "
        'can call this function with "check_undefined_grad=False" to disable the feature',
        stacklevel=2,
    )


def _check_inputs(inputs: Sequence[Any]) -> None:
    """torch's errors and warning for inputs that cannot be checked."""
    found = False
    for i, x in enumerate(inputs):
        if not isinstance(x, engine.Tensor) or not x.requires_grad:
            continue
        found = True
        if x.dtype.itemsize < (16 if x.is_complex() else 8):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=3,
            )
        if any(step == 0 and size > 1 for step, size in zip(x.stride(), x.shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients correctly. "
                "You should call .contiguous on the input before passing it to gradcheck."
            )
    if not found:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )


# ---- the public functions ------------------------------------------------------------------------


def gradcheck(
    func: Function,
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

    The full Jacobians are compared in `fast_mode` too. Batched gradients are loops here and need
    no check of their own; there is no forward mode.

    >>> x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda t: t * t, x)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError(
            "Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_batched_grad and not check_backward_ad:
        raise AssertionError(
            "Setting check_batched_grad=True requires check_backward_ad to be True"
        )
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError(
            "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
        )
    if check_forward_ad:
        raise NotImplementedError("gradcheck(check_forward_ad=True): not supported by Flambeau")
    options = {"eps": eps, "atol": atol, "rtol": rtol, "nondet_tol": nondet_tol}
    try:
        return _run(
            func, inputs, {**options, "check_grad_dtypes": check_grad_dtypes}, check_undefined_grad
        )
    except GradcheckError:
        if raise_exception:
            raise
        return False


def _run(func: Function, inputs: Any, options: dict[str, Any], check_undefined_grad: bool) -> bool:
    """All comparisons."""
    values = _as_tuple(inputs)
    _check_inputs(values)
    check = _Check(func, values, options)
    outputs = _differentiable(func(*values))
    if not outputs:
        check.constant()
        return True
    check.jacobians(outputs)
    check.zero_gradients(outputs)
    if check_undefined_grad:
        check.undefined_gradients()
    return True


def gradgradcheck(
    func: Function,
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
    """`gradcheck` of the gradients themselves, as functions of inputs and incoming gradients.

    >>> x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda t: t * t * t, x)
    True
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    values = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = _differentiable(func(*values))
        weights = tuple(_random_gradient(o, gen_non_contig_grad_outputs) for o in outputs)
    else:
        weights = _as_tuple(grad_outputs)
    count = len(values)

    def slopes(*arguments: Any) -> tuple[Any, ...]:
        outputs = _differentiable(func(*arguments[:count]))
        needing = _needing(arguments[:count])
        grads = grad(outputs, needing, arguments[count:], create_graph=True, allow_unused=True)
        return tuple(g for g in grads if g is not None)

    return gradcheck(
        slopes,
        (*values, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
    )


def _random_gradient(output: Any, scattered: bool) -> Any:
    """An incoming gradient with elements in [-1, 1); scattered: not contiguous."""
    shape = (*output.shape, 2) if scattered else tuple(output.shape)
    values = engine.functions["empty"](shape, dtype=output.dtype)
    parts = engine.functions["view_as_real"](values) if values.is_complex() else values
    parts.uniform_(-1, 1)
    return (values[..., 0] if scattered else values).requires_grad_()


class _Callable(types.ModuleType):
    """This module may be called: torch.autograd.gradcheck is the function, also where an import of
    the module put the module in its place.
    """

    __call__ = staticmethod(gradcheck)


sys.modules[__name__].__class__ = _Callable
