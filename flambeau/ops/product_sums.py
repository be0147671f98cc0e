"""Sums with a matrix product: addmm, baddbmm, addbmm, addmv, addr; and the outer product.

>>> torch.addmv(torch.ones(1), torch.ones(1, 2), torch.ones(2))
tensor([3.])
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.inplace import in_place
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.core.strides import expand_strides
from flambeau.ops.kinds import Call, composite, structured
from flambeau.ops.matmul import check_same_dtype, left_gradient, right_gradient
from flambeau.ops.outputs import same_dtype
from flambeau.ops.products import takes_init, use_product
from flambeau.ops.registry import engine


def scaled(value: Any, factor: Any) -> Any:
    """`value * factor`, left alone for the default 1."""
    return value if type(factor) is int and factor == 1 else value * factor


def combine(name: str, input: Any, result: Any, beta: Any, alpha: Any) -> Any:
    """beta * input + alpha * result; beta 0 ignores NaN in the input, as in BLAS."""
    if result.dtype.category < 2:
        if name == "addr":
            for factor, label in ((beta, "beta"), (alpha, "alpha")):
                if isinstance(factor, float):
                    raise RuntimeError(
                        f"For integral input tensors, argument {label} must not be a floating "
                        "point number."
                    )
        else:  # torch cuts the factors off
            beta, alpha = (int(x) if isinstance(x, float) else x for x in (beta, alpha))
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
    fused = fused_plan(call, ("input", "mat1", "mat2"), c, a, b, shape, beta, alpha)
    return combine("addmm", input, mat1.mm(mat2), beta, alpha) if fused is None else fused


def fused_plan(
    call: Call, names: tuple[str, ...], c: Spec, a: Spec, b: Spec, shape: tuple[int, ...],
    beta: Any, alpha: Any, seen_as: tuple[int, ...] | None = None,
) -> Any:  # fmt: skip
    """The plan of beta * c + alpha * (a @ b) in one kernel; None where no kernel does that.
    `seen_as` is the result's shape if it is not that of the matrices.
    """
    floating = a.dtype.is_floating_point and c.dtype is a.dtype
    if not floating or not all(type(x) in (int, float) for x in (alpha, beta)) or beta == 0:
        return None
    # torch's errors
    expand_strides(c.shape, c.strides, shape, c.dtype.tensor_type)
    output = a.like(shape)
    if not takes_init(c, output):
        return None
    plan = call.plan(names, [a.like(seen_as or shape)])
    return use_product(plan, a, b, output, c, alpha, beta)


@structured(
    node="BaddbmmBackward",
    grad={
        "input": lambda g, input_like, beta: scaled(g, beta),
        "batch1": lambda g, batch2, alpha: scaled(g.bmm(batch2.mH), alpha),
        "batch2": lambda g, batch1, alpha: scaled(batch1.mH.bmm(g), alpha),
    },
)  # fmt: skip
def baddbmm(call, input, batch1, batch2, *, beta=1, alpha=1):
    """`beta * input + alpha * bmm(batch1, batch2)`.

    >>> torch.baddbmm(torch.zeros(1, 1, 1), torch.ones(1, 1, 2), torch.ones(1, 2, 1))
    tensor([[[2.]]])
    """
    for value, name in ((input, "input"), (batch1, "batch1"), (batch2, "batch2")):
        call.op.check_tensor(value, name)
    a, b, c = batch1._spec, batch2._spec, input._spec
    same = a.dtype is b.dtype and a.ndim == b.ndim == 3 and a.shape[0] == b.shape[0]
    if same and a.shape[2] == b.shape[1]:
        shape, names = (*a.shape[:2], b.shape[2]), ("input", "batch1", "batch2")
        fused = fused_plan(call, names, c, a, b, shape, beta, alpha)
        if fused is not None:
            return fused
    return combine("baddbmm", input, batch1.bmm(batch2), beta, alpha)


@composite
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """`beta * input + alpha * bmm(batch1, batch2).sum(0)`.

    >>> torch.addbmm(torch.zeros(1, 1), torch.ones(3, 1, 2), torch.ones(3, 2, 1))
    tensor([[6.]])
    """
    products = batch1.bmm(batch2)
    return combine("addbmm", input, products.sum(0, dtype=products.dtype), beta, alpha)


@structured(
    node="AddmvBackward",
    grad={
        "input": lambda g, input_like, beta: scaled(g, beta),
        "mat": lambda g, vec, alpha: scaled(g.outer(vec.conj()), alpha),
        "vec": lambda g, mat, alpha: scaled(mat.mH.mv(g), alpha),
    },
)
def addmv(call, input, mat, vec, *, beta=1, alpha=1):
    """`beta * input + alpha * (mat @ vec)`.

    >>> torch.addmv(torch.ones(1), torch.ones(1, 2), torch.ones(2))
    tensor([3.])
    """
    for value, name in ((input, "input"), (mat, "mat"), (vec, "vec")):
        call.op.check_tensor(value, name)
    a, b, c = mat._spec, vec._spec, input._spec
    fits = a.ndim == 2 and b.ndim == 1 and c.ndim < 2 and a.shape[1] == b.shape[0]
    if fits and a.dtype is b.dtype:
        column = Spec.of((*b.shape, 1), (*b.strides, 1), b.dtype, b.device)
        start = Spec.of((*c.shape, 1), (*c.strides, 1), c.dtype, c.device)
        names, shape = ("input", "mat", "vec"), (a.shape[0], 1)
        fused = fused_plan(call, names, start, a, column, shape, beta, alpha, shape[:1])
        if fused is not None:
            return fused
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


@composite(fused=True)
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """`beta * input + alpha * outer(vec1, vec2)`.

    >>> torch.addr(torch.zeros(1, 2), torch.ones(1), torch.ones(2))
    tensor([[1., 1.]])
    """
    kinds = {x.dtype for x in (input, vec1, vec2)}
    simple = vec1.ndim == vec2.ndim == 1 and input.ndim <= 2 and len(kinds) == 1
    if simple and type(beta) is int and beta == 1 and input.dtype.is_floating_point:
        shape = (*vec1.shape, *vec2.shape)
        # torch's errors
        expand_strides(input.shape, input._spec.strides, shape, input.dtype.tensor_type)
        return input.addcmul(vec1.unsqueeze(1), vec2, value=alpha)
    return combine("addr", input, vec1.outer(vec2), beta, alpha)


addmm.out_check = same_dtype()

METHODS = [in_place(name) for name in ("addmm", "addmv", "addr", "addbmm", "baddbmm")]
