"""Matrix products with what follows them: a pointwise step of a product's result becomes the
epilogue of the product.

    steps = with_epilogues(fuse(tape.steps, kept), kept)

Called by compiler.build. The product's kernel keeps a tile of its result in registers and stores
what the pointwise step makes of it: with a bias, an activation, the sum with a residual, and in a
backward pass the derivative of an activation. The product itself is written only if somebody else
reads it, a backward pass for example. The arithmetic of both stays what it was, so the results are
the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.codegen.expr import Expr
from flambeau.compiler.fuse import WORTH, touched
from flambeau.compiler.tape import Buffer, Renewed, Step, Value
from flambeau.ops.kernels.gemm_native import MOST_OPERANDS
from flambeau.ops.plan import Formula, Multiplication, Operand, Plan
from flambeau.ops.products import with_epilogue
from flambeau.runtime import plan_block as fields

REACH = 16  # how many steps after a product its epilogue may come
# most operands and results as large as the product's: tiles walk through each of them in short
# pieces, so what moves much memory, as the update of an optimizer, is better off by itself
MOST_WHOLE = 4


def with_epilogues(steps: Sequence[Any], kept: set[Buffer]) -> list[Any]:
    """The steps, where products compute what follows them."""
    found = list(steps)
    place = 0
    while place < len(found):
        product = found[place]
        if isinstance(product, Step) and isinstance(product.plan.formula, Multiplication):
            follow(found, place, kept)
        place += 1
    return found


def follow(steps: list[Any], place: int, kept: set[Buffer]) -> None:
    """Joins the product at `place` with the first step that computes with its result, if any."""
    product = steps[place]
    value = product.outputs[0]
    if value.spec.shape != product.plan.formula.c.shape or 2 * value.spec.nbytes < WORTH:
        return
    for later in range(place + 1, min(place + 1 + REACH, len(steps))):
        step = steps[later]
        if value.buffer in touched(step)[0] | touched(step)[1]:
            break
    else:
        return
    between = steps[place + 1 : later]
    if not continues(product, step) or not (
        can_wait(product, between) or can_advance(step, value, between)
    ):
        return
    readers = {b for s in steps[later + 1 :] for b in touched(s)[0]}
    needed = not value.buffer.internal or value.buffer in kept | readers
    joined = join(product, step, needed)
    if joined is None:
        return
    if can_wait(product, between):
        steps[place : later + 1] = [*between, joined]
    else:
        steps[place : later + 1] = [joined, *between]


def continues(product: Step, step: Any) -> bool:
    """Whether a step computes, element by element, with the result of a product."""
    value = product.outputs[0]
    if not isinstance(step, Step) or not isinstance(step.plan.formula, Formula):
        return False
    if step.plan.formula.shape != value.spec.shape or step.plan.words[fields.B_CAN_FAIL]:
        return False
    values = {x for x in (*step.inputs, *step.outputs) if isinstance(x, Value)}
    if (
        step.plan.formula.written
        or sum(x.spec.numel == value.spec.numel for x in values) > MOST_WHOLE
    ):
        return False
    written = {v.buffer for v in step.outputs}
    if written & {x.buffer for x in product.inputs if isinstance(x, Value)}:
        return False  # the other parts of the product still read them
    for x in step.inputs:
        if isinstance(x, Value) and x != value:
            if x.buffer is value.buffer or x.buffer in written and x not in step.outputs:
                return False  # other elements than those that are there
    return value in step.inputs


def can_wait(product: Step, between: Sequence[Any]) -> bool:
    """Whether the product may run after other steps, none of which touches its result."""
    read = {x.buffer for x in product.inputs if isinstance(x, Value)}
    return not any(touched(step)[1] & read for step in between)


def can_advance(step: Step, value: Value, between: Sequence[Any]) -> bool:
    """Whether a step may run before others."""
    read = {x.buffer for x in step.inputs if isinstance(x, Value) and x != value}
    written = {v.buffer for v in step.outputs}
    if any(isinstance(x, Renewed) for x in step.inputs):
        return False
    for other in between:
        reads, writes = touched(other)
        if writes & (read | written) or reads & written:
            return False
    return True


def join(product: Step, step: Step, needed: bool) -> Step | None:
    """One kernel for both; `needed`: whether the product itself is read afterwards. If it is not,
    its sums grow in the memory of a result that can take them.
    """
    value, formula = product.outputs[0], step.plan.formula
    assert isinstance(formula, Formula) and isinstance(product.plan.formula, Multiplication)
    expressions, outputs = formula.expressions, list(step.outputs)
    operands = list(zip(step.inputs, step.plan.inputs, strict=True))
    operands = operands[: len(operands) - formula.written]
    others = [(x, operand.spec) for x, operand in operands if x != value]
    read = {x.buffer for x, _ in others if isinstance(x, Value)}
    hosts = [v for v in outputs if v.spec is value.spec and v.buffer not in read]
    if value not in outputs and (needed or not hosts):
        first = next(i for i, (x, _) in enumerate(operands) if x == value)
        expressions += (Expr.input(first, value.spec.dtype.name),)
        outputs.append(value)
    host = value if value in outputs else hosts[0]
    inputs = [*product.inputs, *(x for x, _ in others)]
    if len(inputs) + len(outputs) > MOST_OPERANDS or len(outputs) > fields.MAX_OUTPUTS:
        return None
    numbers = iter(range(len(product.inputs), len(inputs)))
    places = [-1 if x == value else next(numbers) for x, _ in operands]
    places += range(len(inputs), len(inputs) + len(outputs))
    kinds = [operand.spec for operand in product.plan.inputs] + [kind for _, kind in others]
    specs = [v.spec for v in outputs]
    plan = Plan("product", [Operand(kind, i) for i, kind in enumerate(kinds)], specs)
    kinds = [operand.spec for _, operand in operands]
    used = with_epilogue(
        plan,
        product.plan.formula,
        formula._replace(expressions=expressions),
        [*kinds, *specs],
        places,
        len(inputs) + outputs.index(host),
    )
    return None if used is None else Step(plan, inputs, outputs, -1)
