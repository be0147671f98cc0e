"""What each thread has switched off, in native code: recording for gradients, or native calls.

autograd.modes sets it (`no_grad`, `inference_mode`), runtime.dispatch asks at every call:

    before = set_thread_mode(NO_GRAD)       # ... and set_thread_mode(before) at the end
"""

from __future__ import annotations

from flambeau.codegen.native import (
    Extern,
    Static,
    i64,
    native,
    ptr,
    ptrp,
)
from flambeau.runtime.objects import (
    MODE_THREADS,
    PyLong_FromLongLong,
    as_integer,
    world,
)

PyThread_get_thread_ident = Extern("PyThread_get_thread_ident", i64)

# threads whose mode is not the default, as (thread identity, mode bits)
MAX_THREADS = 64
mode_table = Static("mode_table", i64, 2 * MAX_THREADS)
NO_GRAD, INFERENCE, PYTHON_ONLY = 1, 2, 4


@native
def thread_mode() -> i64:
    """Mode bits of the calling thread; no thread has any, nearly always."""
    if world[MODE_THREADS] == 0:
        return 0
    me = PyThread_get_thread_ident()
    for i in range(MAX_THREADS):
        if mode_table[2 * i] == me and mode_table[2 * i + 1] != 0:
            return mode_table[2 * i + 1]
    return 0


@native
def set_thread_mode(mode: i64) -> i64:
    """Sets the calling thread's mode, returns the one before; -1 when too many threads have one."""
    me = PyThread_get_thread_ident()
    place = i64(-1)
    for i in range(MAX_THREADS):
        if mode_table[2 * i + 1] != 0:
            if mode_table[2 * i] == me:
                before = mode_table[2 * i + 1]
                mode_table[2 * i + 1] = mode
                if mode == 0:
                    world[MODE_THREADS] -= 1
                return before
        elif place < 0:
            place = i
    if mode != 0:
        if place < 0:
            return -1
        mode_table[2 * place] = me
        mode_table[2 * place + 1] = mode
        world[MODE_THREADS] += 1
    return 0


@native
def get_mode(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return PyLong_FromLongLong(thread_mode())


@native
def set_mode(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return PyLong_FromLongLong(set_thread_mode(as_integer(args[0])))
