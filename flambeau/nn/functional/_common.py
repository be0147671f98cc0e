"""What the functions of `flambeau.nn.functional` share: reductions, tuple arguments, in-place
forms, type names.

Called by the other files of this package and by `nn.modules.utils`. It imports no layer.

>>> from flambeau.nn.functional._common import to_tuple
>>> to_tuple(3, 2)
(3, 3)
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import flambeau

if TYPE_CHECKING:
    from flambeau import Tensor, dtype

REDUCTIONS = ("none", "mean", "sum")

# torch prints C++ scalar type names in its errors: "Long" in most, "long int" in a few.
_SCALAR_TYPES = {
    "float64": ("Double", "double"),
    "float32": ("Float", "float"),
    "float16": ("Half", "c10::Half"),
    "bfloat16": ("BFloat16", "c10::BFloat16"),
    "complex64": ("ComplexFloat", "c10::complex<float>"),
    "complex128": ("ComplexDouble", "c10::complex<double>"),
    "int64": ("Long", "long int"),
    "int32": ("Int", "int"),
    "int16": ("Short", "short int"),
    "int8": ("Char", "signed char"),
    "uint8": ("Byte", "unsigned char"),
    "bool": ("Bool", "bool"),
}


def in_lower_precision(*values: Any) -> tuple[Any, ...]:
    """The operands of a product: in the precision of autocast while it is on, else as they are."""
    if not flambeau.is_autocast_enabled("cpu"):
        return values
    target = flambeau.get_autocast_dtype("cpu")
    return tuple(x.to(target) if _is_lowered(x) else x for x in values)


def _is_lowered(value: Any) -> bool:
    is_float = isinstance(value, flambeau.Tensor) and value.is_floating_point()
    return is_float and value.dtype != flambeau.float64


def in_full_precision(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function that takes tensors of half precision as float32 while autocast is on."""

    @functools.wraps(function)
    def in_float32(*args: Any, **kwargs: Any) -> Tensor:
        if flambeau.is_autocast_enabled("cpu"):
            args = tuple(map(_full, args))
            kwargs = {name: _full(value) for name, value in kwargs.items()}
        return function(*args, **kwargs)

    return in_float32


def _full(value: Any) -> Any:
    half = isinstance(value, flambeau.Tensor) and value.dtype in (
        flambeau.bfloat16,
        flambeau.float16,
    )
    return value.float() if half else value


def scalar_type(tensor: Tensor | dtype) -> str:
    """The name torch gives to a dtype, or that of a tensor, in its errors, e.g. "Float"."""
    name = str(getattr(tensor, "dtype", tensor)).rpartition(".")[2]
    return _SCALAR_TYPES.get(name, (name, name))[0]


def c_type(tensor: Tensor) -> str:
    """The C++ name of the dtype of `tensor`, e.g. "long int"."""
    name = str(tensor.dtype).rpartition(".")[2]
    return _SCALAR_TYPES.get(name, (name, name))[1]


def not_implemented(kernel: str, tensor: Tensor) -> NotImplementedError:
    """The error for a dtype that the operation named `kernel` does not take."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_type(tensor)}'")


def not_a_tensor(function: str, **arguments: Any) -> TypeError:
    """The error for the first argument that is no tensor."""
    names, values = list(arguments), list(arguments.values())
    wrong = next(i for i, value in enumerate(values) if not isinstance(value, flambeau.Tensor))
    return TypeError(
        f"{function}(): argument '{names[wrong]}' (position {wrong + 1}) must be Tensor, "
        f"not {type(values[wrong]).__name__}"
    )


def to_tuple(value: Any, length: int) -> tuple[Any, ...]:
    """`value` as a tuple: a number is repeated `length` times, a sequence is taken as it is."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * length


def spatial_tuple(value: int | Sequence[int], length: int) -> tuple[int, ...]:
    """As `to_tuple`, and a sequence of one number is repeated too."""
    if isinstance(value, int):
        return (value,) * length
    values = tuple(value)
    return values * length if len(values) == 1 else values


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the deprecated flags `size_average` and `reduce` stand for."""
    if size_average is None and reduce is None:
        return reduction
    average = size_average is None or size_average
    keep = reduce is None or reduce
    result = ("mean" if average else "sum") if keep else "none"
    warnings.warn(
        "size_average and reduce args will be deprecated, please use "
        f"reduction='{result}' instead.",
        stacklevel=3,
    )
    return result


def invalid_reduction(reduction: str) -> ValueError:
    """The error for a reduction that is none of "none", "mean" and "sum"."""
    return ValueError(f"{reduction} is not a valid value for reduction")


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """Mean, sum or the losses themselves."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise invalid_reduction(reduction)


def write_back(function: Callable[..., Tensor], input: Tensor, *options: Any) -> Tensor:
    """`function(input, *options)` written into `input`; the gradient sees the values before the
    write."""
    return input.copy_(function(input.clone(), *options))


def warn_size_mismatch(input: Tensor, target: Tensor) -> None:
    """The warning of the regression losses for a target of another shape than the input."""
    warnings.warn(
        f"Using a target size ({target.size()}) that is different to the input size "
        f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        stacklevel=3,
    )


def branch(condition: Tensor, input: Tensor, other: float = 0.0) -> Tensor:
    """`input` where `condition` holds, else `other`.

    Guards a function that overflows outside its branch: a gradient of zero times infinity is NaN.
    """
    return flambeau.where(condition, input, other)
