"""torch's errors for the operands of normalisations, and the dtype of their statistics.

Called by ops.normalization and ops.batch_normalization before anything is allocated.

    check_groups(input_spec, weight, bias, 4)       # raises torch's RuntimeError, or returns
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.spec import Spec


def check_dtypes(kernel: str, input: Spec, *others: Any) -> None:
    """Parameters have the dtype of the input, or all are float32 with a shorter one."""
    if not input.dtype.is_floating_point:
        raise errors.not_implemented_for(kernel, input.dtype.scalar_name)
    given = [other.dtype for other in others if other is not None]
    if not given or all(dtype is input.dtype for dtype in given):
        return
    if given[0] is input.dtype:
        odd = next(dtype for dtype in given if dtype is not input.dtype)
        raise errors.expected_scalar_type(input.dtype.scalar_name, odd.scalar_name)
    if any(dtype is not dtypes.float32 for dtype in given):
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
    if input.dtype.itemsize > 2:
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")


def statistic_dtype(input: Spec, *parameters: Any) -> Any:
    """The dtype of means and scales: that of the parameters, else the input's."""
    given = [parameter.dtype for parameter in parameters if parameter is not None]
    return given[0] if given else input.dtype


def check_last_dimensions(
    function: str, kernel: str, input: Spec, shape: Any, weight: Any, bias: Any
) -> None:
    """Layer normalisation: the input ends in `shape`, weight and bias have it."""
    if isinstance(shape, int):
        raise errors.argument_type_error(function, "normalized_shape", 2, "tuple of ints", shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    sizes = list(shape)
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and list(vector.shape) != sizes:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(vector.shape)} and normalized_shape = {sizes}"
            )
    if list(input.shape[-len(sizes) :]) != sizes:
        star = "*, " if function == "layer_norm" else "*"
        raise RuntimeError(
            f"Given normalized_shape={sizes}, expected input with shape "
            f"[{star}{', '.join(map(str, sizes))}], but got input of size{list(input.shape)}"
        )
    if function == "layer_norm":
        check_dtypes(kernel, input, weight, bias)
    elif not input.dtype.is_floating_point:
        raise errors.not_implemented_for(kernel, input.dtype.scalar_name)


def check_groups(input: Spec, weight: Any, bias: Any, groups: int) -> None:
    """Group normalisation: whole groups of channels, a weight and a bias for each channel."""
    shape = list(input.shape)
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {groups}")
    if shape[1] % groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {shape} and num_groups={groups}"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and (vector.ndim != 1 or vector.shape[0] != shape[1]):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(vector.shape)} and input of shape {shape}"
            )
    check_dtypes("GroupNormKernelImpl", input, weight, bias)


def check_channels(
    input: Spec, training: bool, mean: Any, variance: Any, weight: Any, bias: Any
) -> None:
    """Batch normalisation: every vector has a number for each channel."""
    channels = input.shape[1] if input.ndim > 1 else 0
    for name, vector in (
        ("running_mean", mean),
        ("running_var", variance),
        ("weight", weight),
        ("bias", bias),
    ):
        if vector is None:
            if name.startswith("running") and not training:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
        elif vector.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {vector.numel()}")
    check_dtypes("batch_norm", input, weight, bias, mean, variance)
