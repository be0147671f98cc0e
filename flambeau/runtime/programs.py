"""Backward programs in native code: the plans that the gradient rules of a node come down to, run
one after the other. Made by autograd.programs, run by runtime.backward:

    program = find_program(block, needs, entry)         # for gradients of these specs
    run_values(program, inputs, values, saved, results)

Programs hang on the forward plan's block (word B_BACKWARD), in a list. The words of one: its head,
the specs of the gradients (0: none), the source of each input's gradient, the saved ints that it
was made for (place, value), and the steps. A step without a plan makes a tensor with undefined
contents: its operands are the spec and the bytes. A source
says where a value comes from: a gradient or a step's result (by number), a saved value (by its
place in the node's `_saved`), or an object of its own.
"""

from __future__ import annotations

from flambeau.codegen.native import Extern, i32, i64, i64p, native, ptr, ptrp, stack, unlikely
from flambeau.runtime.dispatch import run
from flambeau.runtime.memory import DATA, NBYTES, Py_DecRef, Py_IncRef, new_storage
from flambeau.runtime.objects import (
    NONE,
    SLOT_SPEC,
    ZERO,
    PyLong_FromLongLong,
    PyTuple_GetItem,
    as_integer,
    slot,
    world,
)  # fmt: skip
from flambeau.runtime.pass_entries import GRAD, OTHERS
from flambeau.runtime.plan_block import B_BACKWARD, B_INPUT, B_INPUTS, MAX_INPUTS
from flambeau.runtime.plan_table import MAX_OPERANDS, PyList_GetItem, PyList_Size
from flambeau.runtime.records import PyList_Append, PyList_New, new_tensor, none
from flambeau.runtime.thread_modes import NO_GRAD

memcmp = Extern("memcmp", i32, ptr, ptr, i64)

(
    R_NEXT, R_NEEDS, R_PYTHON, R_READS_SAVED, R_GRADS, R_VALUES, R_STEPS, R_NUMBERS, R_HEAD,
) = range(9)  # fmt: skip
# words of a step: then its operands' sources and the values that nobody needs after it
T_BLOCK, T_OPERANDS, T_RESULTS, T_FIRST, T_DROPS, T_HEAD = range(6)
# low bits of a source; the address of an object is a multiple of 4
SAVED_BIT, CONSTANT_BIT, NOTHING = 1, 2, -1
MAX_VALUES = 128


@native
def has_numbers(program: i64p, inputs: i64, saved: ptr) -> i64:
    """Whether the ints that a node saved are those that a program was made for."""
    numbers = program + R_HEAD + program[R_GRADS] + inputs
    for i in range(program[R_NUMBERS]):
        if i64(saved) == world[NONE]:
            return 0
        if as_integer(PyTuple_GetItem(saved, numbers[2 * i])) != numbers[2 * i + 1]:
            return 0
    return 1


@native
def find_program(block: i64p, needs: i64, entry: i64p, saved: ptr) -> i64p:
    """The program for the gradients that have arrived, or null."""
    program: i64p = ptr(block[B_BACKWARD])
    while program != None:  # noqa: E711
        if program[R_NEEDS] == needs and has_numbers(program, block[B_INPUTS], saved):
            same = i64(0)
            for k in range(program[R_GRADS]):
                grad = ptr(entry[GRAD])
                if k > 0:
                    grad = None
                    if entry[OTHERS] != 0 and k <= PyList_Size(ptr(entry[OTHERS])):
                        grad = PyList_GetItem(ptr(entry[OTHERS]), k - 1)
                        if i64(grad) == world[NONE]:
                            grad = None
                spec = i64(0)
                if grad != None:  # noqa: E711
                    spec = i64(slot(grad, world[SLOT_SPEC]))
                if program[R_HEAD + k] != spec:
                    break
                same += 1
            if same == program[R_GRADS]:
                return program
        program = ptr(program[R_NEXT])
    return None


