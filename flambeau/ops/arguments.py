"""What is wrong with the arguments of a call: torch's own account of it, overload by overload.

Called by ops.registry and flambeau.start after a call has failed, never before: the argument lists
that torch accepts stand in signatures.txt (written by tools/record_signatures.py), and this module
reads them as torch's argument parser does. A function with one list says which argument is wrong;
one with several says that none of them fits:

    explain("tanh", ("x",), {})
    # TypeError: tanh(): argument 'input' (position 1) must be Tensor, not str
    explain("sum", (x, "a"), {})
    # TypeError: sum() received an invalid combination of arguments - got (Tensor, str), ...
    explain("sum", (x, 5), {})
    # None: the arguments are well-formed, the error is another one
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flambeau.core import errors
from flambeau.core.device import device
from flambeau.core.dtype import dtype
from flambeau.core.layout import layout, memory_format
from flambeau.runtime.system import engine

FACTORY = (
    "torch.dtype? dtype=None, torch.layout? layout=None, torch.device? device=None, "
    "bool? pin_memory=False, bool? requires_grad=False"
)
# functions whose Tensor arguments may be Python numbers
NUMBERS_AS_TENSORS = frozenset(
    name + end
    for name in (
        "add",
        "div",
        "divide",
        "mul",
        "multiply",
        "sub",
        "subtract",
        "true_divide",
        "floor_divide",
        "copy",
    )
    for end in ("", "_")
)
NUMPY_NAMES = {
    "dim": ("axis",),
    "keepdim": ("keepdims",),
    "input": ("x", "a", "x1"),
    "other": ("x2",),
}


class Parameter(NamedTuple):
    """One parameter: `Tensor? weight=None`, `tuple of ints[2] stride=1`; `size` is the 2,
    0 without one.
    """

    kind: str
    size: int
    name: str
    default: str | None
    may_be_none: bool
    keyword_only: bool


class Signature(NamedTuple):
    """One argument list that a function accepts; torch shows no hidden (deprecated) ones."""

    parameters: tuple[Parameter, ...]
    hidden: bool

    @property
    def positional(self) -> int:
        """How many arguments may be given by position."""
        return sum(not p.keyword_only for p in self.parameters)

    @property
    def required(self) -> int:
        """How many arguments must be given."""
        return sum(p.default is None for p in self.parameters)

    def __str__(self) -> str:
        parts: list[str] = []
        for i, p in enumerate(self.parameters):
            if p.keyword_only and (i == 0 or not self.parameters[i - 1].keyword_only):
                parts.append("*")
            parts.append(f"{p.kind} {p.name}" + ("" if p.default is None else f" = {p.default}"))
        return f"({', '.join(parts)})"


def parse(text: str) -> Signature:
    """`Tensor input, *, Number alpha=1`, with `~` in front of what is deprecated.

    >>> str(parse("Tensor input, *, Number alpha=1"))
    '(Tensor input, *, Number alpha = 1)'
    """
    parameters: list[Parameter] = []
    keyword_only = False
    for part in re.split(r", (?![^{]*})", text.removeprefix("~").replace("@factory", FACTORY)):
        if part == "*":
            keyword_only = True
        elif part:
            found = re.fullmatch(r"(.+?)(\[(\d*)\])?(\?)? (\w+)(?:=(.*))?", part)
            assert found is not None, part
            kind, _, size, optional, name, default = found.groups()
            nothing = optional is not None or default == "None"
            parameters.append(Parameter(kind, int(size or 0), name, default, nothing, keyword_only))
    return Signature(tuple(parameters), text.startswith("~"))


@functools.cache
def table() -> dict[str, str]:
    """The lines of signatures.txt by name."""
    lines = Path(__file__).with_name("signatures.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines)


@functools.cache
def signatures(name: str, method: bool) -> tuple[Signature, ...]:
    """The argument lists of a function or a method, in torch's order;
    none when torch has no such function.
    """
    lines = table()
    if not method:
        return (
            tuple(parse(part.strip()) for part in lines[name].split(" | ")) if name in lines else ()
        )
    if f"Tensor.{name}" in lines:
        return tuple(parse(part.strip()) for part in lines[f"Tensor.{name}"].split(" | "))
    if name in lines:
        return tuple(without_self(s) for s in signatures(name, False))
    return signatures(name[:-1], True) if name.endswith("_") else ()


def without_self(signature: Signature) -> Signature:
    """The same for a method: without the tensor itself and `out`."""
    kept = tuple(
        p
        for i, p in enumerate(signature.parameters)
        if p.name != "out" and not (i == 0 and p.kind == "Tensor")
    )
    return Signature(kept, signature.hidden)


def explain(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], method: bool = False
) -> TypeError | None:
    """torch's error for these arguments (of a method: without the tensor itself);
    None when they are well-formed.
    """
    known = signatures(name, method)
    if not known:
        return None
    for signature in known:
        if mismatch(name, signature, args, kwargs) is None:
            return unpacking_fault(name, signature, args, kwargs)
    given = len(args) + len(kwargs)
    plausible = [s for s in known if s.required <= given <= len(s.parameters) and not s.hidden]
    if len(known) == 1 or len(plausible) == 1:
        return mismatch(name, known[0] if len(known) == 1 else plausible[0], args, kwargs)
    return invalid_combination(name, args, kwargs, [str(s) for s in known if not s.hidden])


def mismatch(
    name: str, signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TypeError | None:
    """Why the arguments do not fit one list, in the order in which torch looks."""
    parameters = signature.parameters
    args = gathered(signature, args)
    if len(args) > signature.positional:
        return too_many(name, signature, len(args))
    used = 0
    for i, parameter in enumerate(parameters):
        if i < len(args):
            found, value = True, args[i]
        else:
            found, value = named(parameter.name, kwargs)
            used += found
        if not found and parameter.default is None:
            return errors.missing_arguments(
                name, [p.name for p in parameters[i:] if p.default is None]
            )
        if found and not (value is None and parameter.may_be_none):
            fault = misfit(name, parameter, value, i + 1 if i < len(args) else None)
            if fault is not None:
                return fault
    return surplus(name, signature, args, kwargs) if used < len(kwargs) else None


def gathered(signature: Signature, args: Sequence[Any]) -> Sequence[Any]:
    """The positional arguments, with x.view(2, 3) as x.view((2, 3))."""
    one_list = signature.positional == 1 and signature.parameters[0].kind == "tuple of ints"
    return (tuple(args),) if one_list and args and is_index(args[0]) else args


def named(name: str, kwargs: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether a keyword (or NumPy's word for it) was given, and its value."""
    for each in (name, *NUMPY_NAMES.get(name, ())):
        if each in kwargs:
            return True, kwargs[each]
    return False, None


