"""The five kinds of ops, one constructor each: pointwise, reduction, view, structured, composite.

A kind knows how to get from a decorated function (public signature, docstring, scalar body or shape
rule) to a Plan: argument checks, promotion, broadcasting, result specs, kernel, gradient. Modules
in ops/ hold nothing but such functions:

    @pointwise(promote=FLOAT, grad=lambda g, y: g * (1 - y * y))
    def tanh(input):
        return input.tanh()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from flambeau.autograd.inplace import check_modifiable, modify
from flambeau.codegen.expr import Expr
from flambeau.codegen.loops import plan_pointwise
from flambeau.codegen.reduce import plan_reduction
from flambeau.core import dtype as dtypes
from flambeau.core import errors
from flambeau.core.device import device
from flambeau.core.promotion import DIMENSIONED, NUMBER, ZERO_DIM, Promotion, number_dtype, resolve
from flambeau.core.shape import broadcast_shapes, reduced_shape, wrap_dim, wrap_dims
from flambeau.core.spec import CPU, Spec
from flambeau.core.strides import (
    broadcast_strides,
    contiguous_strides,
    elementwise_strides,
    may_overlap,
)
from flambeau.ops.arrays import run_numpy
from flambeau.ops.plan import NUMBER_DTYPES, Folding, Formula, Operand, Plan
from flambeau.ops.registry import Op, Places, is_tensor

SAME, FLOAT, BOOL_RESULT = Promotion.SAME, Promotion.FLOAT, Promotion.BOOL_RESULT
INT_TO_LONG, COMPLEX_TO_FLOAT = Promotion.INT_TO_LONG, Promotion.COMPLEX_TO_FLOAT
NONE = Promotion.NONE
NUMBER_TYPES = (bool, int, float, complex)
# a second parameter of these types may be given as ints spread out
Dims: TypeAlias = Any
Sizes: TypeAlias = Any


def byte_strides(spec: Spec, shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in bytes of a tensor broadcast to `shape`."""
    return tuple(s * spec.itemsize for s in broadcast_strides(spec.shape, spec.strides, shape))


def common_device(op: str, specs: Sequence[Spec]) -> device:
    """The device of the operands; 0-d CPU tensors go along with any."""
    found: device | None = None
    found_is_scalar = False
    for spec in specs:
        if found is None or found.type == "cpu" and found_is_scalar:
            found, found_is_scalar = spec.device, spec.ndim == 0
        elif spec.device is not found and not (spec.device.type == "cpu" and spec.ndim == 0):
            raise errors.device_mismatch(found, spec.device)
    return found or CPU


