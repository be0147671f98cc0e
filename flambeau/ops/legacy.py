"""The old constructors: `torch.Tensor(2, 3)`, `torch.FloatTensor([1, 2])` and their kin.

>>> torch.LongTensor([1, 2])
tensor([1, 2])
"""

from __future__ import annotations

from typing import Any

from flambeau.core import dtype as dtypes
from flambeau.core.shape import Size
from flambeau.ops.creation import empty
from flambeau.ops.creation_arguments import place, sizes_of
from flambeau.ops.from_data import tensor
from flambeau.ops.registry import is_tensor
from flambeau.runtime.system import engine


def legacy_constructor(cls: type, name: str, *args: Any, **kwargs: Any) -> Any:
    """`torch.Tensor(2, 3)`, `torch.Tensor([1, 2])`, `torch.FloatTensor(...)`: sizes,
    data or another tensor.
    """
    engine.start()
    kind = legacy_dtype(name)
    where = kwargs.pop("device", None)
    if kwargs:
        raise TypeError(f"new() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if not args:
        made = empty(0, dtype=kind)
    elif len(args) == 1 and is_tensor(args[0]):
        if args[0].dtype is not kind:
            raise TypeError(
                f"expected {kind.tensor_type.removeprefix('torch.').removesuffix('Tensor')} (got "
                f"{args[0].dtype.scalar_name})"
            )
        made = args[0].detach()
    elif len(args) == 1 and isinstance(args[0], (Size, int)) and not isinstance(args[0], bool):
        made = empty(tuple(args[0]) if isinstance(args[0], Size) else args[0], dtype=kind)
    elif len(args) == 1:
        if isinstance(args[0], (float, str)) and not isinstance(args[0], str):
            raise TypeError(f"new(): data must be a sequence (got {type(args[0]).__name__})")
        made = tensor(args[0], dtype=kind)
    else:
        made = empty(sizes_of("new", args), dtype=kind)
    if where is not None:
        made = made.to(place(where))
    plain = cls is engine.Tensor or cls is engine.Parameter
    return made if plain else made.as_subclass(cls)


def legacy_dtype(name: str) -> Any:
    """dtype of `torch.FloatTensor` and its kin; `torch.Tensor` is of the default dtype."""
    if name == "torch.FloatTensor":
        return dtypes.get_default_dtype()
    return next(d for d in dtypes.DTYPES.values() if d.tensor_type == name)


def typed_constructor(kind: Any) -> type:
    """The class `torch.LongTensor`: calling it makes a tensor, `isinstance` asks for the dtype."""
    name = kind.tensor_type.rpartition(".")[2]

    class Meta(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return is_tensor(instance) and instance.dtype is kind

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return (
                legacy_constructor(engine.Tensor, kind.tensor_type, *args, **kwargs)
                if kind is not dtypes.float32
                else float_constructor(*args, **kwargs)
            )

    return Meta(
        name,
        (),
        {"__module__": "torch", "dtype": kind, "__doc__": f"Old constructor of {kind} tensors."},
    )


def float_constructor(*args: Any, **kwargs: Any) -> Any:
    """`torch.FloatTensor(...)`: float32 whatever the default dtype is."""
    return legacy_constructor(engine.Tensor, "torch.FloatTensor", *args, **kwargs).to(
        dtypes.float32
    )


CONSTRUCTORS = {
    kind.tensor_type.rpartition(".")[2]: typed_constructor(kind)
    for kind in dtypes.DTYPES.values()
    if kind.name
    in (
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "bool",
    )
}
globals().update(CONSTRUCTORS)

__all__ = list(CONSTRUCTORS)
