"""What happens in a module's call when there are hooks; without hooks nothing here runs.

`Module.__call__` looks at one flag, `_has_call_hooks`. It is a class attribute, False, until either
the module's first hook table comes into being (`HookTable`, an attribute that is made on first use)
or a hook for all modules is registered (`GlobalHookTable`). Then a call goes through `HookedCall`.

>>> layer = torch.nn.Identity()
>>> handle = layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
>>> layer(torch.tensor(1))
tensor(2)
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import flambeau

from .backward_hook import BackwardHook

_NO_HOOKS: Mapping[int, Any] = {}


class HookTable:
    """A module attribute that holds hooks by number: an OrderedDict, made when first asked for.

    Most modules never have a hook, so most never hold any of these tables.
    """

    def __init__(self, on_call: bool) -> None:
        self.on_call = on_call

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, module: Any, owner: type | None = None) -> Any:
        if module is None:
            return self
        table: OrderedDict[int, Any] = OrderedDict()
        module.__dict__[self.name] = table
        if self.on_call:
            # Whoever holds the table may write to it at any time, so this module's calls look now.
            module.__dict__["_has_call_hooks"] = True
        return table


class GlobalHookTable(OrderedDict):
    """Hooks that run on every module. While there are any, every call looks for hooks."""

    on_change: Callable[[], None]

    def __setitem__(self, number: int, hook: Any) -> None:
        super().__setitem__(number, hook)
        GlobalHookTable.on_change()

    def __delitem__(self, number: int) -> None:
        super().__delitem__(number)
        GlobalHookTable.on_change()


_global_backward_pre_hooks = GlobalHookTable()
_global_backward_hooks = GlobalHookTable()
_global_forward_pre_hooks = GlobalHookTable()
_global_forward_hooks = GlobalHookTable()
_global_forward_hooks_always_called = GlobalHookTable()
_global_forward_hooks_with_kwargs = GlobalHookTable()


class GlobalBackwardKind:
    """Whether the global backward hooks are of the full kind; None while there are none."""

    is_full: bool | None = None


def has_any_global_hook() -> bool:
    """Whether any hook that runs on every module is registered."""
    return bool(
        _global_backward_pre_hooks
        or _global_backward_hooks
        or _global_forward_pre_hooks
        or _global_forward_hooks
    )


def module_hooks(module: Any, name: str) -> Mapping[int, Any]:
    """The table `name` of `module`, without bringing it into being."""
    return module.__dict__.get(name, _NO_HOOKS)


def has_call_hooks(module: Any) -> bool:
    """Whether a call of `module` has any hook to run."""
    own = module.__dict__.get
    return bool(
        own("_forward_hooks")
        or own("_forward_pre_hooks")
        or own("_backward_hooks")
        or own("_backward_pre_hooks")
        or has_any_global_hook()
    )


def backward_hooks(module: Any) -> tuple[list[Callable], list[Callable]]:
    """The full and the non-full backward hooks of `module`, global ones first."""
    full: list[Callable] = []
    non_full: list[Callable] = []
    for is_full, table in (
        (GlobalBackwardKind.is_full, _global_backward_hooks),
        (module._is_full_backward_hook, module_hooks(module, "_backward_hooks")),
    ):
        if is_full is not None:
            (full if is_full else non_full).extend(table.values())
    return full, non_full


def backward_pre_hooks(module: Any) -> list[Callable]:
    """The hooks that run before a module's backward, global ones first."""
    own = module_hooks(module, "_backward_pre_hooks")
    return [*_global_backward_pre_hooks.values(), *own.values()]


