"""The words of a plan's block: what native code reads when it runs a plan.

ops.plan fills the block in, runtime.execution runs it:

    words[B_KIND], words[B_DELTA] = KIND_VIEW, 3        # a window that begins 3 elements further on
"""

from __future__ import annotations

(
    B_KIND, B_KERNEL, B_PARAMS, B_ITEMS, B_GRAIN, B_INPUTS, B_OUTPUTS, B_PLAN, B_DIFFERENTIABLE,
    B_DELTA, B_INPLACE, B_CAN_FAIL, B_RUN, B_SCRATCH, B_FINISH, B_RELEASE,
) = range(16)  # fmt: skip
# second kernel of a split reduction, from the scratch memory to the results
B_THEN, B_THEN_PARAMS, B_THEN_ITEMS = 16, 17, 18
B_NODE = 19  # class of the call's graph nodes, 0 until the first of them
B_BACKWARD = 20  # the first of the plan's backward programs (runtime.programs), 0: none yet
B_SAVES = 21  # whether its gradient rules may want operands or results
# two words for each of up to 8 results; three for each input, as many as there are
B_OUTPUT, B_INPUT = 22, 38
KIND_KERNEL, KIND_VIEW, KIND_PYTHON, KIND_INPUT = 1, 2, 3, 4
MAX_INPUTS, MAX_OUTPUTS = 56, 8
MAX_BUFFERS = MAX_INPUTS + MAX_OUTPUTS + 2  # and the scratch memory and the error flag
SAVE_OUTPUT = 56  # in a save mask: bit 56 + k stands for output k
# in place of an item size: how a Python number is passed
NUMBER_FLOAT, NUMBER_INT, NUMBER_BOOL, NUMBER_COMPLEX = -1, -2, -3, -4
