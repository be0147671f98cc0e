"""Backward of pointwise ops as one kernel: the gradient rules traced on scalar expressions.

Called by autograd.rules and autograd.programs when no graph of the gradients is wanted. For `a * b`
with both inputs needing gradients the rules `g * other` and `g * input` become one kernel with two
results. A rule that just hands `g` on costs nothing. Recipes are kept on the forward plan, by the
gradient's spec and by which inputs need a gradient:

    grads = backward(node, node._saved, g)
"""

from __future__ import annotations

from typing import Any

from flambeau.autograd.nodes import Node
from flambeau.codegen.expr import Expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.core.spec import Spec
from flambeau.core.strides import elementwise_strides
from flambeau.ops.kinds import NUMBER_TYPES, byte_strides, compute_name
from flambeau.ops.plan import NUMBER_DTYPES, Formula, Operand, Plan
from flambeau.runtime.system import engine


class Recipe:
    """How to get the gradients: a plan over g and saved values (None: just hand g on), and where
    its results go.

    operands: the plan's, by their place: 0 for g, 1 + number of a saved value; places: (input,
    result of the plan or -1 for g itself, shape to sum to or None) of every input that gets a
    gradient; count: of inputs.
    """

    __slots__ = ("plan", "operands", "places", "count")

    def __init__(
        self,
        plan: Plan | None,
        operands: list[int],
        places: list[tuple[int, int, Any]],
        count: int,
    ):
        self.plan, self.operands, self.places, self.count = plan, operands, places, count


def recipe_for(node: Node, spec: Spec) -> Recipe:
    """The recipe for a node's gradient of this spec."""
    recipes, key = node._plan.fused, (spec, node._needs)
    if key not in recipes:
        recipes[key] = make(node._plan, node._needs, spec)
    return recipes[key]  # type: ignore[no-any-return]


def run(recipe: Recipe, saved: Any, g: Any) -> tuple[Any, ...]:
    """The results of a recipe's plan."""
    if recipe.plan is None:
        return ()
    values = [g if k == 0 else saved[2 * (k - 1)] for k in recipe.operands]
    found = engine.core.execute_plan(recipe.plan, *values)
    return found if len(recipe.plan.outputs) > 1 else (found,)


def placed(recipe: Recipe, found: tuple[Any, ...], g: Any) -> list[Any]:
    """The results where they belong, summed over dimensions that were broadcast; None where an
    input needs no gradient.
    """
    results: list[Any] = [None] * recipe.count
    for place, source, shape in recipe.places:
        grad = g if source < 0 else found[source]
        results[place] = grad if shape is None else grad.sum_to_size(shape)
    return results


def backward(node: Node, saved: Any, g: Any) -> list[Any]:
    """Gradients of a pointwise node's inputs."""
    recipe = recipe_for(node, g._spec)
    return placed(recipe, run(recipe, saved, g), g)


def make(plan: Plan, needs: int, spec: Spec) -> Recipe:
    """Traces the rules of the inputs in `needs` for a gradient of this spec."""
    tracer = Tracer(plan, spec)
    expressions: list[Expr] = []
    places: list[tuple[int, int, Any]] = []
    output = plan.outputs[0]
    for i, operand in enumerate(plan.inputs):
        if not needs >> i & 1 or plan.gradient.fetch[i] is None:
            continue
        target = operand.spec
        assert isinstance(target, Spec)
        value = tracer.rule(i)
        if value is None:
            continue
        shape = None if target.shape == output.shape else tuple(target.shape)
        if value is tracer.g and target.dtype is spec.dtype:
            places.append((i, -1, shape))
            continue
        if value.dtype.startswith("complex") and not target.dtype.is_complex:
            value = value.real
        places.append((i, len(expressions), shape))
        expressions.append(value.to(compute_name(target.dtype)))
        tracer.outputs.append(target.dtype)
    if not expressions:
        return Recipe(None, [], places, len(plan.inputs))
    operands = [0 if kind == "g" else index + 1 for kind, index in tracer.sources]
    return Recipe(kernel(tracer, expressions), operands, places, len(plan.inputs))


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


def kernel(tracer: Tracer, expressions: list[Expr]) -> Plan:
    """The plan of traced expressions."""
    shape = tracer.plan.outputs[0].shape
    specs = [s for s in tracer.operands if isinstance(s, Spec)]
    layout = elementwise_strides(shape, [(s.shape, s.strides) for s in specs])
    outputs = [Spec.of(shape, layout, dtype, tracer.spec.device) for dtype in tracer.outputs]
    strides = [
        byte_strides(s, shape) if isinstance(s, Spec) else (0,) * len(shape)
        for s in tracer.operands
    ]
    strides += [tuple(x * o.itemsize for x in o.strides) for o in outputs]
    dtypes = [s.dtype.name if isinstance(s, Spec) else NUMBER_DTYPES[s] for s in tracer.operands]
    loops = plan_pointwise(expressions, dtypes, [o.dtype.name for o in outputs], shape, strides)
    operands = [Operand(spec, place) for place, spec in enumerate(tracer.operands)]
    plan = Plan(tracer.plan.op, operands, outputs)
    plan.formula = Formula(tuple(expressions), tuple(shape))
    return plan.use_kernel(loops)
