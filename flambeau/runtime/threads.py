"""The thread pool, in native code: splits a kernel's axis over the processor's cores.

`parallel_for(kernel, buffers, params, items, grain)` runs `kernel(buffers, params, start, stop)`
over [0, items) in chunks of `grain`; 0 means that one thread does it all. Called by
runtime.dispatch, without the GIL.

Workers are system threads that never touch Python: they spin for some microseconds after a job and
then sleep. The caller takes chunks itself and waits for chunks to be done, never for a worker to
wake, because waking takes 100 us. Each thread has a queue of neighbouring chunks, the same ones
whenever a job has as many, so that what one job wrote lies in the cache of the processor that the
next one reads it on; whoever has done his own helps the others. One job runs at a time; a second
caller (another Python thread, a nested call) does its work alone. `entered` counts the workers that
look at the job: its fields change only while nobody does. After a fork the child starts with no
workers (`forget_workers`).
"""

from __future__ import annotations

import sys

from flambeau.codegen.native import (
    Extern,
    Signature,
    Static,
    atomic_add,
    atomic_load,
    atomic_store,
    atomic_swap,
    cpu_pause,
    i32,
    i64,
    native,
    ptr,
    ptrp,
    void,
)

POSIX = sys.platform != "win32"
pthread_create = Extern("pthread_create", i32, ptr, ptr, ptr, ptr)
pthread_join = Extern("pthread_join", i32, ptr, ptr)
pthread_mutex_lock = Extern("pthread_mutex_lock", i32, ptr)
pthread_mutex_unlock = Extern("pthread_mutex_unlock", i32, ptr)
pthread_cond_wait = Extern("pthread_cond_wait", i32, ptr, ptr)
pthread_cond_broadcast = Extern("pthread_cond_broadcast", i32, ptr)
pthread_mutex_init = Extern("pthread_mutex_init", i32, ptr, ptr)
pthread_cond_init = Extern("pthread_cond_init", i32, ptr, ptr)
sched_yield = Extern("sched_yield", i32)
PyLong_FromLongLong = Extern("PyLong_FromLongLong", ptr, i64)
Kernel = Signature(void, ptr, ptr, i64, i64)

MAX_WORKERS = 255
PATIENCE = 2000  # pauses before a wait lets others have the processor: who is awaited may need it
SPIN = PATIENCE + 2000  # rounds of a worker's wait for work before it sleeps: about a millisecond
# words of `pool`, each on its own cache line
LINE = 8
WANTED, STARTED, BUSY, OPEN, DONE, ENTERED, SLEEPING, QUIT, GENERATION = (
    LINE * i for i in range(9)
)
JOB_KERNEL, JOB_BUFFERS, JOB_PARAMS, JOB_ITEMS, JOB_GRAIN, JOB_QUEUES = (80 + i for i in range(6))
pool = Static("pool", i64, 128)
taken = Static("pool_taken", i64, LINE * (MAX_WORKERS + 1))  # chunks of each queue so far
handles = Static("pool_handles", ptr, MAX_WORKERS)
mutex = Static("pool_mutex", i64, 16)
condition = Static("pool_condition", i64, 16)


@native
def take_chunks(own: i64) -> void:
    """Does chunks of the open job until none is left: those of queue `own`, then of the others."""
    items, grain, queues = pool[JOB_ITEMS], pool[JOB_GRAIN], pool[JOB_QUEUES]
    chunks, done, queue = (items + grain - 1) // grain, i64(0), own
    for _ in range(queues):
        first, end = queue * chunks // queues, (queue + 1) * chunks // queues
        while True:
            start = (first + atomic_add(taken + LINE * queue, 1)) * grain
            if start >= end * grain:
                break
            stop = start + grain if start + grain < items else items
            Kernel(pool[JOB_KERNEL])(ptr(pool[JOB_BUFFERS]), ptr(pool[JOB_PARAMS]), start, stop)
            done += stop - start
        queue = queue + 1 if queue + 1 < queues else 0
    atomic_add(pool + DONE, done)


@native
def wait_a_little(spins: i64) -> i64:
    """One more round of a wait; returns how many there were."""
    if spins < PATIENCE:
        cpu_pause()
    else:
        sched_yield()
    return spins + 1


