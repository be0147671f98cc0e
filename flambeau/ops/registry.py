"""The registry of ops, and the Python side of the dispatcher: what happens when native code does
not know a call yet.

An op is one decorated function (see ops.kinds for the five kinds). `OPS` is the only list of them.
At start-up (flambeau.start) each op gets its number, its builtin function and its method
descriptors; a call then goes to runtime.dispatch, and from there back to Python only through three
doors:

- `miss(number, args, kwargs)`: no plan is known for these arguments. The op checks them and makes
  one (or answers itself).
- `fallback(number, args, kwargs)`: arguments that have no key (subclasses, arrays, complex numbers
  ...), in-place work on tensors that need gradients, modes that watch every call.
- `fail(plan, code)`: a kernel reported an error.
"""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flambeau.autograd.inplace import revise
from flambeau.autograd.modes import is_grad_enabled
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.ops.arguments import explain
from flambeau.ops.arrays import from_array
from flambeau.ops.observe import NAN_RESULT, nan_error
from flambeau.ops.overriding import override_of
from flambeau.ops.plan import Operand, Plan
from flambeau.ops.rules import Gradient, Rules, parameter_names
from flambeau.return_types import ReturnType
from flambeau.runtime import dispatch as d
from flambeau.runtime import plan_block as fields
from flambeau.runtime.system import engine as engine
from flambeau.runtime.thread_modes import AUTOCAST

OPS: dict[str, Op] = {}
NUMPY_NAMES = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}
NUMBERED: list[Op] = []  # from engine.first_operator on, the ops of operators (`__add__`) once more
OP_NUMBER = d.METHOD_CALL - 1
NUMBERS: tuple[Any, ...] = (int, float, bool, complex)


