"""Root mean square normalisation (Zhang and Sennrich 2019), and its gradient, a kernel each.

>>> torch.rms_norm(torch.tensor([3.0, 4.0]), (2,))
tensor([0.8485, 1.1314])
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.autograd.modes import is_grad_enabled
from flambeau.codegen.rows import RowProgram
from flambeau.core.dtype import float32
from flambeau.core.spec import Spec
from flambeau.ops.kinds import composite, compute_name, structured
from flambeau.ops.normalization import elements, in_layout, last_dimensions, plain, result_spec
from flambeau.ops.normalization_checks import check_last_dimensions, statistic_dtype
from flambeau.ops.normalization_rules import root_mean_square_by_algebra
from flambeau.ops.registry import is_tensor
from flambeau.ops.row_plans import fits, is_long, plan_over, slot, summing


def root_mean_square_gradient(
    needed: Any, g0: Any, input: Any, weight: Any, y1: Any, normalized_shape: Any, eps: Any
) -> Any:
    """By input and weight."""
    count = len(normalized_shape)
    if g0 is None:
        return None, None
    if is_grad_enabled():
        eps = smallest(input._spec) if eps is None else eps
        return root_mean_square_by_algebra(needed, g0, input, weight, count, eps)
    result, slope = None, None
    if needed[0]:
        like = result_spec(input._spec)
        tensors = in_layout(g0, like), in_layout(input, like)
        result = _rms_norm_backward.call(*tensors, y1, plain(weight), count)
    if needed[1]:
        dims = tuple(range(input.ndim - count))
        slope = (g0 * (input * y1)).sum(dims) if dims else g0 * (input * y1)
    return result, slope


@structured(public=None, methods=())
def _rms_norm_backward(call, grad, input, scale, weight, count):
    """The gradient of root mean square normalisation by the input."""
    spec = input._spec
    frame = last_dimensions(spec.shape, count)
    names = ["grad", "input", "scale", *(("weight",) if weight is not None else ())]
    operands = [frame.tensor(grad._spec), frame.tensor(spec), frame.statistic(scale._spec)]
    if weight is not None:
        operands.append(frame.parameter(weight._spec))
    plan = call.plan(names, [result_spec(spec)])
    compute, long = compute_name(spec.dtype), is_long(frame.layout.length)
    g, x, factor = (slot(f"x{k}", compute) for k in range(3))
    within = g if weight is None else g * slot("x3", compute)
    total = slot("stage0.0", "float64" if long else compute)
    share = (total / slot("size", "int64").to(total.dtype)).to(compute)
    value = factor * (within - (x * factor) * (share * factor))
    program = RowProgram(elements(compute, operands), (summing(within * x, wide=long),), (value,))
    return plan_over(plan, program, frame.layout, [*operands, frame.tensor(plan.outputs[0])])


@structured(methods=(), node="MulBackward", grad={("input", "weight"): root_mean_square_gradient})
def _fused_rms_norm(call, input, normalized_shape, weight, eps):
    """Division by the root of the mean square over the last dimensions (Zhang and Sennrich 2019),
    with each part's factor.
    """
    spec = call.op.check_tensor(input, "input")._spec
    check_last_dimensions("rms_norm", "rms_norm", spec, normalized_shape, weight, None)
    count = len(normalized_shape)
    frame = last_dimensions(spec.shape, count)
    operands = [frame.tensor(spec)]
    if weight is not None:
        operands.append(frame.parameter(weight._spec))
    output = result_spec(spec)
    kept = (*spec.shape[: spec.ndim - count], *(1,) * count)
    scale = Spec.of(kept, None, statistic_dtype(spec, weight, None), spec.device)
    results = [frame.tensor(output), frame.statistic(scale)]
    if not fits(frame.layout, [*operands, *results]):
        return call.op.call(in_layout(input, output), normalized_shape, plain(weight), eps)
    plan = call.plan(["input", "weight"], [output, scale])
    if spec.dtype.itemsize < 4:  # torch computes in float32 and converts the result
        plan.node_name = "ToCopyBackward0"
    compute, long = compute_name(spec.dtype), is_long(frame.layout.length)
    x, total = slot("x0", compute), slot("stage0.0", "float64" if long else compute)
    square = total / slot("size", "int64").to(total.dtype)
    factor = (square + slot("param0", "float64").to(total.dtype)).rsqrt()
    value = x * factor.to(compute)
    program = RowProgram(
        elements(compute, operands),
        (summing(x * x, wide=long),),
        (value if weight is None else value * slot("x1", compute),),
        (factor.to(compute_name(scale.dtype)),),
        parameters=1,
    )
    eps = smallest(spec) if eps is None else float(eps)
    return plan_over(plan, program, frame.layout, [*operands, *results], (eps,))


def smallest(input: Spec) -> float:
    """What is added to the mean square if nothing is said: the epsilon of the dtype that it is
    computed in.
    """
    return math.ldexp(1.0, -52 if input.dtype.name == "float64" else -23)


@composite(methods=())
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None) -> Any:
    """Division by the root of the mean square over the last dimensions.

    >>> torch.rms_norm(torch.tensor([3.0, 4.0]), (2,))
    tensor([0.8485, 1.1314])
    """
    if is_tensor(input) and input.dtype.is_complex:
        check_last_dimensions(
            "rms_norm", "", input._spec.like(dtype=float32), normalized_shape, weight, None
        )
        eps = smallest(input._spec) if eps is None else eps
        squares = (input * input).mean(tuple(range(-len(normalized_shape), 0)), True)
        result = input * (squares + eps).rsqrt()
        return result if weight is None else result * weight
    return _fused_rms_norm.call(input, normalized_shape, weight, eps)[0]