@native
def fetch(source: i64, values: ptrp, saved: ptr) -> ptr:
    """What a source stands for, borrowed."""
    if source & CONSTANT_BIT:
        return ptr(source - CONSTANT_BIT)
    if source & SAVED_BIT:
        return PyTuple_GetItem(saved, source >> 2)
    return values[source >> 2]


@native
def run_steps(program: i64p, inputs: i64, values: ptrp, saved: ptr) -> i64:
    """Runs the steps of a program for a node with so many inputs. 0: failed."""
    operands = stack(ptr, MAX_OPERANDS)
    step = program + R_HEAD + program[R_GRADS] + inputs + 2 * program[R_NUMBERS]
    for _step in range(program[R_STEPS]):
        block: i64p = ptr(step[T_BLOCK])
        sources = step + T_HEAD
        result: ptr = None
        if block == None:  # noqa: E711
            result = new_storage(sources[1])
            if result != None:  # noqa: E711
                result = new_tensor(result, ptr(sources[0]), ptr(world[ZERO]))
        else:
            for i in range(step[T_OPERANDS]):
                operands[block[B_INPUT + 3 * i + 2]] = fetch(sources[i], values, saved)
            result = run(block, operands, NO_GRAD)
        if unlikely(result == None):  # noqa: E711
            return 0
        if step[T_RESULTS] == 1:
            values[step[T_FIRST]] = result
        else:
            for k in range(step[T_RESULTS]):
                item = PyTuple_GetItem(result, k)
                Py_IncRef(item)
                values[step[T_FIRST] + k] = item
            Py_DecRef(result)
        drops = sources + step[T_OPERANDS]
        for i in range(step[T_DROPS]):
            unused = values[drops[i]]
            values[drops[i]] = None
            Py_DecRef(unused)
        step = drops + step[T_DROPS]
    return 1


@native
def run_values(program: i64p, inputs: i64, values: ptrp, saved: ptr, results: ptrp) -> i64:
    """Runs a program on the gradients in `values`, which it uses up; fills in the results, null
    where there is none. 0: failed.
    """
    for k in range(program[R_GRADS], program[R_VALUES]):
        values[k] = None
    done = run_steps(program, inputs, values, saved)
    sources = program + R_HEAD + program[R_GRADS]
    for i in range(inputs):
        results[i] = None
        if done and sources[i] != NOTHING:
            results[i] = fetch(sources[i], values, saved)
            Py_IncRef(results[i])
    for k in range(program[R_VALUES]):
        if values[k] != None:  # noqa: E711
            Py_DecRef(values[k])
    return done


@native
def run_program(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """run_program(address, inputs, saved, grads): the results of a program, as a list; for the test
    of a new one.
    """
    values, results = stack(ptr, MAX_VALUES), stack(ptr, MAX_INPUTS)
    program: i64p = ptr(as_integer(args[0]))
    inputs = as_integer(args[1])
    for k in range(program[R_GRADS]):
        values[k] = PyList_GetItem(args[3], k)
        if i64(values[k]) == world[NONE]:
            values[k] = None
        else:
            Py_IncRef(values[k])
    if run_values(program, inputs, values, args[2], results) == 0:
        return None
    found = PyList_New(0)
    for i in range(inputs):
        result = results[i]
        if result == None:  # noqa: E711
            result = none()
        PyList_Append(found, result)
        Py_DecRef(result)
    return found


@native
def same_bytes(self: ptr, args: ptrp, nargs: i64) -> ptr:
    """same_bytes(storage, other): whether two storages hold the same."""
    a, b = i64p(args[0]), i64p(args[1])
    if a[NBYTES] != b[NBYTES]:
        return PyLong_FromLongLong(0)
    return PyLong_FromLongLong(1 if memcmp(ptr(a[DATA]), ptr(b[DATA]), a[NBYTES]) == 0 else 0)
