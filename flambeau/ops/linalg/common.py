"""What the linear-algebra ops share: torch's checks, column-major results, failures of LAPACK.

check_square("linalg.inv", spec)            # RuntimeError: linalg.inv: A must be batches of ...
output = column_major(spec, (*batch, n, n))
linalg_inv.failure = failure("linalg.inv")
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.join import stack
from flambeau.runtime.blas import LETTERS
from flambeau.runtime.matrices import Failure
from flambeau.runtime.plan_block import B_DIFFERENTIABLE

# ---- checks ----------------------------------------------------------------------------------


def tensor_spec(call: Any, value: Any, name: str) -> Spec:
    """The spec of a tensor argument, or torch's TypeError."""
    spec: Spec = call.op.check_tensor(value, name)._spec
    return spec


def check_matrix(name: str, spec: Spec, argument: str = "A") -> None:
    """torch's error for less than two dimensions."""
    if spec.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def check_square(name: str, spec: Spec, argument: str = "A") -> None:
    """torch's errors for what is no square matrix."""
    check_matrix(name, spec, argument)
    rows, columns = spec.shape[-2:]
    if rows != columns:
        text = f"{name}: {argument} must be batches of square matrices, but they are"
        raise RuntimeError(f"{text} {rows} by {columns} matrices")


def check_floating(name: str, spec: Spec, low_precision: bool = True) -> None:
    """torch's errors for dtypes that are no numbers with fractions (or, if asked,
    of few digits).
    """
    dtype = spec.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {dtype.scalar_name}"
        )
    if not low_precision and dtype.name not in LETTERS:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {dtype.scalar_name}")


def check_kernel(kernel: str, spec: Spec) -> None:
    """torch's error for dtypes that LAPACK does not have."""
    if spec.dtype.name not in LETTERS:
        raise errors.not_implemented_for(kernel, spec.dtype.scalar_name)


def check_equation(name: str, a: Spec, b: Spec, left: bool) -> None:
    """Whether matrices a and b fit an equation AX = B or XA = B."""
    check_square(name, a)
    check_matrix(name, b, "B")
    if a.shape[-2] != b.shape[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a.shape[-2]}x{a.shape[-1]} and "
            f"{b.shape[-2]}x{b.shape[-1]})"
        )


def check_same_dtype(name: str, first: str, a: Spec, second: str, b: Spec) -> None:
    """torch's error for operands of different dtypes."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected {first} and {second} to have the same dtype, but found {first} of "
            f"type {a.dtype.scalar_name} and {second} of type {b.dtype.scalar_name} instead"
        )


# ---- results ---------------------------------------------------------------------------------


def column_major(spec: Spec, shape: Sequence[int], dtype: Any = None) -> Spec:
    """The spec of a result whose matrices lie column by column, as LAPACK writes them."""
    *lead, rows, columns = shape
    strides = contiguous_strides((*lead, columns, rows))
    strides = (*strides[:-2], strides[-1], strides[-2])
    return Spec.of(tuple(shape), strides, dtype or spec.dtype, spec.device)


def contiguous(spec: Spec, shape: Sequence[int], dtype: Any = None) -> Spec:
    """The spec of a row-major result."""
    return Spec.of(tuple(shape), None, dtype or spec.dtype, spec.device)


def lies_by_rows(spec: Spec) -> bool:
    """Whether torch factorises the transposed matrix, which lies in LAPACK's order already: it
    shows in the last digit.
    """
    return spec.contiguous and not spec.dtype.is_complex


def real_dtype(spec: Spec) -> Any:
    """The dtype of the absolute values."""
    return dtypes.DTYPES[REAL.get(spec.dtype.name, spec.dtype.name)]


def complex_dtype(spec: Spec) -> Any:
    """The dtype of complex results."""
    return dtypes.DTYPES[COMPLEX.get(spec.dtype.name, spec.dtype.name)]


REAL = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}
COMPLEX = {"float16": "complex32", "float32": "complex64", "float64": "complex128"}


def batch_of(*specs: Spec) -> tuple[int, ...]:
    """The common shape of the batches of several matrices."""
    return tuple(broadcast_shapes(*[spec.shape[:-2] for spec in reversed(specs)]))


def expanded(tensor: Any, batch: Sequence[int]) -> Any:
    """The matrices of `tensor` repeated (without a copy) for every element of the batch."""
    shape = (*batch, *tensor.shape[-2:])
    return tensor if tuple(tensor.shape) == shape else tensor.expand(shape)


def zero(value: Any, like: Any) -> Any:
    """A missing gradient as zeros."""
    return like.new_zeros(tuple(like.shape)) if value is None else value


def from_parts(real: Any, imaginary: Any) -> Any:
    """Complex numbers from two real tensors."""
    return stack.call([real, imaginary], -1).view_as_complex()


def warn_once(text: str) -> None:
    """A warning at the first use of a deprecated function."""
    if text not in warned:
        warned.add(text)
        warnings.warn(text, UserWarning, stacklevel=4)


warned: set[str] = set()


def raise_first(info: Any, explain: Callable[[Any, int], Exception], plan: Any) -> None:
    """The exception of the first matrix whose `info` is not 0."""
    for item, value in enumerate(info.reshape(-1).tolist()):
        if value:
            raise explain(plan, item << 34 | value & 0xFFFFFFFF)


# ---- failures of LAPACK ----------------------------------------------------------------------

MANY_VALUES = (
    "The algorithm failed to converge because the input matrix is ill-conditioned or has too many "
    "repeated {} (error code: {})."
)
CAUSES = {
    "inv": "The diagonal element {} is zero, the inversion could not be completed because the "
    "input matrix is singular.",
    "solve": "The solver failed because the input matrix is singular.",
    "cholesky": "The factorization could not be completed because the input is not "
    "positive-definite (the leading minor of order {} is not positive-definite).",
    "svd": MANY_VALUES.format("singular values", "{}"),
    "eig": MANY_VALUES.format("eigenvalues", "{}"),
    "lstsq": "The least squares solution could not be computed because the input matrix does not "
    "have full rank (error code: {}).",
}
NOT_FINITE = (
    "The algorithm failed to converge because the input matrix contained non-finite values."
)
USE_OF_ZERO = (
    "U[{0},{0}] is zero and using it on lu_solve would result in a division by zero. If you still "
    "want to perform the factorization, consider calling linalg.lu(A, pivot) or "
    "linalg.lu_factor_ex(A, pivot)"
)


def failure(name: str, cause: str) -> Callable[[Any, int], Exception]:
    """What the error flag of an op means, in torch's words;
    `cause` is a key of CAUSES or a text.
    """

    def explain(plan: Any, code: int) -> Exception:
        found = Failure.of(code)
        batched = plan.inputs[0].spec.ndim > 2
        where = f"{name}: (Batch element {found.item}): " if batched else f"{name}: "
        if found.info < 0:
            if cause == "svd":
                return errors.LinAlgError(where + NOT_FINITE)
            return RuntimeError(
                f"{where}Argument {-found.info} has illegal value. Most certainly there is a bug "
                "in the implementation calling the backend library."
            )
        if cause in CAUSES:
            return errors.LinAlgError(where + CAUSES[cause].format(found.info))
        return RuntimeError(where + cause.format(found.info))

    return explain


def not_differentiable(plan: Any, *results: int) -> None:
    """No gradient flows through these results, although they are floating."""
    if plan.gradient is not None:
        for k in results:
            plan.gradient.differentiable &= ~(1 << k)
        plan.words[B_DIFFERENTIABLE] = plan.gradient.differentiable
