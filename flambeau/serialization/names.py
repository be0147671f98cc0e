"""The names that checkpoints use: Flambeau's objects are written under torch's names.

Both sides look here: the pickler for the name of a dtype, class or function, the allow-list for
the names under which a file may ask for a class. A name is a pair (module, qualified name).

>>> torch_global(torch.float32), torch_global(torch.nn.Linear)
(('torch', 'float32'), ('torch.nn.modules.linear', 'Linear'))
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import flambeau

Function = TypeVar("Function", bound=Callable[..., Any])

# dtype name -> name of the storage class that stands for it in files. The dtypes that torch added
# later have none: their tensors name the dtype itself beside an untyped storage.
STORAGE_NAMES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "complex128": "ComplexDoubleStorage",
    "complex64": "ComplexFloatStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}

# Modules that torch keeps in one file and Flambeau in two: ours -> torch's.
_TORCH_MODULES = {
    "nn.modules.attention": "nn.modules.activation",
    "nn.modules.lazy_conv": "nn.modules.conv",
    "nn.modules.margin_loss": "nn.modules.loss",
    "nn.modules.parameter_container": "nn.modules.container",
    "nn.modules.rnn_cell": "nn.modules.rnn",
    "nn.modules.softmax": "nn.modules.activation",
    "nn.modules.special_pooling": "nn.modules.pooling",
    "nn.modules.transformer_layer": "nn.modules.transformer",
    "optim._adafactor": "optim",
    "optim._muon": "optim",
}


def dtype_name(dtype: Any) -> str:
    """The dtype's name without its package.

    >>> dtype_name(torch.float64)
    'float64'
    """
    return str(dtype).rpartition(".")[2]


class StorageType:
    """Stands for a storage class of torch, such as `torch.FloatStorage`: a dtype in disguise.

    `dtype` is None for the untyped storage.
    """

    def __init__(self, name: str, dtype: Any) -> None:
        self.name = name
        self.dtype = dtype


UNTYPED_STORAGE = StorageType("UntypedStorage", None)
_storage_types: dict[Any, StorageType] = {}


def storage_type_of(dtype: Any) -> StorageType | None:
    """The storage class of a dtype, always the same object; None for a dtype that has none.

    >>> storage_type_of(torch.int64).name
    'LongStorage'
    """
    if not _storage_types:
        for name, storage_name in STORAGE_NAMES.items():
            each = getattr(flambeau, name)
            _storage_types[each] = StorageType(storage_name, each)
    return _storage_types.get(dtype)


def written_as(module: str, name: str) -> Callable[[Function], Function]:
    """A decorator: pickles that name this function say `module` and `name` instead."""

    def mark(function: Function) -> Function:
        function.__dict__["torch_global"] = (module, name)
        return function

    return mark


def torch_global(obj: Any) -> tuple[str, str] | None:
    """The name that a file uses for an object of Flambeau; None for anything else."""
    if isinstance(obj, flambeau.dtype):
        return "torch", dtype_name(obj)
    if isinstance(obj, StorageType):
        return ("torch" if obj.dtype is not None else "torch.storage"), obj.name
    if isinstance(obj, FunctionType) and "torch_global" in obj.__dict__:
        module, name = obj.__dict__["torch_global"]
        return module, name
    if not isinstance(obj, (type, FunctionType)):
        return None
    package, _, inner = obj.__module__.partition(".")
    if package != flambeau.__name__:
        return None
    if any(obj is each for each in (flambeau.Tensor, flambeau.Size, flambeau.device)):
        return "torch", obj.__qualname__
    if inner.startswith("optim.lr_scheduler."):
        inner = "optim.lr_scheduler"
    inner = _TORCH_MODULES.get(inner, inner)
    return f"torch.{inner}" if inner else "torch", obj.__qualname__
