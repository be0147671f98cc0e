"""Text of tensors: what `repr(tensor)` and `print(tensor)` show, character for character as torch.

`Tensor.__repr__` calls `tensor_repr`; users call `set_printoptions` and its relatives. The work is
done on Python numbers: the elements that will be seen (all of them, or the edges of a large tensor)
are fetched once as nested lists, one `NumberFormat` is chosen for all of them (width, scientific or
not, whole numbers or not), and the lists are joined with brackets, commas and indents. A summarised
tensor never converts more than its edges, whatever its size.

>>> torch.tensor([[1.0, 2.5], [1000.0, 4.0]])
tensor([[   1.0000,    2.5000],
        [1000.0000,    4.0000]])
>>> torch.arange(2000)
tensor([   0,    1,    2,  ..., 1997, 1998, 1999])
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import flambeau

if TYPE_CHECKING:
    from flambeau import Tensor

# The elements of a tensor as `tolist` gives them: a number, or lists of lists of numbers.
Nested = Any

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_repr"]


@dataclasses.dataclass
class PrintOptions:
    """The settings of `set_printoptions`, with the values a program starts with."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


OPTIONS = PrintOptions()

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print, for the whole process.

    An option left out keeps its value, except `sci_mode`: each call sets it, and None lets every
    tensor decide for itself. `profile` ("default", "short" or "full") is applied first.

    >>> torch.set_printoptions(precision=2)
    >>> torch.tensor([1.2345])
    tensor([1.23])
    >>> torch.set_printoptions(profile="default")
    >>> torch.tensor([1.2345])
    tensor([1.2345])
    """
    changes = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    explicit = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    changes.update({name: value for name, value in explicit.items() if value is not None})
    for name, value in changes.items():
        setattr(OPTIONS, name, value)
    OPTIONS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current options, in a form that `set_printoptions(**options)` takes back.

    >>> torch.get_printoptions()["edgeitems"]
    3
    """
    return dataclasses.asdict(OPTIONS)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Options of `set_printoptions` for the length of a `with` block.

    >>> with printoptions(sci_mode=True):
    ...     print(torch.tensor([1.5]))
    tensor([1.5000e+00])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


class NumberFormat:
    """One way of writing for all numbers of a tensor, chosen from the numbers that will be seen.

    Floating-point numbers are whole ("3."), fixed ("3.1416") or scientific ("3.1416e+00"); the
    choice looks only at those that are finite and not zero, and so does the common width.
    """

    def __init__(self, values: list[Any], is_floating: bool) -> None:
        self.width = 1
        self.template = "{}"
        self.whole = False
        if is_floating:
            self._choose_floating(values)
        else:
            self.width = max([1, *(len(str(value)) for value in values)])

    def _choose_floating(self, values: list[float]) -> None:
        magnitudes = [abs(v) for v in values if v != 0 and math.isfinite(v)]
        self.whole = all(m.is_integer() for m in magnitudes)
        scientific = bool(magnitudes) and self._is_scientific(min(magnitudes), max(magnitudes))
        if scientific:
            self.whole = False
            self.template = f"{{:.{OPTIONS.precision}e}}"
        elif self.whole:
            self.template = "{:.0f}"
        else:
            self.template = f"{{:.{OPTIONS.precision}f}}"
        widths = [len(self._text(v)) for v in values if v != 0 and math.isfinite(v)]
        self.width = max([1, *widths])

    @staticmethod
    def _is_scientific(smallest: float, largest: float) -> bool:
        if OPTIONS.sci_mode is not None:
            return OPTIONS.sci_mode
        return largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4

    def _text(self, value: Any) -> str:
        text = self.template.format(value)
        # The point shows that a whole number belongs to a floating-point tensor; "inf" needs none.
        return text + "." if self.whole and math.isfinite(value) else text

    def __call__(self, value: Any) -> str:
        return self._text(value).rjust(self.width)


class ComplexFormat:
    """Real and imaginary parts, each with the `NumberFormat` of its own column: "1.+2.j"."""

    def __init__(self, values: list[complex]) -> None:
        self.real = NumberFormat([value.real for value in values], is_floating=True)
        self.imag = NumberFormat([value.imag for value in values], is_floating=True)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imaginary = self.imag(value.imag).lstrip() + "j"
        sign = "" if imaginary.startswith(("+", "-")) else "+"
        return self.real(value.real) + sign + imaginary


def _visible_values(tensor: Tensor, summarize: bool) -> Nested:
    """The elements that will be printed; a dimension too long to show keeps its two edges only."""
    edge = OPTIONS.edgeitems
    longest = max(tensor.shape, default=0)
    if not summarize or longest <= 2 * edge:
        return tensor.tolist()
    if not edge:
        return []
    length = tensor.shape[0]
    rows = list(range(length)) if length <= 2 * edge else [*range(edge), *range(-edge, 0)]
    if tensor.ndim == 1:
        return tensor[:edge].tolist() + tensor[-edge:].tolist()
    return [_visible_values(tensor[row], summarize) for row in rows]


