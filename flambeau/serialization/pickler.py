"""Pickles Python data with tensors in it, in the form that torch's own files have.

`save` makes a `DataPickler`. It is Python's pickler with three changes: objects of Flambeau are
written under torch's names, a tensor is written as a call of torch's `_rebuild_tensor_v2`, and the
memory of tensors is not pickled but referred to; the caller then writes what `storages` has
collected. Tensors that share a storage refer to the same one.

>>> pickler = DataPickler(io.BytesIO(), protocol=2)
>>> pickler.dump({"weight": torch.zeros(3)})
>>> [storage.nbytes() for storage in pickler.storages.values()]
[12]
"""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections import OrderedDict
from typing import Any

import flambeau
from flambeau.serialization import names, rebuild
from flambeau.serialization.rebuild import GRADIENT_STATE
from flambeau.serialization.storages import StorageReference, location_tag

# The pickler written in Python, because the names that it writes can be overridden: the one in C
# writes only names under which the object itself can be imported.
_PythonPickler: Any = pickle._Pickler


class DataPickler(_PythonPickler):
    """Writes one object; `storages` maps a key, "0" upwards, to the storage it stands for."""

    dispatch = dict(_PythonPickler.dispatch)

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.storages: dict[str, Any] = {}
        self._keys: dict[tuple[int, int], str] = {}
        self._dtypes: dict[int, Any] = {}

    def persistent_id(self, obj: Any) -> tuple[Any, ...] | None:
        """Stands for a storage in the pickle: kind, storage class, key, device, length."""
        if isinstance(obj, flambeau.UntypedStorage):
            obj = StorageReference(obj, None)
        elif isinstance(obj, flambeau.TypedStorage):
            obj = StorageReference(obj._untyped_storage, obj.dtype)
        if type(obj) is not StorageReference:
            return None
        storage, dtype = obj
        storage_type = names.UNTYPED_STORAGE if dtype is None else names.storage_type_of(dtype)
        itemsize = 1 if dtype is None else dtype.itemsize
        key = self._key_of(storage, dtype)
        return "storage", storage_type, key, location_tag(storage), storage.nbytes() // itemsize

    def _key_of(self, storage: Any, dtype: Any) -> str:
        address = storage.data_ptr()
        known = self._dtypes.setdefault(address, dtype or flambeau.uint8) if address else None
        if known is not None and known != (dtype or flambeau.uint8):
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types"
            )
        # Empty storages have no address; each is its own, and none is lost by writing it twice.
        identity = (address, storage.nbytes()) if address else (0, -1 - len(self.storages))
        key = self._keys.setdefault(identity, str(len(self._keys)))
        # Holding the storage keeps its address from being given to another one meanwhile.
        self.storages.setdefault(key, storage)
        return key

    def reducer_override(self, obj: Any) -> Any:
        """How tensors, dtypes and their like are written; everything else goes Python's way."""
        if isinstance(obj, flambeau.Tensor):
            return reduce_tensor(obj)
        if isinstance(obj, (flambeau.dtype, names.StorageType)):
            return names.torch_global(obj)[1]  # type: ignore[index]
        if isinstance(obj, flambeau.device):
            # A text of its own, as in torch: not the one that says where storages are.
            kind = "".join(list(obj.type))
            return flambeau.device, (kind,) if obj.index is None else (kind, obj.index)
        if isinstance(obj, flambeau.Size):
            return flambeau.Size, (tuple(obj),)
        if isinstance(obj, flambeau.layout):
            return rebuild.get_layout, (str(obj),)
        module_class = _loaded("flambeau.nn.modules.module", "Module")
        if module_class is not None and isinstance(obj, module_class):
            return reduce_module(obj, self.proto)
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function by name, under torch's name where it is ours."""
        torch_global = names.torch_global(obj)
        if torch_global is None:
            try:
                super().save_global(obj, name)
            except pickle.PicklingError:
                # The pickler in C says it in the words, and by the class, that users know.
                pickle.dumps(obj, self.proto)
                raise
            return
        module, name = torch_global
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch[types.FunctionType] = save_global