class Pointwise(Op):
    """result[i] = body(operands[i]) after broadcasting and promotion.

    promotes: the parameters whose dtypes meet; plain_numbers: which of them may be Python numbers
    ("none", all but the first: "second", all but one: "any", "all").
    takes: categories of the common dtype (bool, int, float, complex) that the op is defined for;
    others give torch's `"kernel" not implemented for 'Float'`. check(**arguments) raises the rest.
    """

    inplace = True
    modified: Pointwise  # the in-place form, once the engine has started

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        promote: Promotion | Callable[..., Promotion] = SAME,
        promotes: Sequence[str] | None = None,
        numbers: str = "operand",
        inplace: bool = True,
        result: Callable[..., Any] | None = None,
        reflected: bool = False,
        check: Callable[..., None] | None = None,
        target: bool = False,
        strides: Callable[..., Any] | None = None,
        kernel: str = "",
        takes: str = "bifc",
        plain_numbers: str = "second",
        **common: Any,
    ):
        super().__init__(function, **common)
        self.kernel, self.takes, self.plain_numbers = kernel, takes, plain_numbers
        self.promote, self.numbers, self.inplace = promote, numbers, inplace
        self.result, self.reflected, self.check, self.target = result, reflected, check, target
        self.strides, self.base = strides, self
        required = len(self.positional) - len(function.__defaults__ or ())
        self.promotes = tuple(self.positional[:required] if promotes is None else promotes)

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        arguments = super().bind(args, kwargs)
        if self.reflected:
            first, second = self.positional[:2]
            arguments[first], arguments[second] = arguments[second], arguments[first]
        return arguments

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        unsupported = self._unsupported(arguments)
        if unsupported is not None:
            return unsupported
        if self.target:
            check_modifiable(arguments[self.first])
        if self.check is not None:
            self.check(**arguments)
        names, operands, specs, static = [], [], [], {}
        for name, value in arguments.items():
            if is_tensor(value):
                names.append(name)
                operands.append(Operand(value._spec, places.of(value)))
            elif (
                self.numbers == "operand"
                and type(value) in NUMBER_DTYPES
                and self._passed(value, places)
            ):
                names.append(name)
                operands.append(Operand(type(value), places.of(value)))
            else:
                static[name] = value
        specs = [o.spec for o in operands if isinstance(o.spec, Spec)]
        compute, out_dtype = self._dtypes(arguments)
        shape = broadcast_shapes(*[s.shape for s in specs])
        where = common_device(self.name, specs)
        if self.target:
            output = self._target_spec(specs[0], shape, out_dtype)
        else:
            layout = self.strides(shape, specs, arguments) if self.strides else None
            if layout is None:
                layout = elementwise_strides(shape, [(s.shape, s.strides) for s in specs])
            output = Spec.of(shape, layout, out_dtype, where)
        self._check_computable(compute, out_dtype)
        expression = self._trace(names, operands, static, compute).to(compute_name(output.dtype))
        gradient = self.gradient(names, static, [o.spec for o in operands], [output])
        plan = Plan(
            self,
            operands,
            [output],
            {**static, "compute": compute},
            gradient,
            self.node_of(arguments),
            names,
        )
        input_dtypes = [
            o.spec.dtype.name if isinstance(o.spec, Spec) else NUMBER_DTYPES[o.spec]
            for o in operands
        ]
        strides = [
            byte_strides(o.spec, shape) if isinstance(o.spec, Spec) else (0,) * len(shape)
            for o in operands
        ]
        strides.append(tuple(s * output.itemsize for s in output.strides))
        loops = plan_pointwise((expression,), input_dtypes, (output.dtype.name,), shape, strides)
        if self.target and loops.can_fail:  # nothing is written before all is well
            return plan.use_python(lambda *inputs: modify(plan, inputs))
        plan.formula = Formula((expression,), tuple(shape))
        return plan.use_kernel(loops, inplace=0 if self.target else -1)

    def _check_computable(self, compute: dtypes.dtype, result: dtypes.dtype) -> None:
        """torch's error for categories that the op does not take, and for what has no kernels."""
        bare = next((d for d in (result, compute) if d in dtypes.UNCOMPUTED), None)
        if "bifc"[compute.category] not in self.takes or bare is not None:
            refused = bare or compute
            raise errors.not_implemented_for(self.kernel or self.name, refused.scalar_name)

    def in_place(self) -> Pointwise:
        """The op that writes its result into its first operand: `NAME_`."""
        function = self.function
        other = Pointwise(
            function,
            promote=self.promote,
            promotes=self.promotes,
            numbers=self.numbers,
            inplace=False,
            result=self.result,
            check=self.check,
            kernel=self.kernel,
            takes=self.takes,
            plain_numbers=self.plain_numbers,
            target=True,
            name=self.name + "_",
            public=self.name + "_"
            if self.public and len(self.positional) + len(self.named) == 1
            else None,
            methods=in_place_names(self.methods),
        )
        # native code asks the rules whether gradients are concerned
        other.base, other.rules = self, self.rules
        other.strides, other.node_name, other.name_rule = None, self.node_name, self.name_rule
        return other

    def _passed(self, value: Any, places: Places) -> bool:
        """Whether the number was written in the call; defaults are constants of the kernel."""
        return any(item is value and i not in places.used for i, item in enumerate(places.items))

    def _unsupported(self, arguments: dict[str, Any]) -> Any:
        has_tensor = any(is_tensor(arguments[name]) for name in self.promotes)
        for name in self.promotes:
            value = arguments[name]
            if is_tensor(value):
                continue
            parameter = self.signature.parameters[name]
            if value is None and parameter.default is None:
                continue
            first = name == self.first and not self.reflected
            allowed = {"none": False, "second": not first, "any": has_tensor, "all": True}
            if not isinstance(value, NUMBER_TYPES) or not allowed[self.plain_numbers]:
                self.check_tensor(value, name)
        return None

    def _dtypes(self, arguments: dict[str, Any]) -> tuple[dtypes.dtype, dtypes.dtype]:
        entries = []
        for name in self.promotes:
            value = arguments[name]
            if is_tensor(value):
                entries.append((value.dtype, DIMENSIONED if value.ndim else ZERO_DIM))
            elif isinstance(value, NUMBER_TYPES):
                entries.append((number_dtype(value), NUMBER))
        kind = self.promote if isinstance(self.promote, Promotion) else self.promote(**arguments)
        compute, out = resolve(kind, entries)
        if self.result is not None:
            out = self.result(compute, **arguments)
        return compute, out

    def _target_spec(self, target: Spec, shape: Sequence[int], dtype: dtypes.dtype) -> Spec:
        """The spec of the tensor that an in-place call writes, after torch's checks."""
        if tuple(shape) != tuple(target.shape):
            raise RuntimeError(
                f"output with shape {list(target.shape)} doesn't match the broadcast shape "
                f"{list(shape)}"
            )
        if dtype.category > target.dtype.category:
            raise errors.result_cast(scalar_name(dtype), scalar_name(target.dtype))
        if may_overlap(target.shape, target.strides):
            raise errors.written_overlap()
        return target

    def _trace(
        self,
        names: Sequence[str],
        operands: Sequence[Operand],
        static: dict[str, Any],
        compute: dtypes.dtype,
    ) -> Expr:
        values = dict(static)
        for i, (name, operand) in enumerate(zip(names, operands, strict=True)):
            dtype = (
                operand.spec.dtype.name
                if isinstance(operand.spec, Spec)
                else NUMBER_DTYPES[operand.spec]
            )
            value = Expr.input(i, dtype)
            convert = name in self.promotes or not isinstance(operand.spec, Spec)
            values[name] = value.to(compute_name(compute)) if convert else value
        for name in self.promotes:
            if isinstance(values[name], NUMBER_TYPES):
                values[name] = Expr.constant(values[name], compute_name(compute))
        return as_expression(self.function(**values), compute)


