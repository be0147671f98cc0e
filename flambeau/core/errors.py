"""Error texts that several places share: one function per text, each *returns* the exception.

The first line is torch's text, because programs and tests match it; a second line adds what helps:
which value is meant, and what would fix it. Raise them where the fault is seen:

>>> raise matmul_mismatch((2, 3), (4, 5))
Traceback (most recent call last):
RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)
  columns of mat1 (3) must equal rows of mat2 (4)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from flambeau.core.naming import FinalPublicType


class OutOfMemoryError(RuntimeError):
    """Memory for a tensor could not be had."""


class LinAlgError(RuntimeError):
    """A matrix has not the property that an operation needs: singular, not positive-definite ..."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"  # what torch prints


class InternalError(RuntimeError):
    """Flambeau contradicted itself: always a bug of Flambeau, never of the caller."""

    def __init__(self, what: str) -> None:
        super().__init__(f"internal error: {what}\n  this is a bug in Flambeau: please report it")


def with_hint(text: str, hint: str | None) -> str:
    """torch's text, then the line that helps.

    >>> print(with_hint("bad value", "use a good one"))
    bad value
      use a good one
    """
    return f"{text}\n  {hint}" if hint else text


def type_name(value: object) -> str:
    """A value's type as torch's argument errors print it.

    >>> type_name(3), type_name(None)
    ('int', 'NoneType')
    """
    kind = type(value)
    if isinstance(kind, FinalPublicType):  # written in C in torch, hence with the module's name
        return f"torch.{kind.__name__}"
    is_from_c = not kind.__flags__ & _HEAP_TYPE
    if is_from_c and kind.__module__ != "builtins":
        return f"{kind.__module__}.{kind.__name__}"  # "numpy.ndarray"
    return kind.__name__


def nested_type_name(value: object) -> str:
    """The same with the types inside a list or tuple, for the reasons of `invalid_combination`.

    >>> nested_type_name([1, "a"]), nested_type_name((1,))
    ('list of [int, str]', 'tuple of (int,)')
    """
    if not isinstance(value, (list, tuple)):
        return type_name(value)
    inner = ", ".join(type_name(each) for each in value)
    if isinstance(value, list):
        return f"list of [{inner}]"
    return f"tuple of ({inner},)" if len(value) == 1 else f"tuple of ({inner})"


_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE of CPython: the type was made by a class statement


def brackets(values: Iterable[object]) -> str:
    """Sizes as torch prints them inside texts.

    >>> brackets((2, 3))
    '[2, 3]'
    """
    return f"[{', '.join(map(str, values))}]"


