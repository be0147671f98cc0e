"""The loss of picked classes: minus the log-probability of each sample's class, in one native pass.

    loss, weight = picked_loss(log_probabilities, target, None, "mean", -100)

Called by nn.functional.class_loss for matrices (samples, classes). The gradient is one pass too,
and linear, so that its own gradient is the loss again.
"""

from __future__ import annotations

import functools
from typing import Any

from flambeau.codegen.llvm import load
from flambeau.codegen.native import (
    Unit,
    f32,
    f64,
    fill_memory,
    i64,
    i64p,
    native,
    pointer,
    ptrp,
    void,
)
from flambeau.ops.kinds import structured
from flambeau.runtime.plan_block import B_CAN_FAIL

# replaced by `Unit`: element type, its pointer, whether there are class weights
T, TP, WEIGHTED = f32, pointer(f32), 0
SAMPLES, CLASSES, ROW, COLUMN, STEP, IGNORED, MODE = range(7)
NONE, MEAN, SUM = range(3)
MODES = {"none": NONE, "mean": MEAN, "sum": SUM}


@native
def forward(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: log-probabilities, targets, weights if any, then the loss, its weight, the flag."""
    x: TP = buffers[0]
    target: i64p = buffers[1]
    weights: TP = buffers[2]
    out: TP = buffers[2 + WEIGHTED]
    total: TP = buffers[3 + WEIGHTED]
    flag: i64p = buffers[4 + WEIGHTED]
    loss, mass = f64(0), f64(0)
    for i in range(params[SAMPLES]):
        chosen = target[i * params[STEP]]
        value = f64(0)
        if chosen != params[IGNORED]:
            if chosen < 0 or chosen >= params[CLASSES]:
                flag[0] = chosen * 2 + 1
                return
            weight = f64(1)
            if WEIGHTED:
                weight = f64(weights[chosen])
            value = -f64(x[i * params[ROW] + chosen * params[COLUMN]]) * weight
            loss += value
            mass += weight
        if params[MODE] == NONE:
            out[i] = T(value)
    total[0] = T(mass)
    if params[MODE] == MEAN:
        out[0] = T(loss / mass)
    if params[MODE] == SUM:
        out[0] = T(loss)


@native
def backward(buffers: ptrp, params: i64p, start: i64, stop: i64) -> void:
    """Buffers: incoming gradient, targets, the loss's weight, class weights if any, the result."""
    incoming: TP = buffers[0]
    target: i64p = buffers[1]
    total: TP = buffers[2]
    weights: TP = buffers[3]
    out: TP = buffers[3 + WEIGHTED]
    fill_memory(out, 0, params[SAMPLES] * params[CLASSES] * (TP_BYTES))
    for i in range(params[SAMPLES]):
        chosen = target[i * params[STEP]]
        if chosen != params[IGNORED]:
            share = f64(incoming[0])
            if params[MODE] == NONE:
                share = f64(incoming[i * params[ROW]])
            if params[MODE] == MEAN:
                share = share / f64(total[0])
            if WEIGHTED:
                share = share * f64(weights[chosen])
            out[i * params[CLASSES] + chosen] = T(-share)


TP_BYTES = 4  # replaced by `Unit`: bytes of an element


@functools.cache
def address(name: str, dtype: str, weighted: bool) -> int:
    """The kernel of this name for a dtype."""
    function = forward if name == "forward" else backward
    element = f32 if dtype == "float32" else f64
    unit = Unit(
        f"picked_{name}_{dtype}_{int(weighted)}",
        [function],
        T=element,
        TP=pointer(element),
        WEIGHTED=int(weighted),
        TP_BYTES=4 if dtype == "float32" else 8,
    )
    symbol = unit.symbol(function)
    return load("picked-" + unit.key(), unit.text_with_intrinsics, [symbol])[symbol]


@structured(
    public=None,
    methods=(),
    node="NllLossBackward",
    grad={
        "input": lambda g0, target, weight, y1, input_like, reduction, ignore_index: (
            picked_back.call(g0, target, y1, weight, input_like.shape[1], reduction, ignore_index)
        )
    },
)
def picked_loss(call, input, target, weight, reduction, ignore_index):
    """Minus input[i, target[i]], weighted and reduced; and the sum of the weights."""
    x, t = input._spec, target._spec
    shape = (x.shape[0],) if reduction == "none" else ()
    names = ("input", "target") if weight is None else ("input", "target", "weight")
    plan = call.plan(names, [x.like(shape), x.like(())])
    step = t.strides[0] if t.ndim else 0
    params = [*x.shape, *x.strides, step, ignore_index, MODES[reduction]]
    plan.use_native(address("forward", x.dtype.name, weight is not None), params)
    plan.words[B_CAN_FAIL] = 1
    return plan


picked_loss.failure = lambda plan, code: IndexError(f"Target {code // 2} is out of bounds.")


@structured(
    public=None,
    methods=(),
    node="NllLossBackwardBackward",
    grad={
        "incoming": lambda g, target, weight, reduction, ignore_index: picked_loss.call(
            g, target, weight, reduction, ignore_index
        )[0]
    },
)
def picked_back(call, incoming, target, total, weight, classes, reduction, ignore_index):
    """The gradient of `picked_loss`: zero but at the picked places."""
    g, t = incoming._spec, target._spec
    samples = t.shape[0] if t.ndim else 1
    names = ("incoming", "target", "total") + (() if weight is None else ("weight",))
    plan = call.plan(names, [g.like((samples, classes))])
    step = t.strides[0] if t.ndim else 0
    row = g.strides[0] if g.ndim else 0
    params = [samples, classes, row, 0, step, ignore_index, MODES[reduction]]
    return plan.use_native(address("backward", g.dtype.name, weight is not None), params)


def applies(input: Any, target: Any, weight: Any) -> bool:
    """Whether the native pass takes these: a matrix of floats, int64 classes, dense weights."""
    return (
        input.ndim == 2
        and target.ndim == 1
        and input._spec.dtype.name in ("float32", "float64")
        and target._spec.dtype.name == "int64"
        and (weight is None or weight._spec.contiguous and weight._node is None)
        and input._spec.device.type == "cpu"
    )
