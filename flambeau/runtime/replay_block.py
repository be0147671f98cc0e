"""The words of a program: what native code reads when it replays a compiled function.

compiler.build fills them in, runtime.replay runs them. A program is a head of words that say how
many rows of each kind there are and where:

    guards      what must hold for the program to be right          GUARD_WORDS each
    externals   tensors from outside: arguments, parameters ...     EXTERNAL_WORDS each
    outputs     memory that outlives the call                       OUTPUT_WORDS each
    slots       addresses that steps work on: a base and bytes      SLOT_WORDS each
    steps       kernels and calls of Python, of varying length
    leaves      gradients that the call leaves behind               LEAF_WORDS each
    results     tensors that it returns                             RESULT_WORDS each
    written     externals whose version counts up                   WRITTEN_WORDS each
    apart       pairs of externals that must not share memory       2 each

Bases of slots: number 0 is address 0, then the call's temporary memory, the memory kept for a
backward pass, the externals, the outputs.
"""

from __future__ import annotations

(
    P_GUARDS, P_GUARD_ROWS, P_EXTERNALS, P_EXTERNAL_ROWS, P_OUTPUTS, P_OUTPUT_ROWS, P_SLOTS,
    P_SLOT_ROWS, P_STEPS, P_STEP_ROWS, P_LEAVES, P_LEAF_ROWS, P_RESULTS, P_RESULT_ROWS, P_WRITTEN,
    P_WRITTEN_ROWS, P_TEMPORARY, P_KEPT, P_KEEP, P_MODE, P_ARGUMENTS, P_SHAPE, P_CONSTANT, P_MISS,
    P_APART, P_APART_ROWS,
) = range(26)  # fmt: skip
PROGRAM_WORDS = 26

# P_KEEP: memory for the backward pass is not needed, made by this call, given to this call
KEEP_NOTHING, KEEP_MADE, KEEP_GIVEN = 0, 1, 2
# P_SHAPE: what replay returns: P_CONSTANT, the one tensor, or a tuple of the results
RETURN_CONSTANT, RETURN_TENSOR, RETURN_TUPLE = 0, 1, 2

# guards: (kind, object, key, expected)
GUARD_WORDS = 4
(
    GUARD_ITEM, GUARD_LENGTH, GUARD_ELEMENT, GUARD_ELEMENTS, GUARD_CELL, GUARD_TENSOR,
    GUARD_ARGUMENT, GUARD_EQUAL,
) = range(8)  # fmt: skip

# externals: (how it is found, object or number of the argument, spec, standing in the graph)
EXTERNAL_WORDS = 4
FOUND_HERE, FOUND_ARGUMENT, FOUND_GRADIENT = 0, 1, 2
# standing of a tensor in the graph: needs no gradient, is a leaf that does, is computed from some
STANDS_ALONE, STANDS_AS_LEAF, STANDS_ON_OTHERS = 0, 1, 2

OUTPUT_WORDS = 1  # bytes
SLOT_WORDS = 2  # base, bytes from there
BASE_ZERO, BASE_TEMPORARY, BASE_KEPT, FIRST_BASE = 0, 1, 2, 3
LEAF_WORDS = 4  # leaf tensor, output or NO_GRADIENT, spec, offset (int object)
NO_GRADIENT = -1
# output, spec, offset (int object), place in the graph (object or 0), 0; or, for a window on an
# external: -1 - external, spec, elements from its first one, place in the graph, whether a view
RESULT_WORDS = 5
WRITTEN_WORDS = 2  # external, times

# A step is (block of a plan, number of buffers, a slot for each), or a call of Python:
# (CALL_FOR_NUMBERS, function, how many, slots) or (CALL_FOR_TENSORS, function, how many operands,
# (slot, spec, bytes) each, how many results, (slot, bytes) each), or (KERNEL_ON_SLOTS, block of a
# plan whose buffers are all slots)
CALL_FOR_NUMBERS, CALL_FOR_TENSORS, KERNEL_ON_SLOTS = 1, 2, 3
