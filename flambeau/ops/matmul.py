"""Matrix products: mm, bmm, mv, dot, linear, matmul and their relatives.

`matmul` chooses by the ranks of its operands and answers with the plan of mm, mv, dot or bmm, so
`a @ b` costs one native call; operands with any strides are read where they are (ops.products).
Sums with a product (addmm ...) are in ops.product_sums.

    >>> torch.matmul(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [3., 4.]])
"""

from __future__ import annotations

from typing import Any

from flambeau.codegen import monoids
from flambeau.codegen.expr import Expr
from flambeau.codegen.reduce import plan_reduction
from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.core.strides import expand_strides
from flambeau.ops.kinds import Call, composite, structured
from flambeau.ops.outputs import same_dtype
from flambeau.ops.products import prepared, use_product
from flambeau.ops.registry import engine


def check_same_dtype(a: Spec, b: Spec) -> None:
    """torch's error for operands of different dtypes."""
    if a.dtype is not b.dtype:
        raise errors.same_dtype_matmul(a.dtype.c_name, b.dtype.c_name)
    if a.dtype.name == "bool":
        raise errors.not_implemented_for("addmm_impl_cpu_", "Bool")


def planned(call: Call, names: tuple[str, ...], a: Spec, b: Spec, c: Spec, output: Spec) -> Any:
    """The plan of c = a @ b, where `output` is how the result is seen; complex operands that
    OpenBLAS cannot read are copied first.
    """
    plan = use_product(call.plan(names, [output]), a, b, c)
    if plan is not None:
        return plan
    tensors = prepared(*(call.arguments[name] for name in names))
    return call.op.call(*tensors)


def by_columns(spec: Spec) -> bool:
    """Whether a matrix lies in memory column by column, as the transpose of a weight does."""
    return spec.strides[0] == 1 and spec.strides[1] == spec.shape[0]


def left_gradient(g: Any, mat2: Any, like: Spec) -> Any:
    """The gradient of the left factor, in that factor's own layout."""
    return mat2.conj().mm(g.t()).t() if by_columns(like) else g.mm(mat2.mH)


def right_gradient(g: Any, mat1: Any, like: Spec) -> Any:
    """The gradient of the right factor, in that factor's own layout: then that of `w` in
    `x @ w.t()` lies as `w` does, and the leaf takes it over without a copy.
    """
    return g.t().mm(mat1.conj()).t() if by_columns(like) else mat1.mH.mm(g)


@structured(
    grad={
        "input": lambda g, mat2, input_like: left_gradient(g, mat2, input_like),
        "mat2": lambda g, input, mat2_like: right_gradient(g, input, mat2_like),
    }
)
def mm(call, input, mat2):
    """Product of two matrices.

    >>> torch.mm(torch.ones(2, 3), torch.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    call.op.check_tensor(input, "input"), call.op.check_tensor(mat2, "mat2")
    a, b = input._spec, mat2._spec
    if a.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if b.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    if a.shape[1] != b.shape[0]:
        raise errors.matmul_mismatch(a.shape, b.shape)
    check_same_dtype(a, b)
    c = a.like((a.shape[0], b.shape[1]))
    return planned(call, ("input", "mat2"), a, b, c, c)


@structured(
    grad={"input": lambda g, mat2: g.bmm(mat2.mH), "mat2": lambda g, input: input.mH.bmm(g)}
)
def bmm(call, input, mat2):
    """Products of two batches of matrices.

    >>> torch.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).shape
    torch.Size([2, 1, 1])
    """
    call.op.check_tensor(input, "input"), call.op.check_tensor(mat2, "mat2")
    a, b = input._spec, mat2._spec
    if a.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if b.ndim != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"{errors.brackets((a.shape[0], a.shape[2]))} "
            f"but got: {errors.brackets(b.shape[:2])}."
        )
    if a.dtype is not b.dtype:
        raise errors.expected_scalar_type(a.dtype.scalar_name, b.dtype.scalar_name)
    check_same_dtype(a, b)
    c = a.like((a.shape[0], a.shape[1], b.shape[2]))
    return planned(call, ("input", "mat2"), a, b, c, c)


@structured(
    grad={"input": lambda g, vec: g.outer(vec.conj()), "vec": lambda g, input: input.mH.mv(g)}
)
def mv(call, input, vec):
    """Product of a matrix and a vector.

    >>> torch.mv(torch.eye(2), torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    call.op.check_tensor(input, "input"), call.op.check_tensor(vec, "vec")
    a, b = input._spec, vec._spec
    if a.ndim != 2 or b.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {a.ndim}, {b.ndim}")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), "
            f"vec ({b.shape[0]})"
        )
    check_same_dtype(a, b)
    column = Spec.of((b.shape[0], 1), (b.strides[0], 1), b.dtype, b.device)
    c = a.like((a.shape[0], 1))
    return planned(call, ("input", "vec"), a, column, c, a.like((a.shape[0],)))