AUGMENTED = frozenset("add sub mul truediv floordiv mod pow and or xor lshift rshift".split())


def in_place_names(methods: Sequence[str]) -> list[str]:
    """add -> add_, __add__ -> __iadd__; reflected operators and comparisons have no such form."""
    names = []
    for method in methods:
        if not method.startswith("__"):
            names.append(method + "_")
        elif method.strip("_") in AUGMENTED:
            names.append(f"__i{method.strip('_')}__")
    return names


def as_expression(value: Any, compute: dtypes.dtype) -> Expr:
    """What a body returned, as an expression (a body may return a plain number)."""
    return value if isinstance(value, Expr) else Expr.constant(value, compute_name(compute))


def compute_name(dtype: dtypes.dtype) -> str:
    """The dtype in which values of `dtype` are computed, by name."""
    return dtype.compute.name


def scalar_name(dtype: dtypes.dtype) -> str:
    """torch's name of an element type in error texts: Float, Long, Bool ..."""
    return dtype.scalar_name


def pointwise(**options: Any) -> Callable[[Callable[..., Any]], Pointwise]:
    """Kind 1. The body is a scalar expression; `grad` are its derivative rules;
    numbers are kernel operands.
    """
    return lambda function: Pointwise(function, **options)


class Reduce(Op):
    """result = monoid over `dim` of body(input): the function returns the element that is reduced.

    monoid(dtype, outputs, **arguments) gives the codegen.monoids.Reduction for elements of `dtype`;
    `parameters(**arguments)` its run-time numbers; `outputs(element dtype, compute dtype)` the
    result dtypes where it is not one of the promoted dtype.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        monoid: Callable[..., Any],
        promote: Promotion = SAME,
        outputs: Callable[..., Sequence[dtypes.dtype]] | None = None,
        parameters: Callable[..., Sequence[float]] | None = None,
        finish: Callable[..., Any] | None = None,
        check: Callable[..., None] | None = None,
        node: Callable[..., str] | str | None = None,
        empty_dim: str = "all",
        **common: Any,
    ):
        super().__init__(function, node=node if isinstance(node, str) else None, **common)
        self.monoid, self.promote, self.outputs = monoid, promote, outputs
        self.param_rule, self.finish, self.check = parameters, finish, check
        self.name_rule, self.empty_dim = node if callable(node) else None, empty_dim

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        spec = self.check_tensor(arguments[self.first], self.first)._spec
        if self.check is not None:
            self.check(**{**arguments, self.first: spec})
        names = [name for name, value in arguments.items() if is_tensor(value)]
        specs = [arguments[name]._spec for name in names]
        compute, out = resolve(
            self.promote, [(s.dtype, DIMENSIONED if s.ndim else ZERO_DIM) for s in specs]
        )
        if arguments.get("dtype") is not None:
            compute = out = arguments["dtype"]
        inputs = {
            n: Expr.input(i, s.dtype.name).to(compute_name(compute))
            for i, (n, s) in enumerate(zip(names, specs, strict=True))
        }
        element = as_expression(self.function(**{**arguments, **inputs}), compute)
        out_dtypes = (
            [out] if self.outputs is None else list(self.outputs(spec.dtype, compute, **arguments))
        )
        whole = broadcast_shapes(*[s.shape for s in specs])
        dims, keepdim = (
            self.dims(arguments.get("dim"), len(whole)),
            bool(arguments.get("keepdim", False)),
        )
        shape = reduced_shape(whole, dims, keepdim)
        results = [Spec.of(shape, None, dtype, spec.device) for dtype in out_dtypes]
        plan = self.plan(arguments, places, names, results)
        if self.name_rule is not None:
            plan.node_name = self.name_rule(**arguments)
        kept = [d for d in range(len(whole)) if d not in dims]
        kept_strides = contiguous_strides([whole[d] for d in kept])
        monoid = self.monoid(element.dtype, tuple(compute_name(d) for d in out_dtypes), **arguments)
        steps = [byte_strides(s, whole) for s in specs]
        loops = plan_reduction(
            monoid,
            (element,),
            tuple(s.dtype.name for s in specs),
            tuple(d.name for d in out_dtypes),
            [whole[d] for d in kept],
            [whole[d] for d in dims],
            [[step[d] for d in kept] for step in steps],
            [[step[d] for d in dims] for step in steps],
            [[s * d.itemsize for s in kept_strides] for d in out_dtypes],
            () if self.param_rule is None else self.param_rule(**arguments),
        )
        if self.finish is None:
            plan.formula = Folding(
                monoid, element, tuple(whole), tuple(dims), tuple(d.name for d in out_dtypes),
                () if self.param_rule is None else tuple(self.param_rule(**arguments)), loops.order,
            )  # fmt: skip
        return plan.use_kernel(loops).finish(self.finish)

    def dims(self, dim: Any, ndim: int) -> tuple[int, ...]:
        """The dimensions that are reduced; an empty list of them means all (`empty_dim` "none":
        none, as in any and all).
        """
        for d in dim if isinstance(dim, (tuple, list)) else (dim,):
            if d is not None and (not hasattr(d, "__index__") or isinstance(d, bool)):
                raise errors.argument_type_error(self.name, "dim", None, "tuple of ints", dim)
        if self.empty_dim == "none" and isinstance(dim, (tuple, list)) and not dim:
            return ()
        return reduced_dims(dim, ndim)


def reduced_dims(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions that `dim` names: an int, several, or all (None or empty), in order."""
    if ndim > 64:
        raise RuntimeError("only tensors with up to 64 dims are supported")
    if dim is None or isinstance(dim, (tuple, list)) and not dim:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        dims = tuple(sorted(wrap_dims(dim, ndim)))
        return dims if ndim else ()
    wrapped = wrap_dim(dim, ndim)
    return (wrapped,) if ndim else ()