def _product_of(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


# -- arguments -------------------------------------------------------------------------------------


def argument_type_error(
    function: str, argument: str, position: int | None, expected: str, got: object
) -> TypeError:
    """`got` is the offending value itself; `position` counts from 1, None for keyword-only.

    >>> argument_type_error("tanh", "input", 1, "Tensor", "x").args[0]
    "tanh(): argument 'input' (position 1) must be Tensor, not str"
    """
    where = "" if position is None else f" (position {position})"
    text = f"{function}(): argument '{argument}'{where} must be {expected}, not {type_name(got)}"
    return TypeError(text)


def missing_arguments(function: str, names: Sequence[str]) -> TypeError:
    """torch has singular and plural the wrong way round."""
    listed = ", ".join(f'"{name}"' for name in names)
    noun = "arguments" if len(names) == 1 else "argument"
    return TypeError(f"{function}() missing {len(names)} required positional {noun}: {listed}")


def too_many_arguments(function: str, allowed: int, given: int) -> TypeError:
    noun, verb = "argument" if allowed == 1 else "arguments", "was" if given == 1 else "were"
    return TypeError(f"{function}() takes {allowed} positional {noun} but {given} {verb} given")


def unexpected_argument(function: str, name: str) -> TypeError:
    return TypeError(f"{function}() got an unexpected keyword argument '{name}'")


def invalid_combination(
    function: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    signatures: Sequence[str],
    reasons: Mapping[int, str] | None = None,
) -> TypeError:
    """For functions with several signatures; `reasons` says why a signature did not match.

    >>> print(invalid_combination("sum", ["x"], {"dim": 0}, ["(int dim)", "()"]).args[0])
    sum() received an invalid combination of arguments - got (str, dim=int), but expected one of:
     * (int dim)
     * ()
    <BLANKLINE>
    """
    given = ", ".join(type_name(each) for each in args)
    if kwargs:
        named = ", ".join(f"{name}={type_name(each)}" for name, each in kwargs.items())
        given = f"{given}, {named}" if given else f"{named}, "  # torch leaves a comma
    text = (
        f"{function}() received an invalid combination of arguments - got ({given}), but expected"
    )
    if len(signatures) == 1:
        return TypeError(f"{text} {signatures[0]}")
    lines = [f"{text} one of:\n"]
    for position, signature in enumerate(signatures):
        lines.append(f" * {signature}\n")
        if reasons and position in reasons:
            lines.append(f"      didn't match because {reasons[position]}\n")
    return TypeError("".join(lines))


def multiple_values(function: str, name: str) -> TypeError:
    return TypeError(f"{function}() got multiple values for argument '{name}'")


def unsupported(what: str, hint: str | None = None) -> NotImplementedError:
    """For parts of torch that Flambeau does not have.

    >>> unsupported("sparse tensors").args[0]
    'sparse tensors: not supported by Flambeau'
    """
    return NotImplementedError(with_hint(f"{what}: not supported by Flambeau", hint))


def not_implemented_for(
    kernel: str, scalar_name: str, hint: str | None = None
) -> NotImplementedError:
    """`scalar_name` is `dtype.scalar_name`.

    >>> not_implemented_for("sum_cpu", "ComplexHalf").args[0]
    '"sum_cpu" not implemented for \\'ComplexHalf\\''
    """
    return NotImplementedError(with_hint(f"\"{kernel}\" not implemented for '{scalar_name}'", hint))


# -- shapes ----------------------------------------------------------------------------------------


def size_mismatch(
    size_a: int, size_b: int, dim: int, a: Sequence[int], b: Sequence[int]
) -> RuntimeError:
    text = (
        f"The size of tensor a ({size_a}) must match the size of tensor b ({size_b}) "
        f"at non-singleton dimension {dim}"
    )
    return RuntimeError(with_hint(text, f"shapes: a {tuple(a)}, b {tuple(b)}"))


def broadcast_argument(
    size: int, dim: int, position: int, shape: Sequence[int], expected: Sequence[int]
) -> RuntimeError:
    return RuntimeError(
        f"Attempting to broadcast a dimension of length {size} at {dim}! "
        f"Mismatching argument at index {position} had {tuple(shape)}; "
        f"but expected shape should be broadcastable to {list(expected)}"
    )


def matmul_mismatch(a: Sequence[int], b: Sequence[int]) -> RuntimeError:
    """`a` and `b` are the 2-d shapes multiplied."""
    text = f"mat1 and mat2 shapes cannot be multiplied ({_product_of(a)} and {_product_of(b)})"
    hint = None
    if len(a) == len(b) == 2:
        hint = f"columns of mat1 ({a[1]}) must equal rows of mat2 ({b[0]})"
        if a[1] == b[1]:
            hint += ": transpose mat2?"
    return RuntimeError(with_hint(text, hint))


def expand_rank(tensor_type: str, shape: Sequence[int], target: Sequence[int]) -> RuntimeError:
    return RuntimeError(
        f"expand({tensor_type}{{{brackets(shape)}}}, size={brackets(target)}): the number of sizes "
        f"provided ({len(target)}) must be greater or equal to the number of dimensions in the "
        f"tensor ({len(shape)})"
    )


def expand_leading(dim: int) -> RuntimeError:
    return RuntimeError(
        "The expanded size of the tensor (-1) isn't allowed in a leading, "
        f"non-existing dimension {dim}"
    )


def expand_size(
    wanted: int, size: int, dim: int, target: Sequence[int], shape: Sequence[int]
) -> RuntimeError:
    return RuntimeError(
        f"The expanded size of the tensor ({wanted}) must match the existing size ({size}) at "
        f"non-singleton dimension {dim}.  Target sizes: {brackets(target)}.  "
        f"Tensor sizes: {brackets(shape)}"
    )


def negative_expansion(size: int, dim: int) -> RuntimeError:
    text = "numel: integer multiplication overflow"
    return RuntimeError(with_hint(text, f"size {size} at dimension {dim}: only -1 may be negative"))


def negative_dimension(shape: Sequence[int], size: int) -> RuntimeError:
    return RuntimeError(
        f"Trying to create tensor with negative dimension {size}: {brackets(shape)}"
    )


def channels_last_rank(rank: int, format: str, ndim: int) -> RuntimeError:
    text = f"required rank {rank} tensor to use {format} format"
    return RuntimeError(with_hint(text, f"the tensor has {ndim} dimensions"))


def dim_out_of_range(dim: int, ndim: int) -> IndexError:
    return IndexError(
        f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})"
    )


