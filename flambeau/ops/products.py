"""From specs to the plan of a matrix product: batches are broadcast and folded, never copied.

Called by ops.matmul, ops.product_sums and ops.recurrent, which know shapes and errors:

    use_product(plan, a_spec, b_spec, c_spec)                   # c = a @ b
    use_product(plan, a_spec, b_spec, c_spec, bias_spec)        # c = bias + a @ b

The compiler adds pointwise steps to what a product does (`with_epilogue`).
Real dtypes run on the project's own kernels (ops.kernels.gemm), complex ones on OpenBLAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.loops import LoopPlan, classify, plan_pointwise
from flambeau.codegen.vector_function import VectorFunction
from flambeau.core.spec import Spec
from flambeau.core.strides import broadcast_strides
from flambeau.ops.kernels import gemm
from flambeau.ops.plan import NUMBER_DTYPES, Formula, Multiplication, Plan
from flambeau.ops.registry import engine
from flambeau.runtime import blas
from flambeau.runtime.threads import parallel_for

Dimension = tuple[int, tuple[int, ...]]  # size, and strides of a, b, c, init and others


def readable(spec: Spec) -> bool:
    """Whether kernels read the matrices where they are: all but some complex ones."""
    if not spec.dtype.is_complex:
        return True
    if spec.ndim < 2:
        return spec.contiguous
    return spec.ndim <= 3 and blas.leading(spec.shape[-2:], spec.strides[-2:]) is not None


def folded(batch: list[Dimension], row: Dimension) -> tuple[list[Dimension], Dimension]:
    """Batch dimensions joined where their strides allow it, with the rows too: a right factor that
    all matrices share makes one tall product of them.
    """
    found: list[Dimension] = []
    last = row
    for size, strides in reversed([d for d in batch if d[0] != 1]):
        inner = found[0] if found else last
        if not found and last[0] == 1 and strides[1] == 0:
            last = (size, strides)
        elif strides == tuple(s * inner[0] for s in inner[1]):
            joined = (size * inner[0], inner[1])
            if found:
                found[0] = joined
            else:
                last = joined
        else:
            found.insert(0, (size, strides))
    return found, last


def product_of(
    a: Spec,
    b: Spec,
    c: Spec,
    init: Spec | None = None,
    alpha: float = 1,
    beta: float = 1,
    others: Sequence[tuple[int, ...]] = (),
) -> tuple[gemm.Product, list[tuple[int, int, int, int]]] | None:
    """The product c = alpha * a @ b + beta * init; batch dimensions broadcast. None where more than
    two of them remain after folding. `others`: strides over c's dimensions, of which those of the
    folded ones (outer, inner, row, column) come back.
    """
    lead = c.shape[:-2]
    m, k = a.shape[-2:]
    n = b.shape[-1]
    parts = [
        (*broadcast_strides(s.shape[:-2], s.strides[:-2], lead), *s.strides[-2:]) for s in (a, b, c)
    ]
    parts.append(
        (0,) * c.ndim if init is None else broadcast_strides(init.shape, init.strides, c.shape)
    )
    parts += others
    rows = (m, (parts[0][-2], 0, *(p[-2] for p in parts[2:])))
    sizes = [(size, tuple(p[d] for p in parts)) for d, size in enumerate(lead)]
    batch, (m, along) = folded(sizes, rows)
    if len(batch) > 2:
        return None
    batch = [(1, (0,) * len(parts))] * (2 - len(batch)) + batch
    steps = list(zip(*(strides for _, strides in batch), strict=True))
    column = 1 if n == 1 else parts[1][-1]
    product = gemm.Product(
        c.dtype.name,
        m,
        n,
        k,
        (batch[0][0], batch[1][0]),
        (*steps[0], along[0], 1 if k == 1 else parts[0][-1]),
        (*steps[1], 1 if k == 1 and column != 1 else parts[1][-2], column),
        (*steps[2], along[2]),
        None if init is None else (*steps[3], along[3]),
        alpha,
        beta,
    )
    places = range(4, len(parts))
    return product, [(*steps[i], along[i], parts[i][-1]) for i in places]


def outer_loops(a: Spec, b: Spec, c: Spec) -> LoopPlan:
    """Products of a column and a row: nothing is summed, what takes time is writing."""
    dtype, lead = c.dtype, c.shape[:-2]
    factors = [
        (*broadcast_strides(s.shape[:-2], s.strides[:-2], lead), *last)
        for s, last in ((a, (a.strides[-2], 0)), (b, (0, b.strides[-1])))
    ]
    x, y = (Expr.input(i, dtype.name).to(dtype.compute.name) for i in range(2))
    return plan_pointwise(
        ((x * y).to(dtype.compute.name),),
        (dtype.name,) * 2,
        (dtype.name,),
        c.shape,
        [[s * dtype.itemsize for s in strides] for strides in (*factors, c.strides)],
    )


def takes_init(init: Spec, c: Spec) -> bool:
    """Whether a kernel can add `init` itself: of the same dtype, its rows contiguous or columns of
    one element.
    """
    if init.dtype is not c.dtype or c.dtype.is_complex:
        return False
    column = broadcast_strides(init.shape, init.strides, c.shape)[-1]
    return column == 1 or c.shape[-1] == 1


def use_product(
    plan: Plan,
    a: Spec,
    b: Spec,
    c: Spec,
    init: Spec | None = None,
    alpha: float = 1,
    beta: float = 1,
) -> Plan | None:
    """Lets a plan compute c = alpha * a @ b + beta * init, where its inputs are (init, a, b) or
    (a, b). None where batches must be laid out first.
    """
    if plan.is_meta or not c.numel:
        return plan.use_native(0, [], 0)
    if c.dtype.is_complex:
        return use_blas(plan, a, b, c)
    if a.shape[-1] == 1 and init is None:
        return plan.use_kernel(outer_loops(a, b, c))
    found = product_of(a, b, c, init, alpha, beta)
    if found is None:
        return None
    plan.formula = Multiplication(a, b, c, init, alpha, beta)
    return run_product(plan, found[0])


def run_product(plan: Plan, task: gemm.Product) -> Plan:
    """Lets a plan run the kernel of a product."""
    return plan.use_native(
        *gemm.kernel(task, engine.core.threads(), engine.core.address(parallel_for))
    )


def with_epilogue(
    plan: Plan, product: Multiplication, formula: Formula, kinds: Sequence[Any],
    places: Sequence[int], result: int,
) -> Plan | None:  # fmt: skip
    """Lets a plan compute a product, then a pointwise formula of its elements.

    kinds, places: the specs (or types of numbers) of what the formula reads and writes, and which
    of the plan's buffers each is, -1 for the product itself. `result` is a buffer for that. None
    where elements of a row do not lie side by side, or the product would be divided in another way.
    """
    c, count = product.c, len(kinds) - len(formula.expressions)
    strides = [
        tuple(s * k.itemsize for s in broadcast_strides(k.shape, k.strides, c.shape))
        if isinstance(k, Spec)
        else (0,) * c.ndim
        for k in kinds
    ]
    plain, found = product_of(*product), product_of(*product, others=strides)
    if plain is None or found is None or plain[0] != found[0] or c.shape[-1] == 1:
        return None
    if not c.dtype.is_floating_point or gemm.uses_rows(plain[0]):
        return None
    dtypes = [k.dtype.name if isinstance(k, Spec) else NUMBER_DTYPES[k] for k in kinds]
    function = VectorFunction(
        formula.expressions,
        tuple(dtypes[:count]),
        tuple(dtypes[count:]),
        "".join(classify(steps[3], dtype) for steps, dtype in zip(found[1], dtypes, strict=True)),
        tuple(i for i, place in enumerate(places) if place < 0),
    )
    if not function.is_possible or "0" in function.classes[count:]:
        return None
    operands = tuple((max(0, i), *steps[:3]) for i, steps in zip(places, found[1], strict=True))
    buffers = len(plan.inputs) + len(plan.outputs)
    after = gemm.Epilogue(function, result, buffers, operands)
    return run_product(plan, plain[0]._replace(epilogue=after))


def use_blas(plan: Plan, a: Spec, b: Spec, c: Spec) -> Plan | None:
    """Complex products of matrices, or of batches of them, by OpenBLAS."""
    if not readable(a) or not readable(b) or c.ndim > 3:
        return None
    m, k = a.shape[-2:]
    n, batch = b.shape[-1], c.shape[0] if c.ndim == 3 else 1
    left, right = (blas.leading(s.shape[-2:], s.strides[-2:]) for s in (a, b))
    assert left is not None and right is not None
    lead = c.shape[:-2]
    steps = [
        sum(broadcast_strides(s.shape[:-2], s.strides[:-2], lead)) * s.itemsize for s in (a, b, c)
    ]
    function = blas.function_address(f"cblas_{blas.LETTERS[c.dtype.name]}gemm")
    params = [function, left[0], right[0], m, n, k, left[1], right[1], max(n, 1), *steps]
    address = blas.gemm_address(c.dtype.name)
    return plan.use_native(address, params, batch, work=m * n * k * batch)


def prepared(*tensors: Any) -> tuple[Any, ...]:
    """The operands of a complex product, those that OpenBLAS cannot read as row-major copies."""
    return tuple(t if readable(t._spec) else t.contiguous() for t in tensors)