def reduction(**options: Any) -> Callable[[Callable[..., Any]], Reduce]:
    """Kind 2. A monoid over dimensions; `grad` hands the gradient back to the elements."""
    return lambda function: Reduce(function, **options)


class View(Op):
    """The result shares the storage: the function maps (spec, arguments) to (shape, strides,
    offset from the input's).
    """

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        x = self.check_tensor(arguments[self.first], self.first)
        rest = {k: v for k, v in arguments.items() if k != self.first}
        shape, strides, offset = self.function(x._spec, **rest)
        output = Spec.of(tuple(shape), tuple(strides), x._spec.dtype, x._spec.device)
        plan = self.plan(arguments, places, [self.first], [output])
        plan.node_name = self.node_of(arguments)
        return plan.use_view(offset)


def view(**options: Any) -> Callable[[Callable[..., Any]], View]:
    """Kind 3. No kernel: a new shape, strides and offset; `grad` is the transposed operation."""
    return lambda function: View(function, **options)


class Structured(Op):
    """Everything with a kernel of its own: the function gets the bound arguments and answers with a
    prepared plan.

    It is called as `function(call, **arguments)` where `call` is a `Call`.
    """

    own_parameters, own_signature = 1, True

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        return self.function(Call(self, arguments, places), **arguments)


