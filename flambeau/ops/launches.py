"""Counts the kernels that a piece of program launches, and the bytes that they move.

    with record() as kernels:
        y = torch.softmax(x, 1)
    kernels.launches, kernels.bytes                # 1 kernel, which reads x and writes y

For tests of structure (tests/test_structure.py) and for looking into a program; nothing in the
engine calls it, and it costs nothing while no recording is open.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from flambeau.ops import observe
from flambeau.ops.plan import Plan


@contextlib.contextmanager
def record() -> Iterator[observe.Recording]:
    """Counts the kernels of all plans that run in the `with` block, in every thread.

    Plans cover every op, the fused backward of pointwise ops and the updates of optimizers. What
    writes memory without a plan is not seen: random numbers, boolean masks that are counted first.

    >>> x = torch.ones(3)
    >>> with record() as kernels:
    ...     y = x + x
    >>> kernels
    1 launches, 36 bytes: add 36
    """
    recording = observe.Recording()
    observe.recordings.append(recording)
    if len(observe.recordings) == 1:
        for item in gc.get_objects():
            if type(item) is Plan:
                observe.observe(item, str(item.op))
    try:
        yield recording
    finally:
        observe.recordings.remove(recording)
        if not observe.recordings:
            observe.restore()
