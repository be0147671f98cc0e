"""Modes of a thread (no_grad, inference ...) in native code, where the dispatcher looks at them.

Hardly any thread has a mode, hardly ever: the look costs one load then. Threads are told apart by
the number that CPython gives each of them once and for all, so a new thread never finds the modes
of one that ended. Set from Python by autograd.modes:

    before = core.set_mode(core.get_mode() | NO_GRAD)
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, Static, i64, native, ptr, ptrp, u64, void
from flambeau.runtime.objects import (
    MODE_THREADS,
    PyLong_FromLongLong,
    as_integer,
    world,
)

PyThreadState_Get = Extern("PyThreadState_Get", ptr)
PyThreadState_GetID = Extern("PyThreadState_GetID", u64, ptr)
PyThreadState_Next = Extern("PyThreadState_Next", ptr, ptr)
PyInterpreterState_Get = Extern("PyInterpreterState_Get", ptr)
PyInterpreterState_ThreadHead = Extern("PyInterpreterState_ThreadHead", ptr, ptr)

MAX_THREADS = 256
mode_table = Static("mode_table", i64, 2 * MAX_THREADS)  # (thread, its mode bits), 0 where free
NO_GRAD, INFERENCE = 1, 2
AUTOCAST = 4  # calls of the ops that autocast concerns go to Python
WATCH = 8  # new graph nodes are shown to Python: hooks for saved tensors are set
TRACE = 16  # every plan that runs is told to Python: a backward program is made
WATCH_ALL = 32  # as WATCH, for every thread at once: anomaly mode
common_mode = Static("common_mode", i64, 1)


@native
def this_thread() -> i64:
    return i64(PyThreadState_GetID(PyThreadState_Get()))


@native
def thread_mode() -> i64:
    """Mode bits of the calling thread."""
    if world[MODE_THREADS] == 0:
        return 0
    me, left = this_thread(), world[MODE_THREADS]
    for i in range(MAX_THREADS):
        if mode_table[2 * i + 1] != 0:
            if mode_table[2 * i] == me:
                return mode_table[2 * i + 1] | common_mode[0]
            left -= 1
            if left == 0:
                break
    return common_mode[0]


@native
def is_alive(thread: i64) -> i64:
    state = PyInterpreterState_ThreadHead(PyInterpreterState_Get())
    while state != None:  # noqa: E711
        if i64(PyThreadState_GetID(state)) == thread:
            return 1
        state = PyThreadState_Next(state)
    return 0


@native
def forget_ended_threads() -> i64:
    """Frees the places of threads that ended with a mode; returns one of them, or -1."""
    free = i64(-1)
    for i in range(MAX_THREADS):
        if mode_table[2 * i + 1] != 0 and is_alive(mode_table[2 * i]) == 0:
            mode_table[2 * i + 1] = 0
            world[MODE_THREADS] -= 1
            free = i
    return free


@native
def set_thread_mode(mode: i64) -> i64:
    """Sets the calling thread's mode; 0 when too many threads have one."""
    me = this_thread()
    bits = mode & (WATCH_ALL - 1)
    place = i64(-1)
    for i in range(MAX_THREADS):
        if mode_table[2 * i + 1] != 0:
            if mode_table[2 * i] == me:
                mode_table[2 * i + 1] = bits
                if bits == 0:
                    world[MODE_THREADS] -= 1
                return 1
        elif place < 0:
            place = i
    if bits != 0:
        if place < 0:
            place = forget_ended_threads()
        if place < 0:
            return 0
        mode_table[2 * place] = me
        mode_table[2 * place + 1] = bits
        world[MODE_THREADS] += 1
    return 1


@native
def set_common_mode(mode: i64) -> void:
    """Sets bits for all threads; counts as one more thread with a mode, so that everybody looks."""
    if common_mode[0] == 0 and mode != 0:
        world[MODE_THREADS] += 1
    if common_mode[0] != 0 and mode == 0:
        world[MODE_THREADS] -= 1
    common_mode[0] = mode


@native
def get_mode(self: ptr, args: ptrp, nargs: i64) -> ptr:
    return PyLong_FromLongLong(thread_mode())


@native
def set_mode(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """set_mode(bits): 0 when too many threads have modes already."""
    return PyLong_FromLongLong(set_thread_mode(as_integer(args[0])))


@native
def set_mode_of_all(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """set_mode_of_all(bits): what every thread's mode has, beside its own bits."""
    set_common_mode(as_integer(args[0]))
    return PyLong_FromLongLong(0)