class Call:
    """One call of a structured op while its plan is made: checks and the ways to run."""

    def __init__(self, op: Structured, arguments: dict[str, Any], places: Places):
        self.op, self.arguments, self.places = op, arguments, places

    def plan(self, tensors: Sequence[str], outputs: Sequence[Spec], **options: Any) -> Plan:
        """A plan over the named tensor arguments; finish it by use_kernel,
        use_native or `numpy`.
        """
        return self.op.plan({**self.arguments, **options}, self.places, tensors, outputs)

    def numpy(
        self,
        tensors: Sequence[str],
        outputs: Sequence[Spec],
        compute: Callable[..., Any],
        finish: Any = None,
        **options: Any,
    ) -> Plan:
        """A plan that runs `compute(*arrays)` on zero-copy NumPy views
        and puts its arrays into the results.
        """
        plan = self.plan(tensors, outputs, **options)

        def run(*inputs: Any) -> Any:
            return run_numpy(plan, compute, inputs, finish)

        return plan.use_python(run)


def structured(**options: Any) -> Callable[[Callable[..., Any]], Structured]:
    """Kind 4. A shape rule with a native kernel, a library call, or NumPy on zero-copy views."""
    return lambda function: Structured(function, **options)


class Composite(Op):
    """Plain Python on tensors, whose gradient comes from what it calls. fused: in few kernels."""

    def __init__(self, function: Callable[..., Any], *, fused: bool = False, **options: Any):
        super().__init__(function, **options)
        self.fused = fused

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        return self.function(**arguments)


def composite(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Kind 5. Plain Python on tensors."""
    if function is None:
        return lambda f: composite(f, **options)
    return Composite(function, **options)