@native
def worker(own: ptr) -> ptr:
    seen = i64(0)
    while True:
        spins = i64(0)
        while atomic_load(pool + OPEN) == seen or atomic_load(pool + OPEN) == 0:
            if atomic_load(pool + QUIT) != 0:
                return None
            spins = wait_a_little(spins)
            if spins > SPIN:
                pthread_mutex_lock(mutex)
                atomic_add(pool + SLEEPING, 1)
                # once: a job that is over by the time a worker wakes is often followed by others
                if (
                    atomic_load(pool + OPEN) == 0 or atomic_load(pool + OPEN) == seen
                ) and atomic_load(pool + QUIT) == 0:
                    pthread_cond_wait(condition, mutex)
                atomic_add(pool + SLEEPING, -1)
                pthread_mutex_unlock(mutex)
                spins = 0
        atomic_add(pool + ENTERED, 1)
        job = atomic_load(pool + OPEN)
        if job != 0:
            take_chunks(i64(own))
            seen = job
        atomic_add(pool + ENTERED, -1)
    return None


@native
def start_workers() -> void:
    while pool[STARTED] < pool[WANTED]:
        if pthread_create(handles + pool[STARTED], None, worker, ptr(pool[STARTED] + 1)) != 0:
            # the system refuses more threads: go on with those there are
            pool[WANTED] = pool[STARTED]
            return
        pool[STARTED] += 1


@native
def parallel_for(kernel: ptr, buffers: ptr, params: ptr, items: i64, grain: i64) -> void:
    if POSIX and grain > 0 and items > grain and pool[WANTED] > 0:
        if atomic_swap(pool + BUSY, 0, 1):
            if pool[STARTED] < pool[WANTED]:
                start_workers()
            pool[JOB_KERNEL] = i64(kernel)
            pool[JOB_BUFFERS] = i64(buffers)
            pool[JOB_PARAMS] = i64(params)
            pool[JOB_ITEMS] = items
            pool[JOB_GRAIN] = grain
            pool[JOB_QUEUES] = pool[STARTED] + 1
            for queue in range(pool[STARTED] + 1):
                taken[LINE * queue] = 0
            atomic_store(pool + DONE, 0)
            pool[GENERATION] += 1
            atomic_store(pool + OPEN, pool[GENERATION])
            if atomic_load(pool + SLEEPING) > 0:
                pthread_mutex_lock(mutex)
                pthread_cond_broadcast(condition)
                pthread_mutex_unlock(mutex)
            take_chunks(0)
            spins = i64(0)
            while atomic_load(pool + DONE) < items:
                spins = wait_a_little(spins)
            atomic_store(pool + OPEN, 0)
            while atomic_load(pool + ENTERED) > 0:
                spins = wait_a_little(spins)
            atomic_store(pool + BUSY, 0)
            return
    Kernel(kernel)(buffers, params, 0, items)


@native
def stop_workers(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """Ends and joins the workers: at exit, and before their number is lowered. A job that runs on
    another Python thread ends first.
    """
    if POSIX and pool[STARTED] > 0:
        spins = i64(0)
        while not atomic_swap(pool + BUSY, 0, 1):
            spins = wait_a_little(spins)
        atomic_store(pool + QUIT, 1)
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
        for i in range(pool[STARTED]):
            pthread_join(handles[i], None)
        pool[STARTED] = 0
        atomic_store(pool + QUIT, 0)
        atomic_store(pool + BUSY, 0)
    return PyLong_FromLongLong(pool[WANTED])


@native
def forget_workers(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """A forked child has the pool's memory but none of its threads."""
    pool[STARTED] = 0
    atomic_store(pool + BUSY, 0)
    atomic_store(pool + OPEN, 0)
    atomic_store(pool + ENTERED, 0)
    atomic_store(pool + SLEEPING, 0)
    if POSIX:
        pthread_mutex_init(mutex, None)
        pthread_cond_init(condition, None)
    return PyLong_FromLongLong(pool[WANTED])


@native
def pool_words() -> i64:
    return i64(pool)
