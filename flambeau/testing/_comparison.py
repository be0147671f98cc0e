"""`assert_close`: tensors, numbers and containers of them, compared with tolerances by dtype.

>>> torch.testing.assert_close([1, 2.0], [1, 2.0])
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flambeau

#: dtype -> relative and absolute tolerance
TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7), "complex32": (1e-3, 1e-5), "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}  # fmt: skip
NUMBERS = (int, float, complex, bool)


class Options(NamedTuple):
    """What a comparison asks for."""

    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool
    allow_subclasses: bool


class Different(Exception):
    """Two values differ: the kind of error, its text, and where they stand."""

    def __init__(self, kind: type[Exception], text: str, path: tuple[Any, ...] = ()):
        super().__init__(text)
        self.kind, self.text, self.path = kind, text, path

    def full_text(self) -> str:
        """The text, with the item that it is about."""
        if not self.path:
            return self.text
        where = "".join(f"[{part!r}]" for part in self.path)
        return f"{self.text}\n\nThe failure occurred for item {where}"


def tolerances(
    values: Sequence[Any], rtol: float | None, atol: float | None
) -> tuple[float, float]:
    """Both tolerances: those given, or the widest of the dtypes."""
    if rtol is not None and atol is not None:
        return rtol, atol
    if rtol is not None or atol is not None:
        missing, given = ("rtol", "atol") if rtol is None else ("atol", "rtol")
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or unspecified, but got no {missing} "
            f"and {given}={atol if rtol is None else rtol}."
        )
    names = [str(v.dtype).removeprefix("torch.") for v in values]
    found = [TOLERANCES.get(name, (0.0, 0.0)) for name in names]
    return max(r for r, _ in found), max(a for _, a in found)


def compare(actual: Any, expected: Any, options: Options, path: tuple[Any, ...] = ()) -> None:
    """Raises `Different` where two values are not close."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            text = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            raise Different(AssertionError, text, path)
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            compare(a, b, options, (*path, i))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        missing = set(expected) - set(actual)
        extra = set(actual) - set(expected)
        if missing or extra:
            raise Different(
                AssertionError,
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {sorted(missing)}\n"
                f"Additional keys in the actual mapping: {sorted(extra)}",
                path,
            )
        for key in sorted(actual) if _sortable(actual) else actual:
            compare(actual[key], expected[key], options, (*path, key))
    elif actual is None and expected is None:
        return
    elif isinstance(actual, bool) and isinstance(expected, bool):
        if actual is not expected:
            text = f"Booleans mismatch: {actual} is not {expected}"
            raise Different(AssertionError, text, path)
    elif isinstance(actual, NUMBERS) and isinstance(expected, NUMBERS):
        _compare_numbers(actual, expected, options, path)
    elif _is_tensor_like(actual) and _is_tensor_like(expected):
        _compare_tensors(flambeau.as_tensor(actual), flambeau.as_tensor(expected), options, path)
    else:
        text = (
            "No comparison pair was able to handle inputs of type "
            f"{type(actual)} and {type(expected)}."
        )
        raise Different(TypeError, text, path)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _sortable(mapping: Any) -> bool:
    return all(isinstance(key, str) for key in mapping)


def _is_tensor_like(value: Any) -> bool:
    return isinstance(value, flambeau.Tensor) or hasattr(value, "__array__")


# ---- numbers ---------------------------------------------------------------------------------


def _compare_numbers(actual: Any, expected: Any, options: Options, path: tuple[Any, ...]) -> None:
    if options.rtol is None and options.atol is None:
        kinds = ["float64" for v in (actual, expected) if isinstance(v, (float, complex))]
        rtol, atol = TOLERANCES["float64"] if kinds else (0.0, 0.0)
    else:
        rtol, atol = tolerances([], options.rtol, options.atol)
    if options.check_dtype and type(actual) is not type(expected):
        text = f"The (d)types do not match: {type(actual)} != {type(expected)}"
        raise Different(AssertionError, text, path)
    if actual == expected:
        return
    if options.equal_nan and cmath.isnan(actual) and cmath.isnan(expected):
        return
    distance = abs(actual - expected)
    if cmath.isfinite(distance) and distance <= atol + rtol * abs(expected):
        return
    text = _number_text(actual, expected, rtol, atol)
    raise Different(AssertionError, text, path)


