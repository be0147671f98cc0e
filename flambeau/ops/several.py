"""Plans that run the kernels of many others: one native call, whatever the number of tensors.

    plan = Plan(op, [...], [])
    use_several(plan, parts, places)    # places: which of the plan's buffers each part works on

Called by optim._fused, for a step over all parameters of a group, and by compiler.side_by_side. The
work is cut into chunks of about the same number of elements: small tensors share one, large ones
are cut, and the thread pool takes chunks. See runtime.several.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

from flambeau.ops.plan import GRAIN, RELEASE_FROM, Plan
from flambeau.ops.registry import engine
from flambeau.runtime import plan_block as fields
from flambeau.runtime.several import CHUNK_WORDS, PART_WORDS, run_several

PER_THREAD = 4  # chunks that a thread should find, so that the threads end together
LEAST = 1 << 13  # elements from which a chunk is worth its own


class Part(NamedTuple):
    """A kernel, its parameters, items and elements."""

    kernel: int
    params: int
    items: int
    elements: int

    @staticmethod
    def of(plan: Plan, elements: int) -> Part | None:
        """What a plan runs; None where that is more than one kernel on its operands."""
        words = plan.words
        simple = not (words[fields.B_SCRATCH] or words[fields.B_THEN] or words[fields.B_CAN_FAIL])
        if words[fields.B_KIND] != fields.KIND_KERNEL or not words[fields.B_KERNEL] or not simple:
            return None
        return Part(
            words[fields.B_KERNEL], words[fields.B_PARAMS], words[fields.B_ITEMS], max(1, elements)
        )


def chunks_of(parts: Sequence[Part], size: int) -> list[tuple[int, int, int, int]]:
    """(first part, last part, start, stop) of chunks of about `size` elements."""
    found: list[tuple[int, int, int, int]] = []
    first, gathered = 0, 0
    for i, part in enumerate(parts):
        if part.elements >= size and part.items > 1:
            if first < i:
                found.append((first, i - 1, 0, parts[first].items))
            step = max(1, size * part.items // part.elements)
            for start in range(0, part.items, step):
                found.append((i, i, start, min(part.items, start + step)))
            first, gathered = i + 1, 0
            continue
        gathered += part.elements
        if gathered >= size:
            found.append((first, i, 0, parts[first].items))
            first, gathered = i + 1, 0
    if first < len(parts):
        found.append((first, len(parts) - 1, 0, parts[first].items))
    return found


def use_several(
    plan: Plan, parts: Sequence[Part], places: Sequence[Sequence[int]], rows: Sequence[int] = ()
) -> Plan:
    """Lets a plan run the parts, which must not read what another one writes. places: which of the
    plan's buffers each part works on. rows: more words of the parameters.
    """
    total = sum(part.elements for part in parts)
    wanted = total // (PER_THREAD * engine.core.threads())
    chunks = chunks_of(parts, max(LEAST, min(GRAIN, wanted)))
    buffers = [(ctypes.c_int64 * max(1, len(own)))(*own) for own in places]
    table = (ctypes.c_int64 * (PART_WORDS * len(parts)))(
        *[
            word
            for part, own, memory in zip(parts, places, buffers, strict=True)
            for word in (*part[:3], len(own), ctypes.addressof(memory))
        ]
    )
    cuts = (ctypes.c_int64 * (CHUNK_WORDS * len(chunks)))(*[w for chunk in chunks for w in chunk])
    params = [ctypes.addressof(table), ctypes.addressof(cuts), *rows]
    plan.use_native(engine.core.address(run_several), params, len(chunks), total, 1)
    plan.words[fields.B_RELEASE] = int(total >= RELEASE_FROM)
    plan.keep += [buffers, table, cuts]
    return plan