class HookedCall:
    """One call of a module with its hooks, in order: pre-hooks, forward, hooks, graph hooks."""

    __slots__ = ("module", "args", "kwargs", "result", "always_called_done")

    def __init__(self, module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.always_called_done: set[int] = set()

    def run(self) -> Any:
        """Call the module; hooks with `always_call` run even when this raises."""
        module = self.module
        own = module.__dict__.get
        try:
            full: Any = ()
            pre: Any = ()
            non_full: Any = ()
            if own("_backward_hooks") or _global_backward_hooks:
                full, non_full = backward_hooks(module)
            if own("_backward_pre_hooks") or _global_backward_pre_hooks:
                pre = backward_pre_hooks(module)
            if own("_forward_pre_hooks") or _global_forward_pre_hooks:
                self._run_forward_pre_hooks()
            if full or pre:
                self._run_between_nodes(BackwardHook(module, full, pre))
            else:
                self.result = module.forward(*self.args, **self.kwargs)
                self._run_forward_hooks()
            if non_full:
                self._register_non_full(non_full)
            return self.result
        except Exception:
            self._run_always_called()
            raise

    def _run_between_nodes(self, backward_hook: BackwardHook) -> None:
        self.args = backward_hook.setup_input_hook(self.args)
        self.result = self.module.forward(*self.args, **self.kwargs)
        self._run_forward_hooks()
        if not isinstance(self.result, (flambeau.Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple "
                f"of Tensors but received {type(self.result)}",
                stacklevel=5,
            )
        self.result = backward_hook.setup_output_hook(self.result)

    def _run_forward_pre_hooks(self) -> None:
        module = self.module
        own = module_hooks(module, "_forward_pre_hooks")
        with_kwargs = module_hooks(module, "_forward_pre_hooks_with_kwargs")
        for number, hook in (*_global_forward_pre_hooks.items(), *own.items()):
            if number in with_kwargs:
                replaced = hook(module, self.args, self.kwargs)
                if replaced is None:
                    continue
                if not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple "
                        f"of (new_args, new_kwargs), but got {replaced}."
                    )
                self.args, self.kwargs = replaced
            else:
                replaced = hook(module, self.args)
                if replaced is not None:
                    self.args = replaced if isinstance(replaced, tuple) else (replaced,)

    def _run_forward_hooks(self) -> None:
        own = module_hooks(self.module, "_forward_hooks")
        always = module_hooks(self.module, "_forward_hooks_always_called")
        for number, hook in (*_global_forward_hooks.items(), *own.items()):
            if number in always or number in _global_forward_hooks_always_called:
                self.always_called_done.add(number)
            self._run_forward_hook(number, hook)

    def _run_forward_hook(self, number: int, hook: Callable) -> None:
        with_kwargs = module_hooks(self.module, "_forward_hooks_with_kwargs")
        if number in with_kwargs or number in _global_forward_hooks_with_kwargs:
            replaced = hook(self.module, self.args, self.kwargs, self.result)
        else:
            replaced = hook(self.module, self.args, self.result)
        if replaced is not None:
            self.result = replaced

    def _run_always_called(self) -> None:
        # The call has failed and its error goes to the caller; a second one can only be reported.
        for kind, table, always in (
            ("global module", _global_forward_hooks, _global_forward_hooks_always_called),
            (
                "module",
                module_hooks(self.module, "_forward_hooks"),
                module_hooks(self.module, "_forward_hooks_always_called"),
            ),
        ):
            for number, hook in table.items():
                if number not in always or number in self.always_called_done:
                    continue
                try:
                    self._run_forward_hook(number, hook)
                except Exception as error:  # noqa: BLE001
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception "
                        f"that was silenced as another error was raised in forward: {error}",
                        stacklevel=5,
                    )

    def _register_non_full(self, hooks: list[Callable]) -> None:
        output = self.result
        while not isinstance(output, flambeau.Tensor):
            if isinstance(output, dict):
                output = next(v for v in output.values() if isinstance(v, flambeau.Tensor))
            else:
                output = output[0]
        node = output.grad_fn
        if node is None:
            return
        for hook in hooks:
            node.register_hook(WrappedHook(hook, self.module))
        complaint = _non_full_complaint(self.args, self.result, node)
        if complaint is not None:
            warnings.warn(complaint, FutureWarning, stacklevel=6)


def _non_full_complaint(inputs: Any, result: Any, node: Any) -> str | None:
    """Why a non-full backward hook will not see all gradients of this call; None if it will."""
    ending = (
        "is deprecated and will be removed in future versions. This hook will be missing {}. "
        "Please use register_full_backward_hook to get the documented behavior."
    )
    results = (result,) if isinstance(result, flambeau.Tensor) else result
    if not (isinstance(results, tuple) and all(isinstance(r, flambeau.Tensor) for r in results)):
        return (
            "Using non-full backward hooks on a Module that does not return a single Tensor or a "
            "tuple of Tensors " + ending.format("some of the grad_output")
        )
    inputs = (inputs,) if isinstance(inputs, flambeau.Tensor) else inputs
    if not (isinstance(inputs, tuple) and all(isinstance(i, flambeau.Tensor) for i in inputs)):
        return (
            "Using non-full backward hooks on a Module that does not take as input a single Tensor "
            "or a tuple of Tensors " + ending.format("some of the grad_input")
        )
    nodes = {r.grad_fn for r in results if r.grad_fn is not None}
    if len(nodes) == 0 or (len(nodes) == 1 and node not in nodes):
        return (
            "Using a non-full backward hook when outputs are nested in python data structure is "
            "deprecated and will be removed in future versions. This hook will be missing some "
            "grad_output."
        )
    if len(nodes) > 1:
        return (
            "Using a non-full backward hook when outputs are generated by different autograd Nodes "
            + ending.format("some grad_output")
        )
    if {i.grad_fn for i in inputs if i.grad_fn is not None} != {n[0] for n in node.next_functions}:
        return (
            "Using a non-full backward hook when the forward contains multiple autograd Nodes "
            + ending.format("some grad_input")
        )
    return None


class WrappedHook:
    """A hook that gets its module as first argument, held weakly: the hook may outlive it."""

    def __init__(self, hook: Callable, module: Any = None) -> None:
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        if module is not None:
            self.module = weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])
