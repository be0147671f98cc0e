"""Kernels under observation: FLAMBEAU_DEBUG=2 prints each run with its time and speed,
FLAMBEAU_CHECK=1 traps NaN, and recordings (ops.launches) count what runs.

    observe(plan, "flat_69fc64315f7945c2621b04f4")     # from now on every run of it is seen

Called by ops.plan for each new plan while one of the three is on; otherwise nothing of this runs:
an observed plan has a watching function where its kernel stood.
"""

from __future__ import annotations

import ctypes
import sys
import time
from typing import Any, NamedTuple

from flambeau.core.config import config
from flambeau.core.spec import Spec
from flambeau.runtime import plan_block as fields

NAN_RESULT = 1000  # the error code with which a watching kernel reports NaN
SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Launch(NamedTuple):
    """One run of a plan's kernel: the op, and the bytes that it reads and writes."""

    op: str
    bytes: int


class Recording:
    """What ran since it was opened by `ops.launches.record`."""

    def __init__(self) -> None:
        self.log: list[Launch] = []

    @property
    def launches(self) -> int:
        """How many kernels ran."""
        return len(self.log)

    @property
    def bytes(self) -> int:
        """Bytes that they read and wrote, each operand and result once."""
        return sum(launch.bytes for launch in self.log)

    def __repr__(self) -> str:
        lines = [f"{launch.op} {launch.bytes}" for launch in self.log]
        return f"{self.launches} launches, {self.bytes} bytes: {', '.join(lines)}"


recordings: list[Recording] = []  # those that are open
# what stood in a plan before it was watched, put back when the last of them closes:
# (plan, which of its words, the word, the first thing that it keeps alive)
replaced: list[tuple[Any, int, int, Any, int]] = []


def is_observed() -> bool:
    """Whether new plans are to be watched."""
    return config.debug >= 2 or config.check or bool(recordings)


def restore() -> None:
    """Puts back what the recordings had watched."""
    while replaced:
        plan, word, value, first, kept = replaced.pop()
        plan.words[word], plan.keep[0] = value, first
        del plan.keep[kept:]


def observe(plan: Any, name: str) -> None:
    """Puts a watching function in the place of what the plan runs."""
    in_python = plan.words[fields.B_KIND] == fields.KIND_PYTHON
    word = fields.B_RUN if in_python else fields.B_KERNEL
    if plan.words[word] == 0:
        return
    if recordings:
        replaced.append((plan, word, plan.words[word], plan.keep[0], len(plan.keep)))
    if in_python:
        observe_python(plan)
    else:
        observe_kernel(plan, name)


def observe_python(plan: Any) -> None:
    """A plan of NumPy code: counted, and otherwise left alone."""
    run, moved = plan.keep[0], bytes_moved(plan)

    def watched(*inputs: Any) -> Any:
        count(plan, moved)
        return run(*inputs)

    plan.keep[0] = watched
    plan.keep.append(run)
    plan.words[fields.B_RUN] = id(watched)


def observe_kernel(plan: Any, name: str) -> None:
    """Wraps the plan's kernel; with FLAMBEAU_CHECK the plan runs on one thread and may fail."""
    words = plan.words
    call = SIGNATURE(words[fields.B_KERNEL])
    moved = bytes_moved(plan)
    if config.check:
        words[fields.B_CAN_FAIL], words[fields.B_RELEASE] = 1, 0

    def run(buffers: int, params: int, start: int, stop: int) -> None:
        if start == 0:  # a kernel over threads runs in pieces
            count(plan, moved)
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


def count(plan: Any, moved: int) -> None:
    """Enters one run into the open recordings."""
    for recording in recordings:
        recording.log.append(Launch(str(plan.op), moved))


def bytes_moved(plan: Any) -> int:
    """Bytes of the operands and results; what is broadcast is read once."""
    specs = [o.spec for o in plan.inputs if isinstance(o.spec, Spec)] + list(plan.outputs)
    return sum(distinct_bytes(spec) for spec in specs)


def distinct_bytes(spec: Spec) -> int:
    """Bytes of the elements that have a place of their own."""
    total = spec.itemsize
    for size, stride in zip(spec.shape, spec.strides, strict=True):
        total *= size if stride or not size else 1
    return total


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
