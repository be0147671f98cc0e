"""Calling a module with other tensors in the place of its parameters and buffers.

>>> layer = torch.nn.Linear(2, 1, bias=False)
>>> weights = {"weight": torch.ones(1, 2)}
>>> torch.nn.utils.stateless._functional_call(layer, weights, torch.ones(1, 2))
tensor([[2.]])
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from flambeau import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Deprecated: use `flambeau.func.functional_call`, which does the same."""
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 "
        "and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def _functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    given = parameters_and_buffers
    with _reparametrize_module(module, given, tie_weights=tie_weights, strict=strict):
        return module(*args, **(kwargs or {}))


@contextlib.contextmanager
def _reparametrize_module(
    module: Any,
    parameters_and_buffers: dict[str, Tensor],
    tie_weights: bool = False,
    strict: bool = False,
) -> Iterator[None]:
    """The given tensors are in their places for the time of a `with`.

    Afterwards the dict holds what the module then had under each name: a buffer, say, that the
    call replaced.
    """
    given = dict(parameters_and_buffers)
    if tie_weights:
        given = _with_tied_names(module, given)
    if strict:
        _check_names(module, given)
    replaced: dict[str, Tensor] = {}
    try:
        for name, tensor in given.items():
            replaced[name] = _swap(module, name, tensor)
        yield
    finally:
        # Backwards: of two names of one shared submodule the first holds what was there.
        for name in reversed(list(replaced)):
            current = _swap(module, name, replaced[name])
            if name in parameters_and_buffers:
                parameters_and_buffers[name] = current


def _named_tensors(module: Any) -> dict[str, Tensor]:
    named = dict(module.named_parameters(remove_duplicate=False))
    named.update(module.named_buffers(remove_duplicate=False))
    return named


def _check_names(module: Any, given: dict[str, Tensor]) -> None:
    expected = _named_tensors(module).keys()
    complaints = []
    for kind, names in (
        ("Unexpected", given.keys() - expected),
        ("Missing", expected - given.keys()),
    ):
        if names:
            complaints.append(f"{kind} key(s): {', '.join(map(repr, sorted(names)))}.")
    if complaints:
        raise RuntimeError(
            "Error(s) in reparametrizing for {}:\n\t{}".format(
                module._get_name(), "\n\t".join(complaints)
            )
        )


def _with_tied_names(module: Any, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """`given` with each tensor under all names of the tensor that it replaces."""
    names_of: dict[Tensor, list[str]] = {}
    for name, tensor in _named_tensors(module).items():
        names_of.setdefault(tensor, []).append(name)
    result = dict(given)
    for names in names_of.values():
        values = {id(given[name]): given[name] for name in names if name in given}
        if len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, "
                "which are tied. Consider using tie_weights=False"
            )
        for value in values.values():
            result.update(dict.fromkeys(names, value))
    return result


_MISSING: Any = object()


def _swap(module: Any, name: str, value: Any) -> Any:
    """Put `value` at the dotted `name` and return what was there; `_MISSING` takes it away."""
    path, _, last = name.rpartition(".")
    owner = module
    for part in path.split(".") if path else ():
        if not hasattr(owner, part):
            raise AttributeError(f"{owner._get_name()} has no attribute `{part}`")
        owner = getattr(owner, part)
    for table in (owner._parameters, owner._buffers):
        if last in table:
            previous = table[last]
            if value is _MISSING:
                del table[last]
            else:
                table[last] = value
            return previous
    # Neither: an attribute, such as a weight that a hook computes.
    previous = getattr(owner, last, _MISSING)
    if value is _MISSING:
        delattr(owner, last)
    elif previous is not _MISSING and not isinstance(previous, Tensor) and previous is not None:
        raise TypeError(f"attribute `{last}`: {previous} is not an instance of torch.Tensor")
    else:
        setattr(owner, last, value)
    return previous