def check_vectors(a: Spec, b: Spec) -> None:
    """torch's errors for `dot` and `vdot`."""
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {a.dtype.scalar_name} and "
            f"{b.dtype.scalar_name}"
        )
    if a.shape != b.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to "
            "have the same number of elements, "
            f"but got {a.shape[0]} and {b.shape[0]} elements respectively"
        )


@structured(
    grad={"input": lambda g, tensor: g * tensor.conj(), "tensor": lambda g, input: g * input.conj()}
)
def dot(call, input, tensor):
    """Inner product of two vectors (no conjugate).

    >>> torch.dot(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    call.op.check_tensor(input, "input"), call.op.check_tensor(tensor, "tensor")
    a, b = input._spec, tensor._spec
    check_vectors(a, b)
    plan = call.plan(("input", "tensor"), [a.like(())])
    kind = a.dtype.compute.name
    element = Expr.input(0, a.dtype.name).to(kind) * Expr.input(1, a.dtype.name).to(kind)
    loops = plan_reduction(
        monoids.sum_of(kind, kind),
        (element,),
        (a.dtype.name,) * 2,
        (a.dtype.name,),
        (),
        a.shape,
        [(), ()],
        [[s * a.itemsize for s in spec.strides] for spec in (a, b)],
        [()],
        (),
    )
    return plan.use_kernel(loops)


@composite
def vdot(input, other):
    """Inner product of two vectors, the first one conjugated.

    >>> torch.vdot(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    return input.conj().dot(other)


@structured(
    public="_linear",
    methods=(),
    node="AddmmBackward",
    grad={
        "bias": lambda g: (
            g.sum(0) if g.ndim == 2 else g.sum(tuple(range(g.ndim - 1))) if g.ndim > 1 else g
        ),
        "input": lambda g, weight: g.matmul(weight.conj()),
        "weight": lambda g, input: rows(g).t().mm(rows(input).conj()),
    },
)
def _linear(call, input, weight, bias=None):
    """`input @ weight.T + bias` over the last dimension, in one call.

    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2), torch.ones(3))
    tensor([[3., 3., 3.]])
    """
    for value, name in ((input, "input"), (weight, "weight")):
        call.op.check_tensor(value, name)
    x, w = input._spec, weight._spec
    if w.ndim not in (1, 2) or x.ndim == 0:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {x.ndim}D and {w.ndim}D"
        )
    if w.ndim == 1 or bias is not None and bias.ndim != 1 or engine_differs(x, w, bias):
        return unfused_linear(input, weight, bias)
    if x.shape[-1] != w.shape[1]:
        flat = (x.numel // max(1, x.shape[-1]), x.shape[-1])
        raise errors.matmul_mismatch(flat, (w.shape[1], w.shape[0]))
    matrix = x if x.ndim > 1 else Spec.of((1, *x.shape), (0, *x.strides), x.dtype, x.device)
    turned = Spec.of((w.shape[1], w.shape[0]), (w.strides[1], w.strides[0]), w.dtype, w.device)
    output = x.like((*x.shape[:-1], w.shape[0]))
    result = output.like((*matrix.shape[:-1], w.shape[0]))
    names = ("input", "weight") if bias is None else ("bias", "input", "weight")
    plan = call.plan(names, [output])
    if output.ndim == 2:
        plan.node_name = "MmBackward0" if bias is None else "AddmmBackward0"
    else:
        plan.node_name = "UnsafeViewBackward0" if bias is None else "ViewBackward0"
    used = use_product(plan, matrix, turned, result, None if bias is None else bias._spec)
    return call.op.call(input.contiguous(), weight, bias) if used is None else used


def engine_differs(x: Spec, w: Spec, bias: Any) -> bool:
    """Whether the fused product does not apply: other dtypes,
    or a bias of another size or layout.
    """
    if x.dtype is not w.dtype:
        if bias is None:
            raise errors.same_dtype_matmul(x.dtype.c_name, w.dtype.c_name)
        raise errors.same_dtype_addmm(x.dtype.scalar_name, w.dtype.scalar_name)
    if x.dtype.category < 2 or x.dtype.is_complex:
        return True
    return bias is not None and (
        bias.dtype is not x.dtype or bias.shape[0] != w.shape[0] or bias._spec.strides[0] != 1
    )


def unfused_linear(input: Any, weight: Any, bias: Any) -> Any:
    """`linear` by its definition."""
    result = input.matmul(weight.t() if weight.ndim == 2 else weight)
    if bias is not None and weight.ndim == 2:
        flat = (result.numel() // max(1, result.shape[-1]), result.shape[-1])
        # torch's errors
        expand_strides(bias.shape, bias._spec.strides, flat, bias.dtype.tensor_type)
    return result if bias is None else result + bias


def rows(x: Any) -> Any:
    """A tensor as a matrix of its last dimension's rows."""
    return x if x.ndim == 2 else x.reshape(count_of(x.shape[:-1]), x.shape[-1])


def matmul_left_gradient(g: Any, other: Any, input_like: Spec) -> Any:
    """The gradient of matmul's left operand; broadcast batches are summed by the engine."""
    if other.ndim == 1:
        return g.unsqueeze(-1) * other.conj()
    if input_like.ndim == 1 and other.ndim > 2:
        return g.unsqueeze(-2).matmul(other.mH).squeeze(-2)
    return g.matmul(other.mH)


def matmul_right_gradient(g: Any, input: Any, other_like: Spec) -> Any:
    """The gradient of matmul's right operand; one matrix for a batch is a single product."""
    if other_like.ndim == 1:
        return rows(input).mH.mv(g.reshape(-1))
    if other_like.ndim == 2:
        return right_gradient(rows(g), rows(input), other_like)
    if input.ndim == 1:
        return input.conj().unsqueeze(-1) * g.unsqueeze(-2)
    return input.mH.matmul(g)


@structured(
    methods=("matmul", "__matmul__"),
    node="UnsafeViewBackward",
    grad={"input": matmul_left_gradient, "other": matmul_right_gradient},
)
def matmul(call, input, other):
    """Matrix product by the ranks of the operands, with broadcasting of leading dimensions.

    >>> torch.matmul(torch.ones(5, 2, 3), torch.ones(3)).shape
    torch.Size([5, 2])
    """
    call.op.check_tensor(input, "input"), call.op.check_tensor(other, "other")
    a, b = input._spec, other._spec
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.dtype is not b.dtype and not (a.ndim == b.ndim == 1):
        raise errors.same_dtype_matmul(a.dtype.c_name, b.dtype.c_name)
    if (a.ndim, b.ndim) == (2, 2):
        return mm.make({"input": input, "mat2": other}, call.places)
    if (a.ndim, b.ndim) == (1, 1):
        return dot.make({"input": input, "tensor": other}, call.places)
    if (a.ndim, b.ndim) == (2, 1):
        return mv.make({"input": input, "vec": other}, call.places)
    if 1 in (a.ndim, b.ndim):
        return with_vector(call, a, b)
    return batched(call, a, b)


def with_vector(call: Call, a: Spec, b: Spec) -> Any:
    """matmul with a vector: as a matrix it is one row, or one column."""
    row = a if a.ndim > 1 else Spec.of((1, *a.shape), (0, *a.strides), a.dtype, a.device)
    column = b if b.ndim > 1 else Spec.of((*b.shape, 1), (*b.strides, 1), b.dtype, b.device)
    lead = row.shape[:-1] if b.ndim == 1 else column.shape[:-2]
    output = a.like(lead if b.ndim == 1 else (*lead, b.shape[-1]))
    product = a.like((*lead, 1) if b.ndim == 1 else (*lead, 1, b.shape[-1]))
    if row.shape[-1] == column.shape[-2]:
        check_same_dtype(a, b)
        plan = use_product(call.plan(("input", "other"), [output]), row, column, product)
        if plan is not None:
            plan.node_name = "SqueezeBackward4" if b.ndim == 2 else "UnsafeViewBackward0"
            return plan
    return by_matrices(call.arguments["input"], call.arguments["other"])


def by_matrices(a: Any, b: Any) -> Any:
    """matmul with a vector, laid out first, or with torch's errors."""
    if b.ndim == 1:
        return a.reshape(count_of(a.shape[:-1]), a.shape[-1]).mv(b).reshape(a.shape[:-1])
    if b.ndim == 2:
        return a.unsqueeze(0).mm(b).squeeze(0)
    return a.unsqueeze(0).matmul(b).squeeze(-2)


def batched(call: Call, a: Spec, b: Spec) -> Any:
    """matmul with more than two dimensions: the batches broadcast."""
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if a.shape[-1] != b.shape[-2]:
        if b.ndim == 2:
            raise errors.matmul_mismatch((count_of(a.shape[:-1]), a.shape[-1]), b.shape)
        count = count_of(lead)
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: "
            f"{errors.brackets((count, a.shape[-1]))} but got: "
            f"{errors.brackets((count, b.shape[-2]))}."
        )
    check_same_dtype(a, b)
    c = a.like((*lead, a.shape[-2], b.shape[-1]))
    plan = use_product(call.plan(("input", "other"), [c]), a, b, c)
    if plan is not None:
        return plan
    count = count_of(lead)
    left, right = (
        x.expand(*lead, *x.shape[-2:]).reshape(count, *x.shape[-2:])
        for x in (call.arguments["input"], call.arguments["other"])
    )
    return left.bmm(right).view(c.shape)


def count_of(shape: Any) -> int:
    """Number of elements of a shape."""
    count = 1
    for size in shape:
        count *= size
    return count


def __rmatmul__(self: Any, other: Any) -> Any:
    """`other @ self`."""
    return NotImplemented if not isinstance(other, engine.Tensor) else matmul.call(other, self)


for _op in (mm, bmm, mv, dot, matmul):
    _op.out_check = same_dtype()

METHODS = [__rmatmul__]
