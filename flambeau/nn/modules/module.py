"""`Module`, the base class of all layers and models.

The class is put together from parts: registering and calling are here, the walk over submodules in
`module_tree.py`, dtype and device changes in `module_conversion.py`, saved state in
`module_state.py`, hooks in `module_hooks.py` and `module_call.py`. A module's parameters, buffers
and submodules lie in three tables (`registry.py`) that are mirrored in its `__dict__`.

>>> class Scale(torch.nn.Module):
...     def __init__(self):
...         super().__init__()
...         self.factor = torch.nn.Parameter(torch.tensor(3.0))
...
...     def forward(self, x):
...         return x * self.factor
>>> Scale()(torch.tensor(2.0)).item()
6.0
"""

from __future__ import annotations

import inspect
import types
import weakref
from typing import Any

import flambeau

from ..parameter import Buffer, Parameter

# Some of these are here for those who know them as attributes of this file.
from .module_call import (  # noqa: F401
    GlobalHookTable,
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
)
from .module_call import WrappedHook as _WrappedHook  # noqa: F401
from .module_call import has_any_global_hook as _has_any_global_hook
from .module_conversion import ModuleConversion
from .module_hooks import (
    ModuleHooks,
    _global_buffer_registration_hooks,
    _global_module_registration_hooks,
    _global_parameter_registration_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .module_state import (  # noqa: F401
    _EXTRA_STATE_KEY_SUFFIX,
    ModuleState,
    _IncompatibleKeys,
)
from .module_tree import ModuleTree
from .registry import REGISTRIES, Registry, attach, mirrored_names

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

# Values of these types are never registered, and most attributes are of them.
_PLAIN_TYPES = frozenset(
    (bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset, type(None))
    + (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
)
_CALL_TABLES = frozenset(
    (
        "_backward_pre_hooks",
        "_backward_hooks",
        "_forward_hooks",
        "_forward_hooks_with_kwargs",
        "_forward_hooks_always_called",
        "_forward_pre_hooks",
        "_forward_pre_hooks_with_kwargs",
    )
)
_STATE_TABLES = frozenset(
    (
        "_state_dict_hooks",
        "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks",
        "_load_state_dict_post_hooks",
    )
)
# Attributes of the module's own machinery, whose assignment has consequences.
_MACHINERY = frozenset((*REGISTRIES, *_CALL_TABLES, "_compiled_call_impl", "__dict__"))


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """What a module computes; every subclass defines it."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(ModuleHooks, ModuleState, ModuleTree, ModuleConversion):
    """A part of a model: it owns parameters, buffers and other modules, and computes `forward`.

    Call `super().__init__()` before assigning any of these as attributes.

    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Tanh())
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
      (1): Tanh()
    )
    """

    dump_patches: bool = False
    call_super_init: bool = False
    training: bool
    _compiled_call_impl: Any = None

    forward: Any = _forward_unimplemented

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"'{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but "
                    f"{len(args) + 1} were given"
                )
        # Straight into `__dict__`: `__setattr__` would only look for parameters and modules.
        owner = weakref.ref(self)
        attributes = self.__dict__
        attributes["training"] = True
        for table_name in REGISTRIES:
            attributes[table_name] = table = Registry()
            table.owners = [owner]
        attributes["_non_persistent_buffers_set"] = set()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._has_call_hooks:
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            return self._call_impl(*args, **kwargs)
        return self.forward(*args, **kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile this module's call with `flambeau.compile`, which gets the same arguments.

        >>> layer = torch.nn.Linear(2, 1)
        >>> layer.compile()
        >>> layer(torch.ones(3, 2)).shape
        torch.Size([3, 1])
        """
        self._compiled_call_impl = flambeau.compile(self._call_impl, *args, **kwargs)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; None says that this module has none of that name.

        >>> module = torch.nn.Module()
        >>> module.register_parameter("weight", torch.nn.Parameter(torch.zeros(2)))
        >>> module.weight.shape
        torch.Size([2])
        """
        self._check_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{flambeau.typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model "
                    f"parameters must be created explicitly. To express '{name}' "
                    "as a function of another Tensor, compute the value in "
                    "the forward() method."
                )
            param = _run_hooks(_global_parameter_registration_hooks, self, name, param)
        self._parameters[name] = param

    def register_buffer(
        self, name: str, tensor: flambeau.Tensor | None, persistent: bool = True
    ) -> None:
        """Add a buffer: state that is not trained. `persistent` puts it into `state_dict`.

        >>> module = torch.nn.Module()
        >>> module.register_buffer("steps", torch.tensor(0), persistent=False)
        >>> module.steps, list(module.state_dict())
        (tensor(0), [])
        """
        self._check_name(name, "buffer", "_buffers")
        if not (tensor is None or _is_tensor_like(tensor)):
            raise TypeError(
                f"cannot assign '{flambeau.typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = _run_hooks(_global_buffer_registration_hooks, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def _check_name(self, name: str, kind: str, table_name: str) -> None:
        if table_name not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {flambeau.typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[table_name] and self._has_attribute(name):
            raise KeyError(f"attribute '{name}' already exists")

    def _has_attribute(self, name: str) -> bool:
        """`hasattr(self, name)`; a failed `__getattr__` costs more than all of these looks."""
        attributes = self.__dict__
        if name in attributes:
            return True
        if hasattr(type(self), name) or type(self).__getattr__ is not Module.__getattr__:
            return hasattr(self, name)
        look = attributes.get
        return (
            name in look("_parameters", ())
            or name in look("_buffers", ())
            or name in look("_modules", ())
        )

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under any name without a dot.

        >>> model = torch.nn.Module()
        >>> model.add_module("act", torch.nn.ReLU())
        >>> model.act
        ReLU()
        """
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{flambeau.typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {flambeau.typename(name)}")
        if name not in self._modules and self._has_attribute(name):
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        self._modules[name] = _run_hooks(_global_module_registration_hooks, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that are neither in `__dict__` nor in the class, such as an entry
        # of a table that is not mirrored.
        attributes = self.__dict__
        for table_name in REGISTRIES:
            if name in attributes.get(table_name, ()):
                return attributes[table_name][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(value)
        # The look at a plain tensor's marks spares it two calls of `__instancecheck__`.
        if kind not in _PLAIN_TYPES and not (kind is flambeau.Tensor and not _is_marked(value)):
            if kind is Parameter or isinstance(value, Parameter):
                return self._set_parameter(name, value)
            if isinstance(value, Module):
                return self._set_module(name, value)
            if isinstance(value, Buffer):
                return self._set_buffer(name, value)
        attributes = self.__dict__
        if name in attributes.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{flambeau.typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif name in attributes.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{flambeau.typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            modules = attributes["_modules"]
            modules[name] = _run_hooks(_global_module_registration_hooks, self, name, value)
        elif name in attributes.get("_buffers", ()):
            self._set_buffer(name, value)
        elif name in _MACHINERY:
            self._set_machinery(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_parameter(self, name: str, value: Parameter) -> None:
        attributes = self.__dict__
        if "_parameters" not in attributes:
            raise AttributeError("cannot assign parameters before Module.__init__() call")
        # An entry that its attribute mirrors is in no other place.
        table = attributes["_parameters"]
        if name not in table or attributes.get(name, attributes) is not table[name]:
            self._forget(name, "_buffers", "_modules")
        self.register_parameter(name, value)

    def _set_module(self, name: str, value: Module) -> None:
        modules = self.__dict__.get("_modules")
        if modules is None:
            raise AttributeError("cannot assign module before Module.__init__() call")
        if name in self._parameters:
            raise TypeError(
                f"cannot assign '{flambeau.typename(value)}' as parameter '{name}' "
                "(torch.nn.Parameter or None expected)"
            )
        self._forget(name, "_parameters", "_buffers")
        modules[name] = _run_hooks(_global_module_registration_hooks, self, name, value)

    def _set_buffer(self, name: str, value: Any) -> None:
        for table_name, description in (
            ("_parameters", "parameter '{}' (torch.nn.Parameter or None expected)"),
            ("_modules", "child module '{}' (torch.nn.Module or None expected)"),
        ):
            if name in self.__dict__.get(table_name, ()):
                raise TypeError(
                    f"cannot assign '{flambeau.typename(value)}' as {description.format(name)}"
                )
        if not (value is None or _is_tensor_like(value)):
            raise TypeError(
                f"cannot assign '{flambeau.typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        # A subclass may have its own `register_buffer`, made before there was `persistent`.
        if "persistent" in inspect.signature(self.register_buffer).parameters:
            self.register_buffer(name, value, persistent)
        elif persistent:
            self.register_buffer(name, value)
        else:
            raise RuntimeError(
                "Registering a non-persistent buffer on a Module subclass that implements "
                "register_buffer() without the persistent argument is not allowed."
            )

    def _forget(self, name: str, *table_names: str) -> None:
        """Take `name` out of `__dict__` and the other tables, before it is registered in one."""
        attributes = self.__dict__
        for table_name in table_names:
            if name in attributes[table_name]:
                del attributes[table_name][name]
        attributes.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _set_machinery(self, name: str, value: Any) -> None:
        if name in REGISTRIES:
            # A dict of the user's own stays what it is; `__getattr__` then finds its entries.
            previous = self.__dict__.get(name)
            if type(previous) is Registry:
                previous.remove_owner(self)
        object.__setattr__(self, name, value)
        if name == "__dict__":
            attach(self)
        elif type(value) is Registry:
            value.add_owner(self)
        elif name not in REGISTRIES:
            self._look_for_hooks()

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in mirrored_names(self):
            state.pop(name, None)
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        attributes = self.__dict__
        attributes.update(state)
        attributes.setdefault("_non_persistent_buffers_set", set())
        # Modules pickled by torch hold all tables of hooks, as a rule empty.
        for name in _CALL_TABLES | _STATE_TABLES:
            if name in attributes and not attributes[name]:
                del attributes[name]
        if any(name in attributes for name in _CALL_TABLES):
            attributes["_has_call_hooks"] = True
        else:
            attributes.pop("_has_call_hooks", None)
        attach(self)

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses; for subclasses to override.

        >>> torch.nn.Linear(2, 1).extra_repr()
        'in_features=2, out_features=1, bias=True'
        """
        return ""

    def __repr__(self) -> str:
        extra_lines = self.extra_repr().split("\n") if self.extra_repr() else []
        child_lines = [
            f"({name}): {_addindent(repr(module), 2)}" for name, module in self._modules.items()
        ]
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra_lines[0]})"
        lines = extra_lines + child_lines
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"

    def __dir__(self) -> list[str]:
        mirrored = set(mirrored_names(self))
        names = dir(type(self)) + [name for name in self.__dict__ if name not in mirrored]
        names += [*self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    def _replicate_for_data_parallel(self) -> Any:
        replica = self.__new__(type(self))
        replica.__dict__ = self.__getstate__()
        # A replica's parameters are plain tensors that it gets as attributes.
        replica._parameters = Registry.of({})
        replica._buffers = Registry.of(self._buffers)
        replica._modules = Registry.of(self._modules)
        replica._is_replica = True
        return replica


def _look_for_global_hooks() -> None:
    # All modules inherit the flag; those with hook tables have one of their own.
    ModuleHooks._has_call_hooks = _has_any_global_hook()


GlobalHookTable.on_change = _look_for_global_hooks


def _is_marked(tensor: Any) -> bool:
    """Whether a tensor of the plain class counts as a Parameter or a Buffer."""
    return getattr(tensor, "_is_buffer", False) or getattr(tensor, "_is_param", False)


def _is_tensor_like(value: Any) -> bool:
    return isinstance(value, flambeau.Tensor) or hasattr(value, "__torch_function__")


def _run_hooks(hooks: Any, module: Module, name: str, value: Any) -> Any:
    """Let the hooks for all modules see, and replace, what is about to be registered."""
    for hook in hooks.values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


def _addindent(text: str, spaces: int) -> str:
    """Indent all lines of `text` but the first."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(" " * spaces + line if line.strip() else "" for line in rest)])