def _flatten(values: Nested) -> list[Any]:
    """All numbers of nested lists in one list.

    >>> _flatten([[1, 2], [3, 4]])
    [1, 2, 3, 4]
    """
    if not isinstance(values, list):
        return [values]
    while values and isinstance(values[0], list):
        values = [value for row in values for value in row]
    return values


class _Layout:
    """Brackets, commas, line breaks and "..." around the formatted numbers of one tensor."""

    def __init__(self, shape: tuple[int, ...], summarize: bool, form: Any) -> None:
        self.shape = shape
        self.form = form
        self.edge = OPTIONS.edgeitems
        self.is_cut = [summarize and length > 2 * self.edge for length in shape]

    def text(self, values: Nested, indent: int, depth: int = 0) -> str:
        if depth == len(self.shape):
            return str(self.form(values))
        if depth == len(self.shape) - 1:
            return self._row(values, indent)
        rows = [self.text(value, indent + 1, depth + 1) for value in values]
        if self.is_cut[depth]:
            rows.insert(self.edge, "...")
        blank_lines = "\n" * (len(self.shape) - 1 - depth)
        return "[" + ("," + blank_lines + " " * (indent + 1)).join(rows) + "]"

    def _row(self, values: list[Any], indent: int) -> str:
        words = [self.form(value) for value in values]
        if self.is_cut[-1]:
            # Among numbers the dots have the blank in front that a sign would take.
            words.insert(self.edge, " ..." if words else "...")
        per_line = max(1, (OPTIONS.linewidth - indent) // (self.form.width + 2))
        lines = [", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _contents(tensor: Tensor, indent: int) -> str:
    if tensor.numel() == 0:
        return "[]"
    summarize = tensor.numel() > OPTIONS.threshold
    # Views of a detached tensor record no gradient history.
    values = _visible_values(tensor.detach(), summarize)
    flat = _flatten(values)
    if tensor.dtype.is_complex:
        form: Any = ComplexFormat(flat)
    else:
        form = NumberFormat(flat, tensor.dtype.is_floating_point)
    return _Layout(tuple(tensor.shape), summarize, form).text(values, indent)


def _shape_and_dtype_suffixes(tensor: Tensor) -> list[str]:
    """`size=` and `dtype=`, each only where the printed numbers do not already tell it."""
    default = flambeau.get_default_dtype()
    shape = f"size={tuple(tensor.shape)}"
    dtype = f"dtype={tensor.dtype}"
    is_default = tensor.dtype == default
    if tensor.device.type == "meta":
        return [shape] if is_default else [shape, dtype]
    if tensor.numel() == 0:
        return [shape] * (tensor.ndim != 1) + [dtype] * (not is_default)
    default_complex = flambeau.complex128 if default == flambeau.float64 else flambeau.complex64
    is_evident = is_default or tensor.dtype in (default_complex, flambeau.int64, flambeau.bool)
    return [shape] * (not OPTIONS.edgeitems) + [dtype] * (not is_evident)


def _gradient_suffix(tensor: Tensor) -> list[str]:
    try:
        grad_fn = tensor.grad_fn
    except RuntimeError:
        # A view changed in place under no_grad has lost its history; printing it must not fail.
        return ["grad_fn=<Invalid>"]
    if grad_fn is not None:
        return [f"grad_fn=<{grad_fn.name().rsplit('::', 1)[-1]}>"]
    return ["requires_grad=True"] if tensor.requires_grad else []


def _join_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    # One more than the length of the last line: torch breaks lines by this count.
    column = len(text) - text.rfind("\n") + 1
    parts = [text]
    for suffix in suffixes:
        if column + len(suffix) + 2 > OPTIONS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            column = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            column += len(suffix) + 2
    return "".join([*parts, ")"])


def _parameter_class() -> type | None:
    # A Parameter exists only where its module has been imported: printing need not import it.
    return getattr(sys.modules.get("flambeau.nn.parameter"), "Parameter", None)


def tensor_repr(tensor: Tensor, *, tensor_contents: str | None = None) -> str:
    """The text of `repr(tensor)`; `tensor_contents` replaces the numbers, for tensor subclasses.

    >>> tensor_repr(torch.ones(2, dtype=torch.float64))
    'tensor([1., 1.], dtype=torch.float64)'
    """
    parameter = _parameter_class()
    is_plain = type(tensor) is flambeau.Tensor or type(tensor) is parameter
    prefix = "tensor(" if is_plain else f"{type(tensor).__name__}("
    indent = len(prefix)
    with flambeau.no_grad():
        if tensor_contents is None:
            is_meta = tensor.device.type == "meta"
            tensor_contents = "..." if is_meta else _contents(tensor, indent)
        suffixes = [] if tensor.device.type == "cpu" else [f"device='{tensor.device}'"]
        suffixes += _shape_and_dtype_suffixes(tensor)
        suffixes += _gradient_suffix(tensor)
    text = _join_suffixes(prefix + tensor_contents, suffixes, indent)
    if parameter is not None and isinstance(tensor, parameter) and not is_plain:
        return f"Parameter({text})"
    return text