def too_many(name: str, signature: Signature, given: int) -> TypeError:
    """torch's text for surplus positional arguments."""
    least, most = signature.required, signature.positional
    if least != most:
        return TypeError(
            f"{name}() takes from {least} to {most} positional arguments but {given} were given"
        )
    return errors.too_many_arguments(name, most, given)


def surplus(
    name: str, signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TypeError:
    """torch's text for keywords that are unknown or given twice."""
    names = [p.name for p in signature.parameters]
    for keyword in kwargs:
        if keyword not in names:
            return errors.unexpected_argument(name, keyword)
        if names.index(keyword) < len(args):
            return errors.multiple_values(name, keyword)
    return TypeError("invalid keyword arguments")


# ---- the types of values -------------------------------------------------------------------------


def misfit(name: str, parameter: Parameter, value: Any, position: int | None) -> TypeError | None:
    """torch's text for a value of the wrong type."""
    if fits(parameter, value, name):
        return None
    if (
        position is not None
        and parameter.kind in ("tuple of ints", "tuple of floats")
        and isinstance(value, (tuple, list))
    ):
        return TypeError(
            f"{name}(): argument '{parameter.name}' (position {position}) must be "
            f"{parameter.kind}, but found element of type "
            f"{errors.type_name(value[0])} at pos 0"
        )
    return errors.argument_type_error(name, parameter.name, position, parameter.kind, value)


def unpacking_fault(
    name: str, signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TypeError | None:
    """torch looks at the first item of a list when it chooses an overload,
    and at the others afterwards.
    """
    args = gathered(signature, args)
    for i, parameter in enumerate(signature.parameters):
        value = args[i] if i < len(args) else named(parameter.name, kwargs)[1]
        if not isinstance(value, (tuple, list)):
            continue
        for k, item in enumerate(value):
            if (
                parameter.kind == "tuple of Tensors"
                and not isinstance(item, engine.Tensor)
                and item is not None
            ):
                return TypeError(
                    f"expected Tensor as element {k} in argument {i}, "
                    f"but got {errors.type_name(item)}"
                )
            if parameter.kind == "tuple of ints" and not is_index(item):
                return TypeError(
                    f"{name}(): argument '{parameter.name}' failed to unpack the object at pos "
                    f"{k + 1} with error "
                    f'"type must be tuple of ints,but got {errors.type_name(item)}"'
                )
    return None


def fits(parameter: Parameter, value: Any, name: str) -> bool:
    """Whether torch takes `value` for the parameter at first sight."""
    kind = parameter.kind
    if kind == "Tensor":
        return isinstance(value, engine.Tensor) or name in NUMBERS_AS_TENSORS and is_number(value)
    if kind in ("Number", "complex"):
        return is_number(value) or is_single(value)
    if kind == "float":
        return is_number(value) and not isinstance(value, complex) or is_single(value)
    if kind == "int":
        return is_integer(value) or is_single(value) and value.dtype.category == 1
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "tuple of ints":
        if isinstance(value, (tuple, list)):
            return not value or is_index(value[0])
        return parameter.size > 0 and is_integer(value)
    if kind == "tuple of floats" or kind == "tuple of Scalars":
        return (
            isinstance(value, (tuple, list))
            and (not value or is_number(value[0]))
            or parameter.size > 0
            and is_number(value)
        )
    if kind == "tuple of Tensors":
        return isinstance(value, (tuple, list))
    if kind == "str":
        return isinstance(value, str)
    if kind == "torch.dtype":
        return (
            isinstance(value, dtype)
            or isinstance(value, type)
            and value in (float, int, bool, complex)
        )
    if kind == "torch.device":
        return isinstance(value, (device, str)) or is_integer(value)
    if kind == "torch.Generator":
        return type(value).__name__ == "Generator"
    others = {"torch.layout": layout, "torch.memory_format": memory_format}
    return kind not in others or isinstance(value, others[kind])


def is_index(value: Any) -> bool:
    """What may stand in a list of sizes: an integer, of Python or NumPy, or a tensor of one."""
    return (
        hasattr(value, "__index__")
        and not isinstance(value, engine.Tensor)
        or is_single(value)
        and value.dtype.category == 1
    )


def is_integer(value: Any) -> bool:
    """An integer of Python or NumPy; truth values are none."""
    return (
        hasattr(value, "__index__")
        and not isinstance(value, (bool, engine.Tensor))
        and not hasattr(value, "shape")
        or is_scalar(value, "iu")
    )


def is_number(value: Any) -> bool:
    """A number of Python or NumPy, truth values included."""
    return isinstance(value, (bool, int, float, complex)) or is_scalar(value, "biufc")


def is_scalar(value: Any, kinds: str) -> bool:
    """Whether `value` is a NumPy scalar (no array) of these kinds."""
    kind = type(value)
    is_numpy = kind.__module__ == "numpy" and kind.__name__ != "ndarray"
    return is_numpy and hasattr(value, "dtype") and value.dtype.kind in kinds


def is_single(value: Any) -> bool:
    """A tensor that torch takes for a number: no dimensions, no gradient."""
    return isinstance(value, engine.Tensor) and value.ndim == 0 and not value.requires_grad


# ---- the text for several overloads --------------------------------------------------------------


def invalid_combination(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Sequence[str]
) -> TypeError:
    """torch's `received an invalid combination of arguments`,
    with what is wrong with each list of the right length.
    """
    if len(options) == 1:
        given = marked(options[0], args, kwargs) or plain(args, kwargs)
        return TypeError(
            f"{name}() received an invalid combination of arguments - got {given}, "
            f"but expected {options[0]}"
        )
    lines = [
        (
            f"{name}() received an invalid combination of arguments - got {plain(args, kwargs)}, "
            "but expected one of:"
        )
    ]
    for option in options:
        lines.append(f" * {option}")
        wrong = [k for k in kwargs if k not in option_names(option)]
        if len(args) + len(kwargs) == len(option_names(option)):
            reason = (
                "keywords were incorrect: " + ", ".join(wrong)
                if wrong
                else f"arguments have invalid types: {marked(option, args, kwargs)}"
            )
            lines.append(f"      didn't match because some of the {reason}")
    return TypeError("\n".join(lines) + "\n")


def plain(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """`(Tensor, str, dim=int)`; without positional arguments torch leaves a comma at the end."""
    parts = [errors.type_name(v) for v in args] + [
        f"{k}={errors.type_name(v)}" for k, v in kwargs.items()
    ]
    return f"({', '.join(parts)}{', ' if parts and not args else ''})"


def option_names(option: str) -> list[str]:
    """The last words of an option's parts, `*` included, which is how torch counts them."""
    return [part.rpartition(" ")[2] for part in option[1:-1].split(", ")]


def marked(option: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The given types, with `!` around those that differ from the option's;
    empty when the numbers differ.
    """
    parts = option[1:-1].split(", ")
    if len(parts) != len(args) + len(kwargs):
        return ""
    shown = []
    for part, (keyword, value) in zip(parts, items(parts, args, kwargs)):
        alike = type_matches(part.rpartition(" ")[0], value)
        text = (f"{keyword}=" if keyword else "") + errors.nested_type_name(value)
        shown.append(text if alike else f"!{text}!")
    return f"({', '.join(shown)}{', ' if shown and not args else ''})"


def items(
    parts: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """The values in the order of an option's parts."""
    for i, part in enumerate(parts):
        name = part.rpartition(" ")[2]
        yield ("", args[i]) if i < len(args) else (name, kwargs.get(name))


def type_matches(kind: str, value: Any) -> bool:
    """Whether the type's name is the option's word for it."""
    name = errors.type_name(value)
    return (
        name == kind
        or kind == "float"
        and name in ("float", "int")
        or kind == "Tensor"
        and name == "Parameter"
    )
