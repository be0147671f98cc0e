"""`Plan`: how one op runs on operands of certain specs.

Made once per kind of call, kept by runtime.dispatch, run natively.

ops.registry makes plans; the native side reads `block`, the address of an array of words (see
runtime.dispatch):

    plan = Plan(op, inputs=[Operand(spec_x, 0), Operand(float, 1)], outputs=[spec_y])
    plan.use_kernel(loop_plan)                     # or use_view(offset), or use_python(function)

`inputs` are in the order of the op's parameters; `place` says which of the call's operands (tensors
and numbers in the order in which they were written) each one is.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau.codegen.llvm import load
from flambeau.core import errors
from flambeau.core.config import config
from flambeau.core.spec import Spec
from flambeau.ops.observe import is_observed, observe
from flambeau.runtime import plan_block as fields

NUMBER_KINDS = {
    float: fields.NUMBER_FLOAT,
    int: fields.NUMBER_INT,
    bool: fields.NUMBER_BOOL,
    complex: fields.NUMBER_COMPLEX,
}
NUMBER_DTYPES = {float: "float64", int: "int64", bool: "bool", complex: "complex128"}
# additions of float32 from which a kernel runs without the GIL, over threads: about 3 us of work
RELEASE_FROM = 1 << 16
LARGEST = (1 << 63) - 1  # bytes and elements are counted in machine words
GRAIN = 1 << 14  # as many as a thread takes at a time


class Operand(NamedTuple):
    """An input: a tensor's spec, or the type of a Python number;
    `place` among the call's operands.
    """

    spec: Spec | type
    place: int


class Formula(NamedTuple):
    """What a pointwise kernel computes: an expression for each result, over elements of `shape`.
    written: how many of the last operands are the results' own memory.
    """

    expressions: tuple[Any, ...]
    shape: tuple[int, ...]
    written: int = 0


class Folding(NamedTuple):
    """What a reduction computes: `reduction` of the elements over the dimensions `dims` of `shape`;
    `results` are the dtypes in memory, `order` is that of its codegen.loops.LoopPlan.
    """

    reduction: Any
    element: Any
    shape: tuple[int, ...]
    dims: tuple[int, ...]
    results: tuple[str, ...]
    parameters: tuple[float, ...]
    order: tuple[Any, ...]


class Rows(NamedTuple):
    """What a row program (codegen.rows) computes: rows lie along the dimensions `along` of `shape`;
    `strides` are the operands' and results' in bytes, `order` is that of its LoopPlan.
    """

    program: Any
    shape: tuple[int, ...]
    along: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    parameters: tuple[float, ...]
    order: tuple[Any, ...]


class Multiplication(NamedTuple):
    """What a matrix product computes: alpha * a @ b + beta * init, where the plan's operands are
    (init, a, b) or (a, b). The specs are those of the matrices, which may be seen otherwise.
    """

    a: Spec
    b: Spec
    c: Spec
    init: Spec | None
    alpha: float
    beta: float


class Several(NamedTuple):
    """What kernels side by side compute: their `parts` (ops.several), and which of the plan's
    operands each one works on.
    """

    parts: Sequence[Any]
    places: Sequence[Sequence[int]]


class Plan:
    """See the module's first lines.

    `options` are the call's static arguments, `gradient` the bound rules or None.
    """

    __slots__ = (
        "block", "words", "op", "inputs", "outputs", "options", "gradient", "fused", "programs",
        "keep", "node_name", "names", "saves", "formula", "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        op: Any,
        inputs: Sequence[Operand],
        outputs: Sequence[Spec],
        options: dict[str, Any] | None = None,
        gradient: Any = None,
        node_name: str = "",
        names: Sequence[str] = (),
    ):
        self.words = (ctypes.c_int64 * (fields.B_INPUT + 4 * len(inputs)))()
        self.block = ctypes.addressof(self.words)
        self.op, self.inputs, self.outputs = op, tuple(inputs), tuple(outputs)
        self.options, self.gradient, self.node_name = options or {}, gradient, node_name
        # autograd's: recipes and programs of the backward pass, by the specs of gradients
        self.fused: dict[Any, Any] = {}
        # where the compiler may compute it elsewhere
        self.formula: Formula | Folding | Rows | Multiplication | Several | None = None
        self.programs: dict[Any, Any] = {}
        self.names = tuple(names)
        self.keep: list[Any] = []
        words = self.words
        words[fields.B_PLAN] = id(self)
        words[fields.B_INPLACE] = -1
        words[fields.B_INPUTS], words[fields.B_OUTPUTS] = len(self.inputs), len(self.outputs)
        for i, operand in enumerate(self.inputs):
            spec = operand.spec
            words[fields.B_INPUT + 3 * i] = (
                spec.itemsize if isinstance(spec, Spec) else NUMBER_KINDS[spec]
            )
            words[fields.B_INPUT + 3 * i + 2] = operand.place
            if isinstance(spec, Spec):
                words[fields.B_INPUT + 3 * len(self.inputs) + i] = output_bytes(spec)
        for k, spec in enumerate(self.outputs):
            words[fields.B_OUTPUT + 2 * k], words[fields.B_OUTPUT + 2 * k + 1] = (
                id(spec),
                output_bytes(spec),
            )
        self.saves = gradient is not None and any(
            gradient.save_mask(i) for i in range(len(self.inputs))
        )
        words[fields.B_SAVES] = int(self.saves)
        if gradient is not None:
            for i in range(len(self.inputs)):
                words[fields.B_INPUT + 3 * i + 1] = gradient.save_mask(i)
            words[fields.B_DIFFERENTIABLE] = gradient.differentiable

    def use_kernel(self, loops: Any, inplace: int = -1, scratch: int = 0) -> Plan:
        """Run a generated kernel (codegen.loops.LoopPlan);
        `inplace` names the input that is written.
        """
        words = self.words
        words[fields.B_KIND] = fields.KIND_KERNEL
        words[fields.B_INPLACE] = inplace
        if self.is_meta:
            return self
        params = (ctypes.c_int64 * max(1, len(loops.params)))(*loops.params)
        self.keep.append(params)
        words[fields.B_KERNEL] = load(loops.symbol_name, loops.ir_text)[loops.symbol_name]
        words[fields.B_PARAMS] = ctypes.addressof(params)
        words[fields.B_ITEMS], words[fields.B_CAN_FAIL] = loops.items, int(loops.can_fail)
        words[fields.B_SCRATCH] = scratch or loops.scratch_bytes
        if loops.then is not None:
            then = loops.then
            then_params = (ctypes.c_int64 * max(1, len(then.params)))(*then.params)
            self.keep.append(then_params)
            words[fields.B_THEN] = load(then.symbol_name, then.ir_text)[then.symbol_name]
            words[fields.B_THEN_PARAMS], words[fields.B_THEN_ITEMS] = (
                ctypes.addressof(then_params),
                then.items,
            )
        if loops.work >= RELEASE_FROM and loops.items > 1:
            words[fields.B_RELEASE] = 1
            words[fields.B_GRAIN] = max(1, GRAIN * loops.items // max(1, loops.work))
        if is_observed():
            observe(self, loops.symbol_name)
        if config.debug >= 3:
            print(
                f"flambeau: plan {self.op} {[str(o.spec) for o in self.inputs]} -> "
                f"{loops.symbol_name}",
                file=sys.stderr,
            )
        return self

    def use_native(
        self,
        address: int,
        params: Sequence[int],
        items: int = 1,
        work: int = 0,
        grain: int = 0,
        scratch: int = 0,
    ) -> Plan:
        """Run a native function with a kernel's signature (codegen.native) at `address`."""
        words = self.words
        words[fields.B_KIND] = fields.KIND_KERNEL
        if self.is_meta:
            return self
        block = (ctypes.c_int64 * max(1, len(params)))(*params)
        self.keep.append(block)
        words[fields.B_KERNEL], words[fields.B_PARAMS], words[fields.B_ITEMS] = (
            address,
            ctypes.addressof(block),
            items,
        )
        words[fields.B_RELEASE], words[fields.B_GRAIN], words[fields.B_SCRATCH] = (
            int(work >= RELEASE_FROM),
            grain,
            scratch,
        )
        if is_observed():
            observe(self, "native")
        return self

    def use_view(self, offset: int) -> Plan:
        """The result is another window on input 0's storage, `offset` elements further on."""
        self.words[fields.B_KIND], self.words[fields.B_DELTA] = fields.KIND_VIEW, offset
        return self

    def use_input(self) -> Plan:
        """The result is input 0 itself."""
        self.words[fields.B_KIND] = fields.KIND_INPUT
        return self

    def use_python(self, run: Callable[..., Any]) -> Plan:
        """Call `run(*inputs)`, which returns the results and records them itself where needed."""
        self.words[fields.B_KIND] = fields.KIND_PYTHON
        self.keep.append(run)
        self.words[fields.B_RUN] = id(run)
        if is_observed():
            observe(self, "numpy")
        return self

    def finish(self, make: Callable[..., Any] | None) -> Plan:
        """Pass several results through `make(a, b, ...)`: a named tuple."""
        if make is not None:
            self.keep.append(make)
            self.words[fields.B_FINISH] = id(make)
        return self

    @property
    def is_meta(self) -> bool:
        """Whether the results have no memory."""
        return bool(self.outputs) and self.outputs[0].device.type == "meta"

    def __repr__(self) -> str:
        return f"Plan({self.op}, {[o.spec for o in self.inputs]} -> {list(self.outputs)})"


def output_bytes(spec: Spec) -> int:
    """Bytes of a fresh result: up to the last element that its strides reach."""
    if spec.numel == 0:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(spec.shape, spec.strides, strict=True))
    nbytes = (last + 1) * spec.itemsize
    if nbytes > LARGEST:
        raise errors.storage_overflow(spec.shape)
    if spec.numel > LARGEST:
        raise errors.too_many_elements()
    return nbytes