def _number_text(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    """What two numbers differ by."""
    distance = abs(actual - expected)
    relative = distance / abs(expected) if expected else float("inf")
    equality = rtol == 0 and atol == 0
    lines = [
        f"Scalars are not {'equal' if equality else 'close'}!", "",
        f"Expected {expected} but got {actual}.",
        f"Absolute difference: {distance}" + ("" if equality else f" (up to {atol} allowed)"),
        f"Relative difference: {relative}" + ("" if equality else f" (up to {rtol} allowed)"),
    ]  # fmt: skip
    return "\n".join(lines)


# ---- tensors ---------------------------------------------------------------------------------


def _compare_tensors(actual: Any, expected: Any, options: Options, path: tuple[Any, ...]) -> None:
    def check(name: str, a: Any, b: Any) -> None:
        if a != b:
            text = f"The values for attribute '{name}' do not match: {a} != {b}."
            raise Different(AssertionError, text, path)

    check("shape", actual.shape, expected.shape)
    check("layout", actual.layout, expected.layout) if options.check_layout else None
    check("device", actual.device, expected.device) if options.check_device else None
    check("dtype", actual.dtype, expected.dtype) if options.check_dtype else None
    check("stride()", actual.stride(), expected.stride()) if options.check_stride else None
    rtol, atol = tolerances([actual, expected], options.rtol, options.atol)
    if actual.dtype != expected.dtype:
        common = flambeau.promote_types(actual.dtype, expected.dtype)
        actual, expected = actual.to(common), expected.to(common)
    if actual.dtype == flambeau.bool:
        actual, expected = actual.to(flambeau.uint8), expected.to(flambeau.uint8)
    with flambeau.no_grad():
        matches = flambeau.isclose(
            actual, expected, rtol=rtol, atol=atol, equal_nan=options.equal_nan
        )
        if not matches.all():
            text = _tensor_text(actual, expected, ~matches, rtol, atol)
            raise Different(AssertionError, text, path)


def _tensor_text(actual: Any, expected: Any, wrong: Any, rtol: float, atol: float) -> str:
    """How many elements differ, and where they do most."""
    equality = rtol == 0 and atol == 0
    kind = "equal" if equality else "close"
    if actual.dim() == 0:
        return _number_text(actual.item(), expected.item(), rtol, atol)
    if not actual.is_floating_point() and not actual.is_complex():
        actual, expected = actual.to(flambeau.int64), expected.to(flambeau.int64)
    count, total = int(wrong.sum()), actual.numel()
    distance = (actual - expected).abs()
    distance[~wrong] = 0
    relative = distance / expected.abs()
    relative[~wrong] = 0
    allowed = lambda limit: "" if equality else f" (up to {limit} allowed)"
    lines = [
        f"Tensor-likes are not {kind}!", "",
        f"Mismatched elements: {count} / {total} ({count / total:.1%})",
    ]  # fmt: skip
    for name, values, limit in (("absolute", distance, atol), ("relative", relative, rtol)):
        place = int(values.flatten().argmax())
        greatest = values.flatten()[place].item()
        index = tuple(int(i) for i in flambeau.unravel_index(flambeau.tensor(place), values.shape))
        lines.append(f"Greatest {name} difference: {greatest} at index {index}{allowed(limit)}")
    return "\n".join(lines)


# ---- public ----------------------------------------------------------------------------------


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
    atol: float | None = None, equal_nan: bool = False, check_device: bool = True,
    check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """Raises an AssertionError unless |actual - expected| <= atol + rtol |expected|, and the same
    dtypes and shapes, for tensors, numbers, and sequences and mappings of them.

    >>> torch.testing.assert_close(torch.ones(2), torch.ones(2))
    """
    options = Options(
        rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride,
        allow_subclasses,
    )  # fmt: skip
    try:
        compare(actual, expected, options)
    except Different as error:
        text = error.full_text()
        if msg is not None:
            text = msg(text) if callable(msg) else msg
        raise error.kind(text) from None


def assert_allclose(
    actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = True, msg: str = "",
) -> None:  # fmt: skip
    """The older form of `assert_close`, which does not look at dtypes."""
    if not isinstance(actual, flambeau.Tensor):
        actual = flambeau.tensor(actual)
    if not isinstance(expected, flambeau.Tensor):
        expected = flambeau.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = tolerances([actual, expected], None, None)
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True,
        check_dtype=False, check_stride=False, msg=msg or None,
    )  # fmt: skip
