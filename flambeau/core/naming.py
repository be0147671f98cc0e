"""How public types print: ``<class 'torch.Size'>`` although they live in a `flambeau` module.

Used as the metaclass of the types that users see printed (`dtype`, `Size`, `device`, ...):

>>> class Example(metaclass=PublicType):
...     pass
>>> Example
<class 'torch.Example'>
"""

from __future__ import annotations

from typing import Any


class PublicType(type):
    """A metaclass that only changes the type's own repr.

    `__module__` stays the true one: pickle stores it, and must not be sent to another package.
    """

    def __repr__(cls) -> str:
        if cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
            return super().__repr__()  # a subclass written by the user
        return f"<class 'torch.{cls.__qualname__}'>"


class FinalPublicType(PublicType):
    """The same for types that, like torch's, cannot be subclassed."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> FinalPublicType:
        for base in bases:
            if isinstance(base, FinalPublicType):
                raise TypeError(f"type 'torch.{base.__name__}' is not an acceptable base type")
        return super().__new__(mcs, name, bases, namespace, **options)


class PublicConstants(FinalPublicType):
    """A final type whose instances exist once, made by its own module with `_make`."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"cannot create 'torch.{cls.__name__}' instances")


class Immutable:
    """Attributes are set once, at creation, through `object.__setattr__`."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        owner = f"'torch.{type(self).__name__}' object"
        if hasattr(type(self), name):
            raise AttributeError(f"attribute '{name}' of {owner}s is not writable")
        raise AttributeError(f"{owner} has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'torch.{type(self).__name__}' object has no attribute '{name}'")
