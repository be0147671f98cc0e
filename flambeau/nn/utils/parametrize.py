"""Parametrizations: a parameter that modules compute from another one.

After `register_parametrization(layer, "weight", function)` the attribute `layer.weight` is
`function(original)`, computed at each access, and `layer.parametrizations.weight.original` is what
an optimizer trains. The module gets a class of its own, which holds the property.

>>> class Symmetric(torch.nn.Module):
...     def forward(self, x):
...         return x.triu() + x.triu(1).T
>>> layer = torch.nn.Linear(3, 3)
>>> _ = torch.nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
>>> torch.equal(layer.weight, layer.weight.T)
True
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import flambeau
from flambeau import Tensor

from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_depth = 0
_cache: dict[tuple[int, str], Tensor] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Inside this `with` each parametrized tensor is computed once.

    >>> with torch.nn.utils.parametrize.cached():
    ...     pass
    """
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if _cache_depth == 0:
            _cache.clear()


def _register(module: Any, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _check_unchanged(attribute: str, old: Any, new: Any, message: str) -> None:
    """`message` has the names of the two sides after its first line."""
    if getattr(old, attribute) != getattr(new, attribute):
        first, before, after = message.split("\n")
        raise ValueError(
            f"{first.format(attribute)}\n{before.format(attribute)}: {getattr(old, attribute)}\n"
            f"{after.format(attribute)}: {getattr(new, attribute)}"
        )


def _check_tensor(value: Any, message: str) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(message.format(type(value).__name__))


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, and the original tensor or tensors."""

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        # What `forward` must agree with: `original` itself may be changed below.
        before = flambeau.empty(original.shape, dtype=original.dtype, device="meta")
        new = self._invert(original)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            self._keep_tensor(original, new)
        else:
            self._keep_tensors(original, new)
        if not unsafe:
            result = self()
            _check_tensor(result, "A parametrization must return a tensor. Got {}.")
            for attribute in ("dtype", "shape"):
                _check_unchanged(
                    attribute,
                    before,
                    result,
                    "Registering a parametrization may not change the {} of the tensor, unless "
                    "`unsafe` flag is enabled.\nunparametrized {}\nparametrized {}",
                )

    def _invert(self, original: Tensor) -> Any:
        new: Any = original
        with flambeau.no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        continue  # the module says that it has none: the original is taken as it is
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        return new

    def _keep_tensor(self, original: Tensor, new: Tensor) -> None:
        for attribute in ("dtype", "device"):
            _check_unchanged(
                attribute,
                original,
                new,
                f"When `right_inverse` outputs one tensor, it may not change the {attribute}.\n"
                "original.{}\nright_inverse(original).{}",
            )
        # The same object: an optimizer may hold it already.
        with flambeau.no_grad():
            original.data = new
        _register(self, "original", original)

    def _keep_tensors(self, original: Tensor, new: Sequence[Any]) -> None:
        for i, part in enumerate(new):
            if not isinstance(part, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors "
                    "(list, tuple...). "
                    f"Got element {i} of the sequence with type {type(part).__name__}."
                )
            if isinstance(original, Parameter):
                part = Parameter(part, original.requires_grad)
            part.requires_grad_(original.requires_grad)
            _register(self, f"original{i}", part)

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that `forward` gives `value`: what `module.weight = value` does."""
        with flambeau.no_grad():
            new: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                new = module.right_inverse(new)
            if self.is_tensor:
                _check_tensor(new, "`right_inverse` should return a tensor. Got {}")
                if new.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {new.dtype} "
                        f"while `original` has dtype {self.original.dtype}"
                    )
                self.original.data = new
            else:
                self._set_originals(new)

    def _set_originals(self, new: Any) -> None:
        if not isinstance(new, Sequence):
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors. Got {type(new).__name__}."
            )
        if len(new) != self.ntensors:
            raise ValueError(
                "'right_inverse' must return a sequence of tensors of length "
                f"{self.ntensors}. Got a sequence of length {len(new)}."
            )
        for i, part in enumerate(new):
            original = getattr(self, f"original{i}")
            if not isinstance(part, Tensor):
                raise ValueError(
                    "'right_inverse' must return a sequence of tensors or reference-type opaques. "
                    f"Got element {i} of type {type(part).__name__}."
                )
            if original.dtype != part.dtype:
                raise ValueError(
                    f"Tensor {i} returned by `right_inverse` has dtype {part.dtype} "
                    f"while `original{i}` has dtype {original.dtype}"
                )
            original.data = part

    def forward(self) -> Tensor:
        if self.is_tensor:
            originals = [self.original]
        else:
            originals = [getattr(self, f"original{i}") for i in range(self.ntensors)]
        first, *others = self
        value = first(*originals)
        for module in others:
            value = module(value)
        return value


