"""Registering hooks: on one module (`ModuleHooks`, a part of `Module`) and on all modules.

What the hooks do when a module is called is in `module_call.py`; those around `state_dict` and
`load_state_dict` are called in `module_state.py`.

>>> layer = torch.nn.Linear(3, 2)
>>> with layer.register_forward_hook(lambda module, args, output: print(tuple(output.shape))):
...     _ = layer(torch.zeros(4, 3))
(4, 2)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flambeau.utils.hooks import RemovableHandle

from . import module_call
from .module_call import GlobalBackwardKind, HookedCall, HookTable, WrappedHook, has_call_hooks

_global_buffer_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_module_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_parameter_registration_hooks: OrderedDict[int, Callable] = OrderedDict()


def _add(table: Any, hook: Callable, prepend: bool = False, side_tables: Any = None) -> Any:
    handle = RemovableHandle(table, extra_dict=side_tables)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` whenever a module gets a buffer; it may return another.

    >>> register = torch.nn.modules.module.register_module_buffer_registration_hook
    >>> with register(lambda module, name, buffer: print(name)):
    ...     torch.nn.Module().register_buffer("mean", torch.zeros(1))
    mean
    """
    return _add(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call `hook(module, name, submodule)` whenever a module gets a submodule.

    >>> register = torch.nn.modules.module.register_module_module_registration_hook
    >>> with register(lambda module, name, submodule: print(name, submodule)):
    ...     _ = torch.nn.Sequential(torch.nn.Identity())
    0 Identity()
    """
    return _add(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable[..., None]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` whenever a module gets a parameter.

    >>> register = torch.nn.modules.module.register_module_parameter_registration_hook
    >>> with register(lambda module, name, parameter: print(name)):
    ...     _ = torch.nn.Linear(2, 1)
    weight
    bias
    """
    return _add(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module.

    >>> register = torch.nn.modules.module.register_module_forward_pre_hook
    >>> with register(lambda module, args: print(module)):
    ...     _ = torch.nn.Identity()(1)
    Identity()
    """
    return _add(module_call._global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module.

    >>> register = torch.nn.modules.module.register_module_forward_hook
    >>> with register(lambda module, args, output: print(args, output)):
    ...     _ = torch.nn.Identity()(1)
    (1,) 1
    """
    always = module_call._global_forward_hooks_always_called
    handle = _add(module_call._global_forward_hooks, hook, side_tables=always)
    if with_kwargs:
        module_call._global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        always[handle.id] = True
    return handle


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module.

    >>> register = torch.nn.modules.module.register_module_full_backward_pre_hook
    >>> with register(lambda module, grad_output: print(module)):
    ...     torch.nn.Sigmoid()(torch.zeros(1, requires_grad=True)).backward()
    Sigmoid()
    """
    return _add(module_call._global_backward_pre_hooks, hook)


def _register_global_backward(hook: Callable, is_full: bool) -> RemovableHandle:
    if GlobalBackwardKind.is_full is (not is_full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a "
            "global Module hook. Please use only one of them."
        )
    GlobalBackwardKind.is_full = is_full
    return _add(module_call._global_backward_hooks, hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` on the last node of every module's graph.

    Deprecated: `grad_input` is that of one node, not of the module.

    >>> handle = torch.nn.modules.module.register_module_backward_hook(print)
    >>> handle.remove()
    """
    return _register_global_backward(hook, is_full=False)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module.

    >>> register = torch.nn.modules.module.register_module_full_backward_hook
    >>> GlobalKind = torch.nn.modules.module_call.GlobalBackwardKind
    >>> GlobalKind.is_full = None
    >>> with register(lambda module, grad_input, grad_output: print(module)):
    ...     torch.nn.Sigmoid()(torch.zeros(1, requires_grad=True)).backward()
    Sigmoid()
    """
    return _register_global_backward(hook, is_full=True)


class ModuleHooks:
    """The hook methods of `Module`, and the call that runs them."""

    _has_call_hooks = False
    _is_full_backward_hook: bool | None = None

    _backward_pre_hooks = HookTable(on_call=True)
    _backward_hooks = HookTable(on_call=True)
    _forward_hooks = HookTable(on_call=True)
    _forward_hooks_with_kwargs = HookTable(on_call=True)
    _forward_hooks_always_called = HookTable(on_call=True)
    _forward_pre_hooks = HookTable(on_call=True)
    _forward_pre_hooks_with_kwargs = HookTable(on_call=True)
    _state_dict_hooks = HookTable(on_call=False)
    _state_dict_pre_hooks = HookTable(on_call=False)
    _load_state_dict_pre_hooks = HookTable(on_call=False)
    _load_state_dict_post_hooks = HookTable(on_call=False)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        if not has_call_hooks(self):
            return self.forward(*args, **kwargs)  # type: ignore[attr-defined]
        return HookedCall(self, args, kwargs).run()

    def _look_for_hooks(self) -> None:
        self.__dict__["_has_call_hooks"] = True

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments.

        With `with_kwargs` it is called as `hook(module, args, kwargs)` and returns both or None.

        >>> layer = torch.nn.Identity()
        >>> handle = layer.register_forward_pre_hook(lambda module, args: args[0] * 2)
        >>> layer(4)
        8
        """
        self._look_for_hooks()
        with_kwargs_table = self._forward_pre_hooks_with_kwargs
        handle = _add(self._forward_pre_hooks, hook, prepend, with_kwargs_table)
        if with_kwargs:
            with_kwargs_table[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns replaces the output.

        With `with_kwargs` it is called as `hook(module, args, kwargs, output)`; with `always_call`
        it runs even if forward raises.

        >>> layer = torch.nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: -output)
        >>> layer(4)
        -4
        """
        self._look_for_hooks()
        side_tables = [self._forward_hooks_with_kwargs, self._forward_hooks_always_called]
        handle = _add(self._forward_hooks, hook, prepend, side_tables)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; it may replace them.

        >>> layer = torch.nn.Identity()
        >>> handle = layer.register_full_backward_pre_hook(lambda module, grad: (grad[0] * 10,))
        >>> x = torch.ones(1, requires_grad=True)
        >>> layer(x).backward()
        >>> x.grad
        tensor([10.])
        """
        self._look_for_hooks()
        return _add(self._backward_pre_hooks, hook, prepend)

    def _set_backward_kind(self, is_full: bool) -> None:
        if self._is_full_backward_hook is (not is_full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a "
                "single Module. Please use only one of them."
            )
        self._is_full_backward_hook = is_full
        self._look_for_hooks()

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` on the last node of the module's graph.

        Deprecated in favour of `register_full_backward_hook`: `grad_input` is that of one node.

        >>> handle = torch.nn.Identity().register_backward_hook(print)
        """
        self._set_backward_kind(is_full=False)
        return _add(self._backward_hooks, hook)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when both are known.

        What it returns replaces `grad_input`.

        >>> layer = torch.nn.Identity()
        >>> hook = lambda module, grad_in, grad_out: print(grad_in)
        >>> handle = layer.register_full_backward_hook(hook)
        >>> layer(torch.ones(1, requires_grad=True)).backward()
        (tensor([1.]),)
        """
        self._set_backward_kind(is_full=True)
        return _add(self._backward_hooks, hook, prepend)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return _add(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict`, to change it.

        >>> layer = torch.nn.Linear(2, 1)
        >>> def drop_bias(module, state, prefix, metadata):
        ...     del state[prefix + "bias"]
        >>> handle = layer.register_state_dict_post_hook(drop_bias)
        >>> list(layer.state_dict())
        ['weight']
        """
        hook._from_public_api = True  # type: ignore[attr-defined]
        return _add(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict` collects.

        >>> layer = torch.nn.Identity()
        >>> handle = layer.register_state_dict_pre_hook(lambda module, prefix, keep: print(keep))
        >>> state = layer.state_dict()
        False
        """
        return _add(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        wrapped = WrappedHook(hook, self if with_module else None)
        return _add(self._load_state_dict_pre_hooks, wrapped)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook` before the module loads its part of a state dict.

        Its arguments are the module and those of `_load_from_state_dict`: state_dict, prefix,
        local_metadata, strict, missing_keys, unexpected_keys, error_msgs.

        >>> layer = torch.nn.Linear(2, 1, bias=False)
        >>> def rename(module, state_dict, prefix, *rest):
        ...     state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
        >>> handle = layer.register_load_state_dict_pre_hook(rename)
        >>> layer.load_state_dict({"w": torch.ones(1, 2)})
        <All keys matched successfully>
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the keys in place.

        >>> layer = torch.nn.Identity()
        >>> handle = layer.register_load_state_dict_post_hook(lambda module, keys: print(keys))
        >>> keys = layer.load_state_dict({})
        <All keys matched successfully>
        """
        return _add(self._load_state_dict_post_hooks, hook)
