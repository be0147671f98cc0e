"""Kernels under observation: FLAMBEAU_DEBUG=2 prints each run with its time and speed,
FLAMBEAU_CHECK=1 traps NaN.

    # puts a watching kernel in the place of the plan's own
    observe(plan, "flat_69fc64315f7945c2621b04f4")

Called by ops.plan when one of the two switches is on; otherwise nothing of this runs.
"""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any

from flambeau.core.config import config
from flambeau.core.spec import Spec
from flambeau.runtime import plan_block as fields

NAN_RESULT = 1000  # the error code with which a watching kernel reports NaN
SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def observe(plan: Any, name: str) -> None:
    """Wraps the plan's kernel; with FLAMBEAU_CHECK the plan runs on one thread and may fail."""
    words = plan.words
    call = SIGNATURE(words[fields.B_KERNEL])
    moved = sum(o.spec.nbytes for o in plan.inputs if isinstance(o.spec, Spec)) + sum(
        spec.nbytes for spec in plan.outputs
    )
    if config.check:
        words[fields.B_CAN_FAIL], words[fields.B_RELEASE] = 1, 0

    def run(buffers: int, params: int, start: int, stop: int) -> None:
        began = time.perf_counter()
        call(buffers, params, start, stop)
        seconds = time.perf_counter() - began
        if config.debug >= 2:
            speed = moved * (stop - start) / max(1, words[fields.B_ITEMS]) / seconds / 1e9
            print(
                f"flambeau: {plan.op} {name} [{start}, {stop}) {seconds * 1e6:.1f} us "
                f"{speed:.1f} GB/s",
                file=sys.stderr,
            )
        if config.check and words[fields.B_THEN] == 0:
            trap(plan, buffers)

    wrapper = SIGNATURE(run)
    plan.keep += [call, wrapper]
    words[fields.B_KERNEL] = ctypes.cast(wrapper, ctypes.c_void_p).value or 0


def trap(plan: Any, buffers: int) -> None:
    """Reports NaN in a result whose inputs had none."""
    inputs = [o.spec for o in plan.inputs]
    places = (ctypes.c_int64 * (len(inputs) + len(plan.outputs) + 2)).from_address(buffers)
    if any(isinstance(spec, Spec) and has_nan(spec, places[i]) for i, spec in enumerate(inputs)):
        return
    for k, spec in enumerate(plan.outputs):
        if has_nan(spec, places[len(inputs) + k]):
            flag = len(inputs) + len(plan.outputs) + int(plan.words[fields.B_SCRATCH] != 0)
            ctypes.c_int64.from_address(places[flag]).value = NAN_RESULT


def has_nan(spec: Spec, address: int) -> bool:
    """Whether a tensor's memory holds NaN."""
    import numpy

    if (
        not (spec.dtype.is_floating_point or spec.dtype.is_complex)
        or spec.dtype.numpy_name is None
        or not spec.numel
        or not address
    ):
        return False
    last = sum((n - 1) * s for n, s in zip(spec.shape, spec.strides, strict=True))
    memory: Any = (ctypes.c_char * ((last + 1) * spec.itemsize)).from_address(address)
    strides = tuple(s * spec.itemsize for s in spec.strides)
    return bool(
        numpy.isnan(
            numpy.ndarray(tuple(spec.shape), spec.dtype.numpy_name, memory, 0, strides)
        ).any()
    )


def nan_error(plan: Any) -> FloatingPointError:
    """What the trap raises."""
    shapes = ", ".join(str(tuple(o.spec.shape)) for o in plan.inputs if isinstance(o.spec, Spec))
    return FloatingPointError(
        f"{plan.op}: NaN in the result of operands without NaN, "
        f"of shapes {shapes} (FLAMBEAU_CHECK=1)"
    )
