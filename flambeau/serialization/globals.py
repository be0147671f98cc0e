"""What a file may name: the fixed table of harmless classes and functions, and the user's list.

The unpickler calls `GlobalTable.find` for every name in a file. The answer says what the name
stands for and what may be done with it: be called (`call`), be made anew without `__init__`
(`create`), or neither, as for a dtype. Nothing is ever imported, and no attribute is ever looked
up on the way: a name is one key of a dictionary, dots included.

>>> table = GlobalTable(allow_modules=False)
>>> table.find("collections", "OrderedDict").call([("a", 1)])
OrderedDict([('a', 1)])
>>> table.find("os", "system")
Traceback (most recent call last):
    ...
_pickle.UnpicklingError: Trying to load unsupported GLOBAL os.system whose module os is blocked.
"""

from __future__ import annotations

import pickle
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import flambeau
from flambeau.serialization import names, rebuild
from flambeau.serialization.allowlist import is_blocked_module, is_blocked_object, user_globals


class Global(NamedTuple):
    """An object that a file may name, and the two ways in which it may be used.

    The code of a `foreign` one is the program's: its errors are passed on as they are.
    """

    value: Any
    call: Callable[..., Any] | None = None
    create: Callable[..., Any] | None = None
    foreign: bool = False


_MODULE_RENAMES = {"torch.tensor": "torch._tensor"}

