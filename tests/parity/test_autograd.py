"""Programs about gradients, run under torch and under Flambeau: both must say the same.

The programs stand in the autograd_*_cases.py files beside this one.
"""

import re
import warnings

import pytest

torch = pytest.importorskip("torch")

import autograd_function_cases
import autograd_graph_cases
import autograd_inplace_cases
import autograd_tool_cases
from observing import observe

import flambeau

MODULES = (
    autograd_graph_cases,
    autograd_inplace_cases,
    autograd_function_cases,
    autograd_tool_cases,
)
CASES = [case for module in MODULES for case in module.CASES]
# what torch appends to warnings that its C++ code gives
ORIGIN = re.compile(r"\s*\(Triggered internally at .*?\)")


def seen(case, library):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # outside of `attempt`
        return [ORIGIN.sub("", line) for line in observe(case, library)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case(case):
    try:
        assert seen(case, flambeau) == seen(case, torch)
    finally:
        for library in (flambeau, torch):
            library.set_grad_enabled(True)
            library.autograd.set_detect_anomaly(False)
