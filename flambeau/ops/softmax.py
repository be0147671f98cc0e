"""softmax and log_softmax, each row in one kernel, and so are their gradients.

>>> torch.softmax(torch.zeros(2), 0)
tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.codegen.exponential import exp_below
from flambeau.codegen.expr import Expr
from flambeau.codegen.rows import RowProgram
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.kinds import compute_name, structured
from flambeau.ops.row_plans import Layout, Operand, greatest, plan_over, slot, summing


def normalised(dtype: str, logarithm: bool) -> RowProgram:
    """The greatest element, the sum of exponentials relative to it, then the results."""
    x, top, total = slot("x0", dtype), slot("stage0.0", dtype), slot("stage1.0", dtype)
    stages = (greatest(dtype), summing(exp_below(x - top)))
    if logarithm:
        return RowProgram((Expr.input(0, dtype),), stages, ((x - top) - total.log(),))
    draft, share = exp_below(x - top), 1 / total
    return RowProgram(
        (Expr.input(0, dtype),),
        stages,
        (draft * share,),
        draft=(draft, slot("draft0", dtype) * share),
    )


def backward(dtype: str, logarithm: bool) -> RowProgram:
    """The gradient, from the gradient x0 of the results and the results x1."""
    g, y, total = slot("x0", dtype), slot("x1", dtype), slot("stage0.0", dtype)
    result = g - exp_below(y) * total if logarithm else y * (g - total)
    return RowProgram(
        (Expr.input(0, dtype), Expr.input(1, dtype)),
        (summing(g if logarithm else g * y),),
        (result,),
    )


def along(plan: Any, specs: Sequence[Spec], dim: int, make: Callable[[str], RowProgram]) -> Any:
    """Finishes a plan: a program for each row along `dim` of operands of one shape, the last of
    which is the result.
    """
    out = specs[-1]
    compute = compute_name(out.dtype)
    program = make(compute)
    elements = tuple(
        Expr.input(i, s.dtype.name).to(out.dtype.name).to(compute) for i, s in enumerate(specs[:-1])
    )
    program = RowProgram(elements, program.stages, program.outputs, draft=program.draft)
    shape = tuple(out.shape) or (1,)
    layout = Layout(shape, tuple(d for d in range(len(shape)) if d != dim), (dim,))
    return plan_over(plan, program, layout, [Operand(s, tuple(s.strides) or (0,)) for s in specs])


def forward_plan(call: Any, name: str, input: Any, dim: Any, dtype: Any) -> Any:
    """The plan of softmax or log_softmax."""
    spec = call.op.check_tensor(input, "input")._spec
    if not hasattr(dim, "__index__") or isinstance(dim, bool):
        raise errors.argument_type_error(name, "dim", 2, "int", dim)
    dim = wrap_dim(dim, spec.ndim)
    dtype = dtype or spec.dtype
    if not dtype.is_floating_point:
        last = "_lastdim" if dim in (spec.ndim - 1, 0) and dim + 1 >= spec.ndim else ""
        raise errors.not_implemented_for(f"{name}{last}_kernel_impl", dtype.scalar_name)
    out = Spec.of(spec.shape, contiguous_strides(spec.shape), dtype, spec.device)
    plan = call.plan(["input"], [out])
    return along(plan, [spec, out], dim, lambda compute: normalised(compute, name == "log_softmax"))


def backward_plan(call: Any, grad: Any, output: Any, dim: int, logarithm: bool) -> Any:
    """The plan of a gradient."""
    out = Spec.of(
        output._spec.shape,
        contiguous_strides(output._spec.shape),
        output._spec.dtype,
        output._spec.device,
    )
    plan = call.plan(["grad", "output"], [out])
    return along(
        plan,
        [grad._spec, output._spec, out],
        wrap_dim(dim, out.ndim),
        lambda compute: backward(compute, logarithm),
    )


@structured(grad=lambda g, y, dim: _softmax_backward.call(g, y, dim))
def softmax(call, input, dim, dtype=None):
    """exp(x) / sum(exp(x)) along `dim`.

    >>> torch.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    return forward_plan(call, "softmax", input, dim, dtype)


@structured(grad=lambda g, y, dim: _log_softmax_backward.call(g, y, dim))
def log_softmax(call, input, dim, dtype=None):
    """The logarithm of softmax along `dim`.

    >>> torch.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    return forward_plan(call, "log_softmax", input, dim, dtype)


def softmax_backward_output(g: Any, grad: Any, output: Any, dim: int) -> Any:
    """The gradient of softmax's gradient by the results: g (grad - s) - grad t, with s and t the
    sums of grad y and g y.
    """
    return g * (grad - (grad * output).sum(dim, True)) - grad * (g * output).sum(dim, True)


@structured(
    public=None,
    methods=(),
    node="SoftmaxBackwardDataBackward",
    grad={
        "grad": lambda g, output, dim: _softmax_backward.call(g, output, dim),
        "output": lambda g, grad, output, dim: softmax_backward_output(g, grad, output, dim),
    },
)
def _softmax_backward(call, grad, output, dim):
    """y (g - sum(g y)) along `dim`."""
    return backward_plan(call, grad, output, dim, False)


@structured(
    public=None,
    methods=(),
    node="LogSoftmaxBackwardDataBackward",
    grad={
        "grad": lambda g, output, dim: g - (g * output.exp()).sum(dim, True),
        "output": lambda g, grad, output, dim: -(g * output.exp() * grad.sum(dim, True)),
    },
)
def _log_softmax_backward(call, grad, output, dim):
    """g - exp(y) sum(g) along `dim`."""
    return backward_plan(call, grad, output, dim, True)