# The dtypes that files may name; those that this version does not have are left out.
_DTYPES = (
    *names.STORAGE_NAMES,
    *("uint16", "uint32", "uint64", "complex32"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
)

_DEEPEST_KEY = 100


def check_keys(keys: Iterable[Any]) -> None:
    """Refuse keys that would overflow the C stack when hashed: tuples in tuples a million deep."""
    level = [key for key in keys if type(key) is tuple]
    for _ in range(_DEEPEST_KEY):
        if not level:
            return
        level = list({id(t): t for key in level for t in key if type(t) is tuple}.values())
    raise pickle.UnpicklingError("A key of a dictionary or set is nested too deeply")


def _encode(text: Any = "", encoding: Any = "latin1") -> bytes:
    # How pickles of protocol 2 write bytes. Other codecs could import modules or decompress.
    if type(text) is not str:
        raise pickle.UnpicklingError(f"Can only make bytes from text, but got {type(text)}")
    if encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
        raise pickle.UnpicklingError(f"Can only make bytes from text, not with {encoding!r:.40}")
    return text.encode(encoding)


def _make_bytearray(source: Any = b"", encoding: Any = "latin1") -> bytearray:
    # A number would be a size to allocate.
    return bytearray(source if type(source) is bytes else _encode(source, encoding))


def _make_bytes(source: Any = b"") -> bytes:
    return bytes(_make_bytearray(source))


def _checked(maker: Callable[..., Any], *kinds: type) -> Callable[..., Any]:
    """`maker`, refusing arguments that are not exactly of one of `kinds`."""

    def call(*arguments: Any) -> Any:
        for argument in arguments:
            if type(argument) not in kinds:
                raise pickle.UnpicklingError(
                    f"Can not make a {maker.__name__} from {type(argument)}"
                )
            if type(argument) is list:
                check_keys(tuple(item) if type(item) is list else item for item in argument)
        return maker(*arguments)

    return call


def _unsupported(kind: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        raise NotImplementedError(f"The file holds {kind}, which Flambeau does not have.")

    return call


@lru_cache(maxsize=1)
def _fixed_globals() -> dict[str, Global]:
    containers = (list, tuple, dict, set, frozenset, OrderedDict, Counter)
    table = {
        "collections.OrderedDict": Global(OrderedDict, _checked(OrderedDict, *containers)),
        "collections.Counter": Global(Counter, _checked(Counter, *containers)),
        "builtins.set": Global(set, _checked(set, *containers)),
        "builtins.frozenset": Global(frozenset, _checked(frozenset, *containers)),
        "builtins.complex": Global(complex, _checked(complex, int, float)),
        "builtins.bytearray": Global(bytearray, _make_bytearray),
        "builtins.bytes": Global(bytes, _make_bytes),
        "_codecs.encode": Global(_encode, _encode),
        "torch.Size": Global(flambeau.Size, _checked(flambeau.Size, tuple, list)),
        "torch.device": Global(flambeau.device, _checked(flambeau.device, str, int)),
        "torch.Tensor": Global(flambeau.Tensor),
        "torch.serialization._get_layout": Global(rebuild.get_layout, rebuild.get_layout),
        "torch.storage.UntypedStorage": Global(names.UNTYPED_STORAGE),
    }
    for function in (*rebuild.REBUILD_FUNCTIONS, rebuild.rebuild_from_type):
        table[".".join(names.torch_global(function) or ())] = Global(function, function)
    for name, kind in rebuild.UNSUPPORTED_GLOBALS.items():
        refuse = _unsupported(kind)
        table[name] = Global(refuse, refuse)
    for name in _DTYPES:
        if hasattr(flambeau, name):
            table[f"torch.{name}"] = Global(getattr(flambeau, name))
    for dtype_name, storage_name in names.STORAGE_NAMES.items():
        storage_type = names.storage_type_of(getattr(flambeau, dtype_name))
        table[f"torch.{storage_name}"] = Global(storage_type)
    return table


class GlobalTable:
    """The names that one file may use; `allow_modules` adds the classes of neural modules."""

    def __init__(self, allow_modules: bool) -> None:
        self._fixed = _fixed_globals()
        self._user = user_globals()
        self._user_types = {id(value) for value in self._user.values() if isinstance(value, type)}
        self._allow_modules = allow_modules

    def find(self, module: str, name: str) -> Global:
        """What `module` and `name` stand for; UnpicklingError if they stand for nothing allowed."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        module = IMPORT_MAPPING.get(module, _MODULE_RENAMES.get(module, module))
        full_name = f"{module}.{name}"
        user_value = self._user.get(full_name)
        if is_blocked_module(module) or is_blocked_object(user_value):
            raise pickle.UnpicklingError(
                f"Trying to load unsupported GLOBAL {full_name} whose module {module} is blocked."
            )
        if full_name == "torch.nn.parameter.Parameter":
            return Global(flambeau.nn.Parameter)
        if full_name in self._fixed:
            return self._fixed[full_name]
        if full_name in self._user:
            create = user_value.__new__ if isinstance(user_value, type) else None
            return Global(user_value, user_value, create, foreign=True)
        module_class = _loaded_module_class(module, name) if self._allow_modules else None
        if module_class is not None:
            return Global(module_class, None, _new_module, foreign=True)
        shown = name if module == "builtins" else full_name
        raise pickle.UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. "
            f"Please use `torch.serialization.add_safe_globals([{shown}])` or the "
            f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this "
            "global if you trust this class/function."
        )

    def may_build(self, cls: type) -> bool:
        """Whether a file may set the state of instances of this class."""
        if id(cls) in self._user_types:
            return True
        return self._allow_modules and issubclass(cls, flambeau.nn.Module)

    def is_allowed_type(self, cls: Any) -> bool:
        """Whether the user has allowed this very class."""
        return id(cls) in self._user_types


def _new_module(cls: Any, *arguments: Any) -> Any:
    if arguments:
        raise pickle.UnpicklingError(f"Can not make a {cls.__name__} from arguments")
    return cls.__new__(cls)


def _loaded_module_class(module: str, name: str) -> type | None:
    """The subclass of `nn.Module` of that name, if the program has loaded it already.

    The look-up reads dictionaries only: no import and no attribute hook can run.
    """
    if module.split(".")[:2] == ["torch", "nn"]:
        found: Any = getattr(flambeau.nn, name, None)
    else:
        found = sys.modules.get(module)
        for part in name.split("."):
            found = vars(found).get(part) if hasattr(found, "__dict__") else None
    is_module = isinstance(found, type) and issubclass(found, flambeau.nn.Module)
    return found if is_module else None
