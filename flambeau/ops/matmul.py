"""Matrix products: mm, bmm, mv, dot, linear, matmul and their relatives.

`matmul` chooses by the ranks of its operands and answers with the plan of mm, mv, dot or bmm, so
`a @ b` of two matrices costs one native call. Operands that BLAS can read in place (row-major,
transposed, or with gaps between rows) are never copied. Sums with a product (addmm ...) are in
ops.product_sums.

    >>> torch.matmul(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [3., 4.]])
"""

from __future__ import annotations

from typing import Any

from flambeau.core import errors
from flambeau.core.shape import broadcast_shapes
from flambeau.core.spec import Spec
from flambeau.core.strides import expand_strides
from flambeau.ops.kinds import Call, Op, composite, structured
from flambeau.ops.outputs import same_dtype
from flambeau.ops.plan import Plan
from flambeau.ops.registry import engine
from flambeau.runtime import blas

HALVES = ("float16", "bfloat16")


def check_same_dtype(a: Spec, b: Spec) -> None:
    """torch's error for operands of different dtypes."""
    if a.dtype is not b.dtype:
        raise errors.same_dtype_matmul(a.dtype.c_name, b.dtype.c_name)
    if a.dtype.name == "bool":
        raise errors.not_implemented_for("addmm_impl_cpu_", "Bool")


def readable(tensor: Any) -> Any:
    """The matrix (or batch of matrices) itself if BLAS can read it in place,
    else a row-major copy.
    """
    spec = tensor._spec
    if blas.leading(spec.shape[-2:], spec.strides[-2:]) is None:
        return tensor.contiguous()
    return tensor


def product(
    call: Call, names: tuple[str, ...], output: Spec, a: Spec, b: Spec, bias: bool = False
) -> Plan | None:
    """A plan computing output = a @ b (matrices or batches of them),
    or None when an operand must be copied first.
    """
    plan = call.plan(names, [output])
    return fill_plan(plan, output, a, b, bias)


def fill_plan(plan: Plan, output: Spec, a: Spec, b: Spec, bias: bool, bias_step: int = 0) -> Plan:
    """Lets a plan run the product of its last two inputs, added to a bias: one row,
    or rows `bias_step` elements apart.
    """
    m, k = a.shape[-2:]
    n = b.shape[-1]
    batch = a.shape[0] if a.ndim == 3 else 1
    steps = [spec.strides[0] * spec.itemsize if spec.ndim == 3 else 0 for spec in (a, b)]
    step_c = m * n * output.itemsize
    kind = output.dtype.name
    if not output.numel:
        return plan.use_native(blas.gemm_address(kind, bias), [], 0)
    items = batch
    if kind in blas.INTEGERS:
        params = [m, n, k, *a.strides[-2:], *b.strides[-2:], n, 1, *steps, step_c]
    else:
        left, right = (blas.leading(s.shape[-2:], s.strides[-2:]) for s in (a, b))
        assert left is not None and right is not None
        (trans_a, lda), (trans_b, ldb) = left, right
        function = blas.function_address(f"cblas_{blas.LETTERS[kind]}gemm")
        parts = 2 if output.dtype.is_complex else 1
        params = [
            function,
            trans_a,
            trans_b,
            m,
            n,
            k,
            lda,
            ldb,
            max(n, 1),
            *steps,
            step_c,
            0,
            bias_step * parts,
        ]
    return plan.use_native(blas.gemm_address(kind, bias), params, items, work=m * n * k * batch)