def _loaded(module: str, name: str) -> Any:
    # Objects of a class exist only where its module has been imported: saving need not import it.
    return getattr(sys.modules.get(module), name, None)


# The attributes of torch's modules in their order; those that Flambeau's modules do not have while
# they are empty are written as torch expects them.
_MODULE_STATE: tuple[tuple[str, type | None], ...] = (
    ("training", None),
    ("_parameters", dict),
    ("_buffers", dict),
    ("_non_persistent_buffers_set", set),
    ("_backward_pre_hooks", OrderedDict),
    ("_backward_hooks", OrderedDict),
    ("_is_full_backward_hook", None),
    ("_forward_hooks", OrderedDict),
    ("_forward_hooks_with_kwargs", OrderedDict),
    ("_forward_hooks_always_called", OrderedDict),
    ("_forward_pre_hooks", OrderedDict),
    ("_forward_pre_hooks_with_kwargs", OrderedDict),
    ("_state_dict_hooks", OrderedDict),
    ("_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_post_hooks", OrderedDict),
    ("_modules", dict),
)


def reduce_module(module: Any, protocol: int) -> Any:
    """How a whole module is written: with the state that a module of torch would have."""
    reduced = module.__reduce_ex__(protocol)
    state = reduced[2] if isinstance(reduced, tuple) and len(reduced) > 2 else None
    if not isinstance(state, dict) or "_parameters" not in state:
        return reduced
    own = dict(state)
    written = {}
    for name, kind in _MODULE_STATE:
        value = own.pop(name, None)
        written[name] = value if kind is None else kind(value or ())
    return (*reduced[:2], {**written, **own}, *reduced[3:])


def reduce_tensor(tensor: Any) -> Any:
    """The call that rebuilds `tensor`, with a `StorageReference` for its memory."""
    parameter_class = _loaded("flambeau.nn.parameter", "Parameter")
    known = [cls.__reduce_ex__ for cls in (flambeau.Tensor, parameter_class) if cls is not None]
    if type(tensor).__reduce_ex__ not in known:
        return NotImplemented
    state = attributes_of(tensor)
    if parameter_class is not None and isinstance(tensor, parameter_class):
        arguments: tuple[Any, ...] = (tensor.data, tensor.requires_grad, OrderedDict())
        if state is None:
            return rebuild.rebuild_parameter, arguments
        return rebuild.rebuild_parameter_with_state, (*arguments, state)
    function, arguments = _reduce_plain(tensor)
    if type(tensor) is flambeau.Tensor and state is None:
        return function, arguments
    return rebuild.rebuild_from_type, (function, type(tensor), arguments, state)


def _reduce_plain(tensor: Any) -> tuple[Any, tuple[Any, ...]]:
    dtype, size, stride = tensor.dtype, (*tensor.size(),), (*tensor.stride(),)
    if tensor.device.type == "meta":
        return rebuild.rebuild_meta_tensor, (dtype, size, stride, tensor.requires_grad)
    is_typed = names.storage_type_of(dtype) is not None
    reference = StorageReference(tensor.untyped_storage(), dtype if is_typed else None)
    hooks: OrderedDict[str, Any] = OrderedDict()
    arguments: tuple[Any, ...] = (
        reference,
        tensor.storage_offset(),
        size,
        stride,
        tensor.requires_grad,
    )
    arguments += (hooks,) if is_typed else (hooks, dtype)
    flags = {"conj": tensor.is_conj(), "neg": tensor.is_neg()}
    metadata = {name: True for name, is_set in flags.items() if is_set}
    function = rebuild.rebuild_tensor_v2 if is_typed else rebuild.rebuild_tensor_v3
    return function, (*arguments, metadata) if metadata else arguments


def attributes_of(tensor: Any) -> Any:
    """The attributes that a program has set on a tensor; None where there are none."""
    state = {name: value for name, value in vars(tensor).items() if name not in GRADIENT_STATE}
    return state or None
