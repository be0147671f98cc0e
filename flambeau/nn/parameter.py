"""Parameters and buffers: the tensors that a module owns.

`Module.__setattr__` files a `Parameter` under the module's parameters and a `Buffer` under its
buffers; any other tensor stays a plain attribute. The uninitialized kinds stand in for tensors
whose shape the first call of a lazy module decides.

>>> torch.nn.Parameter(torch.zeros(2))
Parameter containing:
tensor([0., 0.], requires_grad=True)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import flambeau

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _NamedMeta(type(flambeau.Tensor)):  # type: ignore[misc]
    """Prints the classes of this file, but not those derived from them, under torch's name."""

    def __repr__(cls) -> str:
        if cls.__module__ == __name__:
            return f"<class 'torch.nn.parameter.{cls.__qualname__}'>"
        return type.__repr__(cls)


class _ParameterMeta(_NamedMeta):
    """Lets a tensor of a user's own class count as a Parameter: `Parameter(t)` keeps that class."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Parameter and getattr(instance, "_is_param", False) is True


class _BufferMeta(_NamedMeta):
    """A Buffer is an ordinary tensor with a mark, so that it behaves and prints as one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        return cls is Buffer and getattr(instance, "_is_buffer", False) is True


class Parameter(flambeau.Tensor, metaclass=_ParameterMeta, plain=True):
    """A leaf tensor that a module trains. It shares the memory of `data`.

    It requires a gradient unless told otherwise, inside `no_grad` as well.

    >>> weight = torch.nn.Parameter(torch.ones(2, 3))
    >>> weight.requires_grad, weight.is_leaf, type(weight * 2) is torch.Tensor
    (True, True, True)
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = flambeau.empty(0)
        if type(data) is flambeau.Tensor or type(data) is Parameter:
            return flambeau.Tensor._make_subclass(cls, data, requires_grad)
        result = data.detach().requires_grad_(requires_grad)
        if type(result) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} "
                "requires that detach() returns an instance of the same type, but return "
                f"type {type(result).__name__} was found instead. To use the type as a "
                "Parameter, please correct the detach() semantics defined by "
                "its __torch_dispatch__() implementation."
            )
        result._is_param = True
        return result

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            values = self.data.clone(memory_format=flambeau.preserve_format)
            memo[id(self)] = type(self)(values, self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: int) -> tuple:
        # The empty table stands where hooks would be: hooks are never saved.
        arguments = (self.data, self.requires_grad, OrderedDict())
        return _rebuild_parameter, arguments, dict(self.__dict__) or None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Parameter:
    """What a pickled Parameter calls on loading."""
    return Parameter(data, requires_grad)


class Buffer(flambeau.Tensor, metaclass=_BufferMeta):
    """A tensor that is part of a module's state but is not trained.

    `persistent` says whether `Module.state_dict` holds it.

    >>> module = torch.nn.Module()
    >>> module.steps = torch.nn.Buffer(torch.zeros(1))
    >>> [name for name, buffer in module.named_buffers()]
    ['steps']
    """

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = flambeau.empty(0)
        result = data.detach().requires_grad_(data.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result


class UninitializedTensorMixin:
    """What the two uninitialized kinds share: they have a dtype and a device but no shape yet."""

    cls_to_become: type

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor its memory, uninitialized; it becomes an ordinary one.

        >>> weight = torch.nn.UninitializedParameter()
        >>> weight.materialize((2, 3))
        >>> type(weight).__name__, weight.shape
        ('Parameter', torch.Size([2, 3]))
        """
        device = self.data.device if device is None else device  # type: ignore[attr-defined]
        dtype = self.data.dtype if dtype is None else dtype  # type: ignore[attr-defined]
        self.data = flambeau.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: int) -> tuple:
        return type(self), (self.requires_grad,)  # type: ignore[attr-defined]


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer without a shape.

    >>> torch.nn.parameter.is_lazy(torch.nn.UninitializedParameter())
    True
    """
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A Parameter whose shape is not known yet.

    >>> torch.nn.UninitializedParameter()
    <UninitializedParameter>
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        data = flambeau.empty(0, device=device, dtype=dtype)
        return flambeau.Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, flambeau.Tensor, metaclass=_NamedMeta):
    """A buffer whose shape is not known yet.

    >>> torch.nn.UninitializedBuffer()
    <UninitializedBuffer>
    """

    cls_to_become = flambeau.Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        data = flambeau.empty(0, device=device, dtype=dtype)
        result = flambeau.Tensor._make_subclass(cls, data, requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result