def through_copies(op: Op, tensors: dict[str, Any], **others: Any) -> Any:
    """Runs the op on float32 values for half precision, and on readable copies;
    None when the operands are fine as they are.
    """
    kinds = {t.dtype.name for t in tensors.values() if t is not None}
    if kinds & set(HALVES):
        kind = next(t.dtype for t in tensors.values() if t is not None)
        wide = {name: None if t is None else t.float() for name, t in tensors.items()}
        return op.call(**wide, **others).to(kind)
    if kinds & set(blas.INTEGERS):
        return None
    ready = {name: t if t is None or t.ndim < 2 else readable(t) for name, t in tensors.items()}
    if any(ready[name] is not tensors[name] for name in tensors):
        return op.call(**ready, **others)
    return None


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
    result = through_copies(call.op, {"input": input, "mat2": mat2})
    if result is not None:
        return result
    return product(call, ("input", "mat2"), a.like((a.shape[0], b.shape[1])), a, b)


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
    result = through_copies(call.op, {"input": input, "mat2": mat2})
    if result is not None:
        return result
    return product(call, ("input", "mat2"), a.like((a.shape[0], a.shape[1], b.shape[2])), a, b)


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
    result = through_copies(call.op, {"input": input, "vec": vec})
    if result is not None:
        return result
    if b.strides[0] == 0 and b.shape[0] > 1:
        return call.op.call(input, vec.contiguous())
    column = Spec.of((b.shape[0], 1), (b.strides[0], 1), b.dtype, b.device)
    return product(call, ("input", "vec"), a.like((a.shape[0],)), a, column)


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
    result = through_copies(call.op, {"input": input, "tensor": tensor})
    if result is not None:
        return result
    if a.numel > 1 and 0 in (a.strides[0], b.strides[0]):
        return call.op.call(input.contiguous(), tensor.contiguous())
    row = Spec.of(
        (1, a.shape[0]),
        (max(1, a.shape[0]) * max(1, a.strides[0]), a.strides[0]),
        a.dtype,
        a.device,
    )
    column = Spec.of((b.shape[0], 1), (b.strides[0], 1), b.dtype, b.device)
    if blas.leading(row.shape, row.strides) is None:
        return call.op.call(input.contiguous(), tensor)
    return product(call, ("input", "tensor"), a.like(()), row, column)


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
    result = through_copies(
        call.op,
        {"input": input if x.ndim == 1 else contiguous_rows(input), "weight": weight, "bias": bias},
    )
    if result is not None:
        return result
    if contiguous_rows(input) is not input:
        return call.op.call(contiguous_rows(input), weight, bias)
    count = count_of(x.shape[:-1])
    step = x.strides[0] if x.ndim == 2 and x.shape[0] > 1 else x.shape[-1]
    matrix = Spec.of((count, x.shape[-1]), (step, x.strides[-1]), x.dtype, x.device)
    turned = Spec.of((w.shape[1], w.shape[0]), (w.strides[1], w.strides[0]), w.dtype, w.device)
    output = x.like((*x.shape[:-1], w.shape[0]))
    names = ("input", "weight") if bias is None else ("bias", "input", "weight")
    plan = call.plan(names, [output])
    if output.ndim == 2:
        plan.node_name = "MmBackward0" if bias is None else "AddmmBackward0"
    else:
        plan.node_name = "UnsafeViewBackward0" if bias is None else "ViewBackward0"
    return fill_plan(
        plan,
        Spec.of((count, w.shape[0]), None, x.dtype, x.device),
        matrix,
        turned,
        bias is not None,
    )


def engine_differs(x: Spec, w: Spec, bias: Any) -> bool:
    """Whether the fused product does not apply: other dtypes,
    or a bias of another size or layout.
    """
    if x.dtype is not w.dtype:
        if bias is None:
            raise errors.same_dtype_matmul(x.dtype.c_name, w.dtype.c_name)
        raise errors.same_dtype_addmm(x.dtype.scalar_name, w.dtype.scalar_name)
    if bias is None:
        return x.dtype.category < 2
    return (
        bias.dtype is not x.dtype
        or bias.shape[0] != w.shape[0]
        or bias._spec.strides[0] != 1
        or x.dtype.category < 2
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
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def contiguous_rows(x: Any) -> Any:
    """The tensor itself if its leading dimensions form one evenly spaced axis of rows,
    else a row-major copy.
    """
    spec = x._spec
    if spec.ndim == 2 and blas.leading(spec.shape, spec.strides) is not None or spec.contiguous:
        return x
    return x.contiguous()


@structured(methods=("matmul", "__matmul__"))
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
    if (a.ndim, b.ndim) == (1, 2):
        return input.unsqueeze(0).mm(other).squeeze(0)
    if (a.ndim, b.ndim) == (3, 3) and a.shape[0] == b.shape[0] and a.shape[2] == b.shape[1]:
        return bmm.make({"input": input, "mat2": other}, call.places)
    return batched(input, other)


def batched(a: Any, b: Any) -> Any:
    """matmul with more than two dimensions: folds a shared matrix into one product,
    else broadcasts the batches.
    """
    if a.ndim >= 3 and b.ndim <= 2:
        matrix = a.reshape(count_of(a.shape[:-1]), a.shape[-1])
        if b.ndim == 1:
            return matrix.mv(b).reshape(a.shape[:-1])
        return matrix.mm(b).view(*a.shape[:-1], b.shape[-1])
    if a.ndim == 1:
        return batched(a.unsqueeze(0), b).squeeze(-2)
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: "
            f"{errors.brackets((broadcast_count(a, b), a.shape[-1]))} but got: "
            f"{errors.brackets((broadcast_count(a, b), b.shape[-2]))}."
        )
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = a.expand(*lead, *a.shape[-2:]).reshape(count_of(lead), *a.shape[-2:])
    right = b.expand(*lead, *b.shape[-2:]).reshape(count_of(lead), *b.shape[-2:])
    return left.bmm(right).view(*lead, a.shape[-2], b.shape[-1])


def broadcast_count(a: Any, b: Any) -> int:
    """Number of matrices after broadcasting the batch dimensions."""
    return count_of(broadcast_shapes(a.shape[:-2], b.shape[:-2]))


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
