"""softmax and log_softmax, each row in one kernel, and so are their gradients.

>>> torch.softmax(torch.zeros(2), 0)
tensor([0.5000, 0.5000])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from flambeau.codegen.exponential import exp_below
from flambeau.codegen.expr import Expr, where
from flambeau.codegen.rows import RowProgram
from flambeau.core import errors
from flambeau.core.shape import wrap_dim
from flambeau.core.spec import Spec
from flambeau.core.strides import contiguous_strides
from flambeau.ops.kinds import composite, compute_name, structured
from flambeau.ops.row_plans import Layout, Operand, greatest, plan_over, slot, summing


def normalised(dtype: str, logarithm: bool, safe: bool = False) -> RowProgram:
    """The greatest element, the sum of exponentials relative to it, then the results; `safe`: a row
    of minus infinities gives zeros.
    """
    x, top, total = slot("x0", dtype), slot("stage0.0", dtype), slot("stage1.0", dtype)
    if safe:
        top = where(top == float("-inf"), 0.0, top)
    if logarithm:
        stages = (greatest(dtype), summing(exp_below(x - top)))
        return RowProgram((Expr.input(0, dtype),), stages, ((x - top) - total.log(),))
    share = where(total == 0, 0.0, 1 / total) if safe else 1 / total
    power = slot("x1", dtype)
    return RowProgram(
        (Expr.input(0, dtype), exp_below(Expr.input(0, dtype) - top)),
        (greatest(dtype), summing(power)),
        (power * share,),
        kept=((1, 0),),
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
    places = {
        i: Expr.input(i, s.dtype.name).to(out.dtype.name).to(compute)
        for i, s in enumerate(specs[:-1])
    }
    program = replace(program, elements=tuple(e.with_inputs(places) for e in program.elements))
    shape = tuple(out.shape) or (1,)
    layout = Layout(shape, tuple(d for d in range(len(shape)) if d != dim), (dim,))
    return plan_over(plan, program, layout, [Operand(s, tuple(s.strides) or (0,)) for s in specs])


def forward_plan(call: Any, name: str, input: Any, dim: Any, dtype: Any, safe: bool = False) -> Any:
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
    return along(
        plan, [spec, out], dim, lambda compute: normalised(compute, name == "log_softmax", safe)
    )


def backward_plan(call: Any, grad: Any, output: Any, dim: int, logarithm: bool) -> Any:
    """The plan of a gradient."""
    out = Spec.of(
        output._spec.shape,
        contiguous_strides(output._spec.shape),
        output._spec.dtype,
        output._spec.device,
    )
    plan = call.plan(["grad_output", "output"], [out])
    return along(
        plan,
        [grad._spec, output._spec, out],
        wrap_dim(dim, out.ndim),
        lambda compute: backward(compute, logarithm),
    )


@structured(grad=lambda g, y, dim: _softmax_backward_data.call(g, y, dim, y.dtype))
def softmax(call, input, dim, dtype=None):
    """exp(x) / sum(exp(x)) along `dim`.

    >>> torch.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    return forward_plan(call, "softmax", input, dim, dtype)


@structured(grad=lambda g, y, dim: _log_softmax_backward_data.call(g, y, dim, y.dtype))
def log_softmax(call, input, dim, dtype=None):
    """The logarithm of softmax along `dim`.

    >>> torch.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    return forward_plan(call, "log_softmax", input, dim, dtype)


@structured(
    methods=(),
    node="SafeSoftmaxBackward",
    grad=lambda g, y, dim: _softmax_backward_data.call(g, y, dim, y.dtype),
)
def _safe_softmax(call, input, dim, dtype=None):
    """softmax, but a row of minus infinities gives zeros.

    >>> torch._safe_softmax(torch.tensor([-torch.inf, -torch.inf]), 0)
    tensor([0., 0.])
    """
    return forward_plan(call, "softmax", input, dim, dtype, safe=True)


def without_conversion(name: str, half_to_float: bool) -> None:
    """torch's error for what its CPU functions do not do."""
    if half_to_float:
        raise RuntimeError(f"{name} with half to float conversion is not supported on CPU")


@composite(methods=())
def _softmax(input: Any, dim: int, half_to_float: bool) -> Any:
    """`softmax` under torch's inner name."""
    without_conversion("softmax", half_to_float)
    return softmax.call(input, dim)


@composite(methods=())
def _log_softmax(input: Any, dim: int, half_to_float: bool) -> Any:
    """`log_softmax` under torch's inner name."""
    without_conversion("softmax", half_to_float)
    return log_softmax.call(input, dim)


def by_output(g: Any, grad_output: Any, output: Any, dim: int) -> Any:
    """The gradient of softmax's gradient by the results: g (h - s) - h t, with h the incoming
    gradient, s and t the sums of h y and g y.
    """
    outer = (grad_output * output).sum(dim, True)
    return g * (grad_output - outer) - grad_output * (g * output).sum(dim, True)


@structured(
    methods=(),
    node="SoftmaxBackwardDataBackward",
    grad={
        "grad_output": lambda g, output, dim: _softmax_backward_data.call(
            g, output, dim, output.dtype
        ),
        "output": lambda g, grad_output, output, dim: by_output(g, grad_output, output, dim),
    },
)
def _softmax_backward_data(call, grad_output, output, dim, input_dtype):
    """The gradient of softmax from its results y: y (g - sum(g y)) along `dim`."""
    return backward_plan(call, grad_output, output, dim, False)


@structured(
    methods=(),
    node="LogSoftmaxBackwardDataBackward",
    grad={
        "grad_output": lambda g, output, dim: g - (g * output.exp()).sum(dim, True),
        "output": lambda g, grad_output, output, dim: (
            -(g * output.exp() * grad_output.sum(dim, True))
        ),
    },
)
def _log_softmax_backward_data(call, grad_output, output, dim, input_dtype):
    """The gradient of log_softmax from its results y: g - exp(y) sum(g) along `dim`."""
    return backward_plan(call, grad_output, output, dim, True)
