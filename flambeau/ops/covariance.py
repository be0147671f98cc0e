"""cov and corrcoef of variables in rows, and the trace of a matrix.

>>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
tensor([[ 1., -1.],
        [-1.,  1.]])
"""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.monoids import sum_of
from flambeau.codegen.reduce import plan_reduction
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.kinds import composite, compute_name, structured
from flambeau.ops.ranges import eye
from flambeau.ops.registry import OPS, is_tensor


def check_weights(name: str, weights: Any, count: int, floating: bool) -> None:
    """torch's errors for fweights and aweights."""
    if weights.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{weights.ndim} dimensions"
        )
    if weights.dtype.category != (2 if floating else 1):
        kind = "floating point" if floating else "integral"
        raise RuntimeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with "
            f"{weights.dtype.scalar_name} dtype"
        )
    if weights.numel() != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input "
            f"but got {weights.numel()} != {count}"
        )
    if count and weights.min().item() < 0:
        raise RuntimeError(f"cov(): {name} cannot be negative")


@composite
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables in rows, observations in columns; frequencies and weights
    of the observations.

    >>> torch.cov(torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    if not is_tensor(input):
        raise errors.argument_type_error("cov", "input", 1, "Tensor", input)
    if input.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    count = x.shape[1]
    weights = None
    if fweights is not None:
        check_weights("fweights", fweights, count, False)
        weights = fweights
    if aweights is not None:
        check_weights("aweights", aweights, count, True)
        weights = aweights if weights is None else weights * aweights
    total: Any = count
    if weights is not None:
        total = weights.sum()
        if not total.item():
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = (x if weights is None else x * weights).sum(1) / total
    divisor = total - correction
    if aweights is not None and correction != 0:
        divisor = total - correction * (weights * aweights).sum() / total
    if (divisor.item() if is_tensor(divisor) else divisor) <= 0:
        warnings.warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "number of observations.",
            UserWarning,
            stacklevel=2,
        )
        divisor = divisor * 0
    x = x - mean.unsqueeze(1)
    product = x.mm((x if weights is None else x * weights).t().conj())
    return (product / divisor).squeeze()


@composite
def corrcoef(input: Any) -> Any:
    """The matrix of correlation coefficients of variables in rows.

    >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if not is_tensor(input):
        raise errors.argument_type_error("corrcoef", "input", 1, "Tensor", input)
    if input.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    matrix = cov.call(input)
    if matrix.ndim == 0:
        return matrix / matrix
    spread = matrix.diagonal()
    spread = (spread.real if matrix.dtype.is_complex else spread).sqrt()
    matrix = matrix / spread.view(-1, 1) / spread.view(1, -1)
    if matrix.dtype.is_complex:
        parts = OPS["stack"].call([matrix.real.clip(-1, 1), matrix.imag.clip(-1, 1)], -1)
        return OPS["view_as_complex"].call(parts)
    return matrix.clip(-1, 1)


@structured(grad=lambda g, input_like: g * eye(*input_like.shape, dtype=g.dtype))
def trace(call, input):
    """The sum of the diagonal of a matrix.

    >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    spec = call.op.check_tensor(input, "input")._spec
    if spec.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {spec.ndim}")
    if spec.dtype is dtypes.bool_:
        raise errors.not_implemented_for("trace", "Bool")
    out = Spec.of((), None, dtypes.int64 if spec.dtype.category == 1 else spec.dtype, spec.device)
    compute, step = compute_name(out.dtype), (spec.strides[0] + spec.strides[1]) * spec.itemsize
    loops = plan_reduction(
        sum_of(compute, compute),
        (Expr.input(0, spec.dtype.name).to(compute),),
        (spec.dtype.name,),
        (out.dtype.name,),
        [],
        [min(spec.shape)],
        [[]],
        [[step]],
        [[]],
    )
    return call.plan(["input"], [out]).use_kernel(loops)