def no_dimensions(dim: int) -> IndexError:
    return IndexError(f"Dimension specified as {dim} but tensor has no dimensions")


def repeated_dim(dim: int) -> RuntimeError:
    return RuntimeError(f"dim {dim} appears multiple times in the list of dims")


def invalid_shape(shape: Sequence[int], numel: int) -> RuntimeError:
    return RuntimeError(f"shape '{brackets(shape)}' is invalid for input of size {numel}")


def invalid_dimension(size: int, dim: int, shape: Sequence[int]) -> RuntimeError:
    return RuntimeError(f"invalid shape dimension {size} at index {dim} of shape {brackets(shape)}")


def two_inferred_dimensions(shape: Sequence[int]) -> RuntimeError:
    return RuntimeError(with_hint("only one dimension can be inferred", f"got {brackets(shape)}"))


def ambiguous_shape(shape: Sequence[int]) -> RuntimeError:
    return RuntimeError(
        f"cannot reshape tensor of 0 elements into shape {brackets(shape)} because the "
        "unspecified dimension size -1 can be any value and is ambiguous"
    )


def incompatible_view(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> RuntimeError:
    text = (
        "view size is not compatible with input tensor's size and stride (at least one dimension "
        "spans across two contiguous subspaces). Use .reshape(...) instead."
    )
    hint = f"size {tuple(shape)}, stride {tuple(strides)}, asked for {tuple(target)}"
    return RuntimeError(with_hint(text, hint))


def index_out_of_bounds(index: int, dim: int, size: int) -> IndexError:
    """The text of `x[index]`; gather and scatter raise `gather_out_of_bounds`."""
    return IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")


def gather_out_of_bounds(index: int, dim: int, size: int) -> RuntimeError:
    return RuntimeError(f"index {index} is out of bounds for dimension {dim} with size {size}")


def too_many_indices(ndim: int) -> IndexError:
    return IndexError(f"too many indices for tensor of dimension {ndim}")


def cat_size_mismatch(dim: int, expected: int, got: int, number: int) -> RuntimeError:
    return RuntimeError(
        f"Sizes of tensors must match except in dimension {dim}. Expected size {expected} "
        f"but got size {got} for tensor number {number} in the list."
    )


def stack_size_mismatch(first: Sequence[int], other: Sequence[int], number: int) -> RuntimeError:
    return RuntimeError(
        f"stack expects each tensor to be equal size, but got {brackets(first)} at entry 0 "
        f"and {brackets(other)} at entry {number}"
    )


# -- dtypes, values, memory ------------------------------------------------------------------------


def result_cast(result: str, output: str) -> RuntimeError:
    """Both are `dtype.scalar_name`.

    >>> result_cast("Float", "Long").args[0]
    "result type Float can't be cast to the desired output type Long"
    """
    return RuntimeError(f"result type {result} can't be cast to the desired output type {output}")


def same_dtype_matmul(a: str, b: str) -> RuntimeError:
    """Both are `dtype.c_name`."""
    text = f"expected m1 and m2 to have the same dtype, but got: {a} != {b}"
    return RuntimeError(with_hint(text, "convert one of them, e.g. b.to(a.dtype)"))


def same_dtype_addmm(a: str, b: str) -> RuntimeError:
    """Both are `dtype.scalar_name`."""
    text = f"mat1 and mat2 must have the same dtype, but got {a} and {b}"
    return RuntimeError(with_hint(text, "convert one of them, e.g. x.to(weight.dtype)"))


def expected_scalar_type(expected: str, found: str) -> RuntimeError:
    """Both are `dtype.scalar_name`."""
    text = f"expected scalar type {expected} but found {found}"
    return RuntimeError(with_hint(text, "convert one of them, e.g. b.to(a.dtype)"))


_C_NAMES = {
    "int64": "int64_t", "int32": "int", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t",
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
}  # fmt: skip


def conversion_overflow(dtype: str) -> RuntimeError:
    """`dtype` by name: a number that it cannot hold.

    >>> conversion_overflow("int64").args[0]
    'value cannot be converted to type int64_t without overflow'
    """
    kind = _C_NAMES.get(dtype, dtype)
    return RuntimeError(f"value cannot be converted to type {kind} without overflow")


def no_data() -> NotImplementedError:
    return NotImplementedError("Cannot copy out of meta tensor; no data!")


def negative_strides() -> ValueError:
    return ValueError(
        "At least one stride in the given numpy array is negative, and tensors with negative "
        "strides are not currently supported. (You can probably work around this by making a copy "
        "of your array  with array.copy().) "
    )


def device_mismatch(first: object, second: object) -> RuntimeError:
    text = (
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{first} and {second}!"
    )
    if "meta" in (str(first), str(second)):
        text = f"Tensor on device {second} is not on the expected device {first}!"
    return RuntimeError(with_hint(text, f"move one of them, e.g. with .to('{first}')"))


def ambiguous_truth(numel: int) -> RuntimeError:
    if numel == 0:
        return RuntimeError("Boolean value of Tensor with no values is ambiguous")
    text = "Boolean value of Tensor with more than one value is ambiguous"
    return RuntimeError(with_hint(text, "say which is meant: .any() or .all()"))


def not_a_scalar(numel: int) -> RuntimeError:
    return RuntimeError(f"a Tensor with {numel} elements cannot be converted to Scalar")


def written_overlap() -> RuntimeError:
    return RuntimeError(
        "unsupported operation: more than one element of the written-to tensor refers to a single "
        "memory location. Please clone() the tensor before performing the operation."
    )


def partial_overlap() -> RuntimeError:
    return RuntimeError(
        "unsupported operation: some elements of the input tensor and the written-to tensor refer "
        "to a single memory location. Please clone() the tensor before performing the operation."
    )


def cannot_allocate(nbytes: int, held: int, cached: int) -> RuntimeError:
    text = (
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        f"you tried to allocate {nbytes} bytes. Error code 12 (Cannot allocate memory)"
    )
    return RuntimeError(
        with_hint(text, f"tensors hold {held} bytes, and {cached} more were kept for reuse")
    )


def storage_overflow(sizes: Sequence[int]) -> RuntimeError:
    return RuntimeError(f"Storage size calculation overflowed with sizes={brackets(sizes)}")


def too_many_elements() -> RuntimeError:
    return RuntimeError("numel: integer multiplication overflow")


# -- automatic differentiation ---------------------------------------------------------------------


def leaf_modified() -> RuntimeError:
    text = "a leaf Variable that requires grad is being used in an in-place operation."
    return RuntimeError(with_hint(text, "wrap the update in torch.no_grad(), or work on a clone()"))


def leaf_view_modified() -> RuntimeError:
    text = "a view of a leaf Variable that requires grad is being used in an in-place operation."
    return RuntimeError(with_hint(text, "wrap the update in torch.no_grad(), or work on a clone()"))


def scalar_outputs_only(shape: Sequence[int]) -> RuntimeError:
    text = "grad can be implicitly created only for scalar outputs"
    hint = f"the output has shape {tuple(shape)}: reduce it, e.g. .sum(), or pass `gradient`"
    return RuntimeError(with_hint(text, hint))


def no_gradient(position: int = 0) -> RuntimeError:
    text = f"element {position} of tensors does not require grad and does not have a grad_fn"
    hint = "no input had requires_grad=True, or it was computed under no_grad() or detached"
    return RuntimeError(with_hint(text, hint))


def modified_in_place(
    tensor_type: str, shape: Sequence[int], producer: str | None, version: int, expected: int
) -> RuntimeError:
    """`producer` reads e.g. "output 0 of Add", None for a leaf.

    torch means the tensor's present grad_fn, so the in-place operation itself, and writes its name
    without "Backward0".
    """
    origin = f", which is {producer}," if producer else ""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{tensor_type} {brackets(shape)}]{origin} is at version {version}; expected "
        f"version {expected} instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )


def differentiable_dtypes_only(
    asked_by: Literal["constructor", "attribute", "method"] = "constructor",
) -> RuntimeError:
    """torch words it differently for `x.requires_grad = True` and for `x.requires_grad_()`."""
    text = {
        "constructor": "Only Tensors of floating point and complex dtype can require gradients",
        "attribute": "only Tensors of floating point and complex dtype can require gradients",
        "method": "only Tensors of floating point dtype can require gradients",
    }
    return RuntimeError(text[asked_by])


def numpy_of_differentiable() -> RuntimeError:
    return RuntimeError(
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
    )
