"""Backward of pointwise ops as one kernel: the gradient rules traced on scalar expressions.

Called by autograd.engine when no graph of the gradients is wanted. For `a * b` with both inputs
needing gradients the rules `g * other` and `g * input` become one kernel with two results. A rule
that just hands `g` on costs nothing. Plans are kept on the forward plan, by the gradient's spec and
by which inputs need a gradient:

    grads = backward(plan, node.edges, node.saved, g)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.core.spec import Spec
from flambeau.core.strides import elementwise_strides
from flambeau.ops.kinds import NUMBER_TYPES, byte_strides, compute_name
from flambeau.ops.plan import NUMBER_DTYPES, Operand, Plan
from flambeau.runtime.system import engine


class Recipe:
    """How to get the gradients: a plan over chosen operands (or none),
    and for each input where its gradient is.
    """

    __slots__ = ("plan", "sources", "results", "shapes")

    def __init__(
        self,
        plan: Plan | None,
        sources: list[tuple[str, int]],
        results: list[Any],
        shapes: list[Any],
    ):
        self.plan, self.sources, self.results, self.shapes = plan, sources, results, shapes


def backward(plan: Plan, edges: Sequence[Any], saved: Sequence[Any], g: Any) -> list[Any]:
    """Gradients of a pointwise node's inputs; None where none is needed."""
    spec = g._spec
    needs = 0
    for i, edge in enumerate(edges):
        if edge is not None:
            needs |= 1 << i
    recipe = plan.fused.get((spec, needs))
    if recipe is None:
        recipe = plan.fused[spec, needs] = make(plan, needs, spec)
    found: Any = None
    if recipe.plan is not None:
        found = engine.core.execute_plan(
            recipe.plan, *[g if kind == "g" else saved[2 * i] for kind, i in recipe.sources]
        )
        if recipe.results_are_one:
            found = (found,)
    grads: list[Any] = []
    for result, shape in zip(recipe.results, recipe.shapes, strict=True):
        if result is None:
            grads.append(None)
            continue
        grad = g if result == "g" else found[result]
        grads.append(grad if shape is None else grad.sum_to_size(shape))
    return grads


def make(plan: Plan, needs: int, spec: Spec) -> Any:
    """Traces the rules of the inputs in `needs` for a gradient of this spec."""
    tracer = Tracer(plan, spec)
    expressions: list[Expr] = []
    results: list[Any] = []
    shapes: list[Any] = []
    output = plan.outputs[0]
    for i, operand in enumerate(plan.inputs):
        if not needs >> i & 1 or plan.gradient.fetch[i] is None:
            results.append(None)
            shapes.append(None)
            continue
        target = operand.spec
        assert isinstance(target, Spec)
        value = tracer.rule(i)
        shapes.append(None if target.shape == output.shape else tuple(target.shape))
        if value is None:
            results.append(None)
        elif value is tracer.g and target.dtype is spec.dtype:
            results.append("g")
        else:
            if value.dtype.startswith("complex") and not target.dtype.is_complex:
                value = value.real
            results.append(len(expressions))
            expressions.append(value.to(compute_name(target.dtype)))
            tracer.outputs.append(target.dtype)
    return Fused(tracer, expressions, results, shapes)


class Tracer:
    """Feeds a plan's rules with expressions and remembers which operands they use."""

    def __init__(self, plan: Plan, spec: Spec):
        self.plan, self.spec = plan, spec
        self.compute = compute_name(plan.options["compute"])
        self.sources: list[tuple[str, int]] = []
        self.operands: list[Spec | type] = []
        self.outputs: list[Any] = []
        self.g = self.operand("g", 0, spec)

    def operand(self, kind: str, index: int, spec: Spec | type) -> Expr:
        """The expression of an operand; `index` counts in the node's saved pairs."""
        key = (kind, index)
        if key not in self.sources:
            self.sources.append(key)
            self.operands.append(spec)
        return Expr.input(
            self.sources.index(key),
            spec.dtype.name if isinstance(spec, Spec) else NUMBER_DTYPES[spec],
        )

    def rule(self, i: int) -> Any:
        """The gradient of input i as an expression (None: it is zero)."""
        plan, gradient = self.plan, self.plan.gradient
        values = []
        for kind, index in gradient.fetch[i]:
            if kind == "g":
                values.append(self.g)
            elif kind == "y":
                values.append(self.operand("saved", len(plan.inputs) + index, plan.outputs[index]))
            elif kind == "input":
                spec = plan.inputs[index].spec
                value = self.operand("saved", index, spec)
                promoted = plan.names[index] in plan.op.promotes or not isinstance(spec, Spec)
                values.append(value.to(self.compute) if promoted else value)
            else:
                values.append(index)
        result = gradient.rule(i)(*values)
        return Expr.constant(result, self.compute) if isinstance(result, NUMBER_TYPES) else result


class Fused(Recipe):
    """A recipe whose kernel is made from traced expressions."""

    __slots__ = ("results_are_one",)

    def __init__(
        self, tracer: Tracer, expressions: list[Expr], results: list[Any], shapes: list[Any]
    ):
        super().__init__(None, tracer.sources, results, shapes)
        self.results_are_one = len(expressions) == 1
        if not expressions:
            return
        shape = tracer.plan.outputs[0].shape
        specs = [s for s in tracer.operands if isinstance(s, Spec)]
        layout = elementwise_strides(shape, [(s.shape, s.strides) for s in specs])
        outputs = [Spec.of(shape, layout, dtype, tracer.spec.device) for dtype in tracer.outputs]
        strides = [
            byte_strides(s, shape) if isinstance(s, Spec) else (0,) * len(shape)
            for s in tracer.operands
        ]
        strides += [tuple(x * o.itemsize for x in o.strides) for o in outputs]
        dtypes = [
            s.dtype.name if isinstance(s, Spec) else NUMBER_DTYPES[s] for s in tracer.operands
        ]
        loops = plan_pointwise(expressions, dtypes, [o.dtype.name for o in outputs], shape, strides)
        operands = [Operand(s, i) for i, s in enumerate(tracer.operands)]
        self.plan = Plan(tracer.plan.op, operands, outputs).use_kernel(loops)