class Op:
    """One op: its public signature and docstring are those of the decorated function.

    name: `flambeau.NAME`; methods: names under which Tensor has it; inplace: whether `NAME_` exists
    too. numbers: "operand" when Python numbers are kernel operands (their value is not part of the
    plan), else "static".
    """

    numbers = "static"
    inplace = False
    # what `out=` must fulfil, beyond a fitting dtype
    out_check: Callable[[Any, Sequence[Any], Any], None] | None = None
    # what to raise when a kernel reports a code, beside its plan
    failure: Callable[[Plan, int], Exception]
    own_parameters = 0  # how many of the function's parameters come before those of calls
    own_signature = False  # whether a hidden op (`_index_put`) has other arguments than torch's
    other_names: Mapping[str, str] = {}  # keywords that stand for a parameter: {"dtype": "size"}
    takes_index = False  # x[...]: its offsets are operands of the plan, see runtime.indexing

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        grad: Any = None,
        methods: Sequence[str] | None = None,
        name: str | None = None,
        public: str | None = "",
        node: str | Callable[..., str] | None = None,
        aliases: Sequence[str] = (),
    ):
        self.function = function
        self.name = name or function.__name__
        self.positional, self.named = parameter_names(function)
        del self.positional[: self.own_parameters]
        self.first = (self.positional or self.named or [""])[0]
        self.rules = Rules(self.first, grad) if grad is not None else None
        self.methods = (self.name,) if methods is None else tuple(methods)
        self.public = self.name if public == "" else public
        self.aliases = tuple(aliases)
        self.name_rule = node if callable(node) else None
        self.node_name = (node if isinstance(node, str) else node_name(self.name)) + "0"
        self.number = -1
        self.call: Callable[..., Any] = self._not_started
        self.__doc__ = function.__doc__
        if self.name in OPS:
            raise errors.InternalError(f"op {self.name} is registered twice")
        OPS[self.name] = self
        NUMBERED.append(self)

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The parameters of calls; read when a call is first bound, which is slow."""
        found = inspect.signature(self.function)
        return found.replace(parameters=list(found.parameters.values())[self.own_parameters :])

    @functools.cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """The same as a list."""
        return list(self.signature.parameters.values())

    def node_of(self, arguments: dict[str, Any]) -> str:
        """The name of a call's graph node: torch numbers the overloads of an op."""
        return self.node_name if self.name_rule is None else self.name_rule(**arguments)

    def _not_started(self, *args: Any, **kwargs: Any) -> Any:
        engine.start()
        return self.call(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)

    @property
    def torch_name(self) -> str:
        """The name in torch's error texts."""
        method = next((m for m in self.methods if not m.startswith("_")), None)
        if self.own_signature and not (self.public or method):
            return ""
        return (self.public or method or self.name).lstrip("_")

    # ---- binding ---------------------------------------------------------
    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Arguments by parameter name, defaults filled in; torch's TypeErrors."""
        if len(args) > 1 and self._takes_ints(args):
            args = (args[0], tuple(args[1:]))
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError:
            renamed = self._own_names(kwargs)
            if renamed != kwargs:
                return self.bind(args, renamed)
            raise self._binding_error(args, kwargs) from None
        bound.apply_defaults()
        return bound.arguments

    def _own_names(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keywords with other names (NumPy's axis, keepdims ...) replaced by this op's own."""
        own = {p.name for p in self.parameters}
        names = {**NUMPY_NAMES, **self.other_names}
        return {
            names[k] if k not in own and names.get(k) in own else k: v for k, v in kwargs.items()
        }

    def _takes_ints(self, args: Sequence[Any]) -> bool:
        """`x.view(2, 3)` means `x.view((2, 3))` where the second parameter is a list of sizes."""
        if len(self.parameters) < 2 or self.parameters[1].annotation not in ("Sizes", "Dims"):
            return False
        return all(
            hasattr(a, "__index__") and not isinstance(a, bool) and not is_tensor(a)
            for a in args[1:]
        )

    def _binding_error(self, args: Sequence[Any], kwargs: dict[str, Any]) -> TypeError:
        names = [p.name for p in self.parameters]
        positional = [p for p in self.parameters if p.kind is not p.KEYWORD_ONLY]
        for name in kwargs:
            if name not in names:
                return errors.unexpected_argument(self.name, name)
        if len(args) > len(positional):
            return errors.too_many_arguments(self.name, len(positional), len(args))
        left = [*positional[len(args) :], *self.parameters[len(positional) :]]
        missing = [p.name for p in left if p.default is p.empty and p.name not in kwargs]
        if missing:
            return errors.missing_arguments(self.name, missing)
        return TypeError(f"{self.name}() got multiple values for argument")

    def check_tensor(self, value: Any, name: str) -> Any:
        """`value` if it is a tensor, else torch's TypeError."""
        if not is_tensor(value):
            position = next((i + 1 for i, p in enumerate(self.parameters) if p.name == name), 1)
            raise errors.argument_type_error(self.name, name, position, "Tensor", value)
        return value

    # ---- plans -----------------------------------------------------------
    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        """The plan of a call (or, for ops without plans, its result); each kind writes it."""
        raise NotImplementedError(self.name)

    def gradient(
        self,
        names: Sequence[str],
        values: dict[str, Any],
        specs: Sequence[Spec | type],
        outputs: Sequence[Spec],
    ) -> Gradient | None:
        """The op's rules bound to a plan."""
        return None if self.rules is None else Gradient(self.rules, names, values, specs, outputs)

    def plan(
        self,
        arguments: dict[str, Any],
        places: Places,
        tensors: Sequence[str],
        outputs: Sequence[Spec],
        options: dict[str, Any] | None = None,
    ) -> Plan:
        """A plan whose inputs are the named tensor arguments (lists of tensors are spread out)."""
        names, operands = [], []
        for name in tensors:
            value = arguments[name]
            if value is None:
                continue
            for i, item in enumerate(value if isinstance(value, (list, tuple)) else [value]):
                names.append(f"{name}[{i}]" if isinstance(value, (list, tuple)) else name)
                operands.append(Operand(item._spec, places.of(item)))
        specs = [o.spec for o in operands]
        values = {k: v for k, v in arguments.items() if v is None or k not in tensors}
        gradient = self.gradient(names, values, specs, outputs)
        return Plan(
            self,
            operands,
            outputs,
            values if options is None else options,
            gradient,
            self.node_name,
            names,
        )

    def __repr__(self) -> str:
        return self.name


class Places:
    """The call's operands, numbered in the order in which native code meets them."""

    def __init__(self, args: Iterable[Any], kwargs: dict[str, Any], numbers: bool):
        self.items: list[Any] = []
        self.used: set[int] = set()
        self.numbers = numbers
        for value in (*args, *kwargs.values()):
            self._add(value)

    def _add(self, value: Any) -> None:
        if is_tensor(value) or self.numbers and type(value) in NUMBERS:
            self.items.append(value)
        elif isinstance(value, (tuple, list)):
            for item in value:
                self._add(item)

    def of(self, value: Any) -> int:
        """The place of an operand; each is given once, so `x * x` has two places."""
        for i, item in enumerate(self.items):
            if item is value and i not in self.used:
                self.used.add(i)
                return i
        return self._again(value)

    def holds(self, value: Any) -> bool:
        """Whether `value` is one of the call's own operands."""
        return any(item is value for item in self.items)

    def _again(self, value: Any) -> int:
        for i, item in enumerate(self.items):
            if item is value:
                return i
        # made inside the op (a converted argument): only for plans that run at once
        self.items.append(value)
        return len(self.items) - 1


def node_name(name: str) -> str:
    """torch's name of the graph node: add -> AddBackward, _softmax -> SoftmaxBackward,
    log1p -> Log1PBackward.
    """
    text = "".join(part[:1].upper() + part[1:] for part in name.split("_") if part)
    return re.sub(r"\d[a-z]", lambda match: match[0].upper(), text) + "Backward"


def is_tensor(value: Any) -> bool:
    """Whether `value` is a Tensor or of a subclass."""
    return isinstance(value, engine.Tensor)


# ---- the three doors -----------------------------------------------------------------------------


def miss(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call whose plan is unknown: returns its Plan, or the result itself."""
    op = NUMBERED[number & OP_NUMBER]
    try:
        if "out" in kwargs:
            return with_out(op, args, kwargs)
        return op.make(op.bind(args, kwargs), Places(args, kwargs, op.numbers == "operand"))
    except Exception as error:  # noqa: BLE001 (refuse raises it)
        return refuse(number, args, kwargs, error)


def fallback(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call that native code cannot run: goes through Python from end to end."""
    op = NUMBERED[number & OP_NUMBER]
    if engine.core.op_flags[number & OP_NUMBER] & d.CASTS and engine.core.get_mode() & AUTOCAST:
        return engine.cast_call(op, args, kwargs)
    overload = override_of(args, kwargs)
    if overload is not None:
        return overload(op, number, args, kwargs)
    try:
        if "out" in kwargs:
            return with_out(op, args, kwargs)
        plain, named = (
            tuple(map(plain_number, args)),
            {k: plain_number(v) for k, v in kwargs.items()},
        )
        before = (*args, *kwargs.values())
        if any(new is not old for new, old in zip((*plain, *named.values()), before, strict=True)):
            return op.call(*plain, **named)
        return op.run(args, kwargs) if hasattr(op, "run") else run(op, args, kwargs)
    except Exception as error:  # noqa: BLE001 (refuse raises it)
        return refuse(number, args, kwargs, error)


def plain_number(value: Any) -> Any:
    """A NumPy scalar or a number of a subclass (an enumeration) as Python's own number."""
    kind = type(value)
    if kind.__module__ == "numpy":
        return value.item() if hasattr(value, "item") and kind.__name__ != "ndarray" else value
    for own in NUMBERS:
        if isinstance(value, own) and kind not in NUMBERS:
            return own(value)
    return value


def refuse(number: int, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> Any:
    """A call has failed: raises torch's account of its arguments if they are wrong, else the error
    itself. An operator leaves wrong operands to the other one's method.
    """
    op, method = NUMBERED[number & OP_NUMBER], bool(number & d.METHOD_CALL)
    types_first = not isinstance(error, RuntimeError) or "out" in kwargs
    wrong = explain(op.torch_name, args[method:], kwargs, method) if types_first else None
    if (number & OP_NUMBER) >= engine.first_operator and (
        wrong is not None or isinstance(error, TypeError)
    ):
        if op.name == "eq" and type(args[1]).__module__ == "numpy":
            return op.call(args[0], from_array(args[1]))
        return NotImplemented
    if wrong is not None:
        raise wrong from None
    raise error


def with_out(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`out=`: the result is computed and written into the given tensor (or tensors),
    which is resized if need be.
    """
    rest = {name: value for name, value in kwargs.items() if name != "out"}
    out = kwargs["out"]
    if out is None:
        return op.call(*args, **rest)
    targets = list(out) if isinstance(out, (tuple, list)) else [out]
    for target in targets:
        if not is_tensor(target):
            raise TypeError(
                f"{op.name}(): argument 'out' must be Tensor, not {errors.type_name(target)}"
            )
    if is_grad_enabled() and any(
        is_tensor(x) and x.requires_grad for x in (*args, *rest.values(), *targets)
    ):
        raise RuntimeError(
            f"{op.name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    result = op.call(*args, **rest)
    for target, value in zip(
        targets, result if isinstance(result, tuple) else (result,), strict=True
    ):
        if op.out_check is not None:
            op.out_check(target, (*args, *rest.values()), value)
        write_out(target, value)
    return type(result)(targets) if isinstance(result, ReturnType) else out


def write_out(target: Any, value: Any) -> None:
    """Puts a result into an `out=` tensor."""
    if value.dtype.category > target.dtype.category:
        raise errors.result_cast(value.dtype.scalar_name, target.dtype.scalar_name)
    if value.shape != target.shape:
        if target.numel():
            warnings.warn(
                "An output with one or more elements was resized since it had shape "
                f"{errors.brackets(target.shape)}, which does not match "
                f"the required output shape {errors.brackets(value.shape)}. "
                "This behavior is deprecated, and in a future PyTorch release "
                "outputs will not be resized unless they have zero elements. "
                "You can explicitly reuse an out tensor t by resizing it, "
                "inplace, to zero elements with t.resize_(0).",
                UserWarning,
                stacklevel=4,
            )
        target.resize_(value.shape)
    target.copy_(value)


def run(op: Op, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Makes the plan and runs it at once; results take the subclass of their operands."""
    places = Places(args, kwargs, op.numbers == "operand")
    plan = op.make(op.bind(args, kwargs), places)
    if not isinstance(plan, Plan):
        return plan
    return run_plan(plan, [places.items[operand.place] for operand in plan.inputs])


def run_plan(plan: Plan, inputs: Sequence[Any]) -> Any:
    """Runs a plan on inputs in its own order."""
    if plan.words[fields.B_KIND] == fields.KIND_PYTHON:
        return plan.keep[0](*inputs)
    result = engine.core.execute_plan(plan, *inputs)
    if result is None:
        return revise(plan, *inputs)
    return result


def fail(plan: Plan, code: int) -> None:
    """A kernel reported `code`: raise what torch raises."""
    if code == NAN_RESULT:
        raise nan_error(plan)
    raise (
        plan.op.failure(plan, code)
        if hasattr(plan.op, "failure")
        else RuntimeError("ZeroDivisionError")
    )