def _deepcopy_parametrized(self: Any, memo: dict[int, Any]) -> Any:
    if id(self) in memo:
        return memo[id(self)]
    replica = self.__new__(type(self))
    memo[id(self)] = replica
    replica.__dict__ = deepcopy(self.__dict__, memo)
    for slot in copyreg._slotnames(type(self)):  # type: ignore[attr-defined]
        if hasattr(self, slot):
            setattr(replica, slot, deepcopy(getattr(self, slot), memo))
    return replica


def _no_pickling(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only "
        "supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _give_own_class(module: Any) -> None:
    """A subclass for this one module: properties belong to classes."""
    base = type(module)
    members: dict[str, Any] = {"__getstate__": _no_pickling}
    if not hasattr(base, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy_parametrized
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), members)


def _add_property(module: Any, name: str) -> None:
    def get(self: Any) -> Tensor:
        parametrization = self.parametrizations[name]
        if _cache_depth == 0:
            return parametrization()
        key = (id(module), name)
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def set_original(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, set_original))


def register_parametrization(
    module: Any, tensor_name: str, parametrization: Any, *, unsafe: bool = False
) -> Any:
    """Compute the parameter or buffer `tensor_name` of `module` by `parametrization`.

    A second one is applied to what the first gives. Without `unsafe`, shape and dtype must not
    change. A method `right_inverse` of the parametrization allows assignment to the tensor.

    >>> layer = torch.nn.Linear(2, 2)
    >>> torch.nn.utils.parametrize.register_parametrization(layer, "weight", torch.nn.ReLU())
    ParametrizedLinear(
      in_features=2, out_features=2, bias=True
      (parametrizations): ModuleDict(
        (weight): ParametrizationList(
          (0): ReLU()
        )
      )
    )
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_next(module, tensor_name, parametrization)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        # Made first: if it raises, the module is untouched.
        parametrizations = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _add_property(module, tensor_name)
        module.parametrizations[tensor_name] = parametrizations
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    return module


def _check_next(module: Any, name: str, parametrization: Any) -> None:
    """Whether `parametrization` fits behind those that the tensor has."""
    current = getattr(module, name)
    result = parametrization(current)
    _check_tensor(result, "A parametrization must return a tensor. Got {}.")
    for attribute in ("dtype", "shape"):
        _check_unchanged(
            attribute,
            current,
            result,
            "Registering a parametrization may not change the {} of the tensor, unless the "
            "`unsafe` flag is enabled.\n"
            f"module.{name}.{{}}\nparametrization(module.{name}).{{}}",
        )
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        inverse = parametrization.right_inverse(result)
    except NotImplementedError:
        return
    _check_tensor(inverse, "parametrization.right_inverse must return a tensor. Got: {}")
    for attribute in ("dtype", "shape"):
        _check_unchanged(
            attribute,
            current,
            inverse,
            "The tensor returned by parametrization.right_inverse must have the same {} "
            f"as module.{name}, unless the `unsafe` flag is enabled.\n"
            f"module.{name}.{{}}\nreturned {{}}",
        )


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether `module` has parametrizations, or one of `tensor_name`.

    >>> torch.nn.utils.parametrize.is_parametrized(torch.nn.Linear(2, 2))
    False
    """
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make the tensor an ordinary one again, with its current value or with the original's.

    >>> from flambeau.nn.utils import parametrize
    >>> layer = parametrize.register_parametrization(
    ...     torch.nn.Linear(2, 2), "weight", torch.nn.ReLU()
    ... )
    >>> parametrize.remove_parametrizations(layer, "weight")
    Linear(in_features=2, out_features=2, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations = module.parametrizations[tensor_name]
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with flambeau.no_grad():
                original.data = getattr(module, tensor_name)
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Any) -> type:
    """The class of `module` without that of its parametrizations.

    >>> torch.nn.utils.parametrize.type_before_parametrizations(torch.nn.Linear(2, 2)).__name__
    'Linear'
    """
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Any, to_module: Any, tensor_name: str | None = None
) -> Any:
    """Give `to_module` the parametrizations of `from_module` and their original tensors."""
    if not is_parametrized(from_module):
        return to_module
    for name in from_module.parametrizations if tensor_name is None else [tensor_name]:
        source = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        target = to_module.parametrizations[name]
        if hasattr(source, "original"):
            target.original = source.original
        else:
            for i in range(source.ntensors):
                setattr(target, f"original{i}", getattr(source, f"original{i}"))
    return to_module
