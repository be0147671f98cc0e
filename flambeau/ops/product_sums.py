"""Sums with a matrix product: addmm, baddbmm, addbmm, addmv, addr; and the outer product.

>>> torch.addmv(torch.ones(1), torch.ones(1, 2), torch.ones(2))
tensor([3.])
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.inplace import in_place
from flambeau.core import errors
from flambeau.core.strides import expand_strides
from flambeau.ops.kinds import composite, structured
from flambeau.ops.matmul import check_same_dtype, fill_plan, left_gradient, right_gradient
from flambeau.ops.outputs import same_dtype
from flambeau.ops.registry import engine
from flambeau.runtime import blas


def scaled(value: Any, factor: Any) -> Any:
    """`value * factor`, left alone for the default 1."""
    return value if type(factor) is int and factor == 1 else value * factor


def combine(name: str, input: Any, result: Any, beta: Any, alpha: Any) -> Any:
    """beta * input + alpha * result; beta 0 ignores NaN in the input, as in BLAS."""
    if isinstance(beta, (int, float)) and beta == 0:
        return scaled(result, alpha)
    # torch's errors
    expand_strides(input.shape, input._spec.strides, result.shape, input.dtype.tensor_type)
    return scaled(input, beta) + scaled(result, alpha)


@structured(
    node="AddmmBackward",
    grad={
        "input": lambda g, input_like, beta: scaled(g, beta),
        "mat1": lambda g, mat2, mat1_like, alpha: scaled(left_gradient(g, mat2, mat1_like), alpha),
        "mat2": lambda g, mat1, mat2_like, alpha: scaled(right_gradient(g, mat1, mat2_like), alpha),
    },
)  # fmt: skip
def addmm(call, input, mat1, mat2, *, beta=1, alpha=1):
    """`beta * input + alpha * (mat1 @ mat2)`.

    >>> torch.addmm(torch.ones(1, 1), torch.ones(1, 3), torch.ones(3, 1))
    tensor([[4.]])
    """
    for value, name in ((input, "input"), (mat1, "mat1"), (mat2, "mat2")):
        call.op.check_tensor(value, name)
    a, b, c = mat1._spec, mat2._spec, input._spec
    if a.ndim != 2:
        raise RuntimeError(f"mat1 must be a matrix, got {a.ndim}-D tensor")
    if b.ndim != 2:
        raise RuntimeError(f"mat2 must be a matrix, got {b.ndim}-D tensor")
    if a.shape[1] != b.shape[0]:
        raise errors.matmul_mismatch(a.shape, b.shape)
    check_same_dtype(a, b)
    shape = (a.shape[0], b.shape[1])
    fused = beta == 1 and alpha == 1 and c.dtype is a.dtype and a.dtype.name in blas.LETTERS
    fused = fused and c.shape in ((shape[1],), shape) and (c.strides[-1] == 1 or shape[1] == 1)
    if fused and blas.leading(a.shape, a.strides) and blas.leading(b.shape, b.strides):
        plan = call.plan(("input", "mat1", "mat2"), [a.like(shape)])
        return fill_plan(plan, plan.outputs[0], a, b, True, c.strides[0] if c.ndim == 2 else 0)
    return combine("addmm", input, mat1.mm(mat2), beta, alpha)


@composite
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """`beta * input + alpha * bmm(batch1, batch2)`.

    >>> torch.baddbmm(torch.zeros(1, 1, 1), torch.ones(1, 1, 2), torch.ones(1, 2, 1))
    tensor([[[2.]]])
    """
    return combine("baddbmm", input, batch1.bmm(batch2), beta, alpha)


@composite
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """`beta * input + alpha * bmm(batch1, batch2).sum(0)`.

    >>> torch.addbmm(torch.zeros(1, 1), torch.ones(3, 1, 2), torch.ones(3, 2, 1))
    tensor([[6.]])
    """
    return combine("addbmm", input, batch1.bmm(batch2).sum(0), beta, alpha)


@composite
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """`beta * input + alpha * (mat @ vec)`.

    >>> torch.addmv(torch.ones(1), torch.ones(1, 2), torch.ones(2))
    tensor([3.])
    """
    return combine("addmv", input, mat.mv(vec), beta, alpha)


@composite(aliases=("ger",), methods=("outer", "ger"))
def outer(input, vec2):
    """Every product of an element of `input` with one of `vec2`.

    >>> torch.outer(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    for position, (value, name) in enumerate(((input, "self"), (vec2, "vec2")), start=1):
        if not isinstance(value, engine.Tensor):
            raise errors.argument_type_error(
                "outer", "input" if position == 1 else name, position, "Tensor", value
            )
        if value.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {value.ndim}-D")
    return input.unsqueeze(1) * vec2


@composite
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """`beta * input + alpha * outer(vec1, vec2)`.

    >>> torch.addr(torch.zeros(1, 2), torch.ones(1), torch.ones(2))
    tensor([[1., 1.]])
    """
    return combine("addr", input, vec1.outer(vec2), beta, alpha)


addmm.out_check = same_dtype()

METHODS = [in_place(name) for name in ("addmm", "addmv", "addr", "addbmm", "baddbmm")]
