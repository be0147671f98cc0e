"""`Update`: ops that change part of their first operand: scatter, index_put, index_add,
masked_scatter, put ...

The decorated function plans the in-place form: it gets the spec of the target as `call.target` and
answers with `call.update(tensors, kernel address, params, ...)`. Both public forms come from it:
`NAME_` runs the kernel on the target (through autograd.inplace where gradients are concerned),
`NAME` copies the target first.

    @update(grad={
        "input": lambda g, dim, index: g.scatter(dim, index, 0),
        "src": lambda g, dim, index: g.gather(dim, index),
    })
    def _scatter(call, input, dim, index, src, mode="set"):
        ...
        return call.update(["input", "index", "src"], address, params, items)
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.inplace import check_overlap, replace_by
from flambeau.core import errors
from flambeau.core.spec import Spec
from flambeau.core.strides import dense_strides, may_overlap
from flambeau.ops.kernels.phases import Phase, copy_phase, copy_then, phase_params
from flambeau.ops.kinds import Call, Structured
from flambeau.ops.plan import GRAIN, RELEASE_FROM, Plan
from flambeau.ops.registry import Places, is_tensor
from flambeau.runtime import plan_block as fields


class Update(Structured):
    """The out-of-place form; `self.other` is the in-place op."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        failure: Callable[..., Exception] | None = None,
        dense: bool = False,
        **common: Any,
    ):
        super().__init__(function, **common)
        # whether the result keeps the input's order of dimensions, instead of being row-major
        self.dense = dense
        if failure is not None:
            self.failure = failure
        self.in_place = InPlaceUpdate(function, self, common)

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        spec = self.check_tensor(arguments[self.first], self.first)._spec
        strides = dense_strides(spec.shape, spec.strides) if self.dense else None
        target = Spec.of(spec.shape, strides, spec.dtype, spec.device)
        return self.function(UpdateCall(self, arguments, places, target, False), **arguments)


class InPlaceUpdate(Structured):
    """`NAME_`: writes into its first operand."""

    def __init__(self, function: Callable[..., Any], base: Update, common: dict[str, Any]):
        methods = [m + "_" for m in base.methods]
        public = base.public + "_" if base.public and common.get("public_inplace") else None
        super().__init__(function, name=base.name + "_", methods=methods, public=public)
        self.base, self.rules, self.node_name = base, base.rules, base.node_name
        if hasattr(base, "failure"):
            self.failure = base.failure

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        spec = self.check_tensor(arguments[self.first], self.first)._spec
        if may_overlap(spec.shape, spec.strides):
            raise errors.written_overlap()
        return self.function(UpdateCall(self, arguments, places, spec, True), **arguments)

    def run(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Calls that native code leaves to Python: graphs, subclasses,
        operands that share the target's memory.
        """
        arguments = self.bind(args, kwargs)
        target = self.check_tensor(arguments[self.first], self.first)
        if may_overlap(target._spec.shape, target._spec.strides):
            raise errors.written_overlap()
        others = [v for v in arguments.values() if is_tensor(v) and v is not target]
        if not any(x._node is not None for x in (target, *others)):
            check_overlap(target, others)
        return replace_by(target, lambda twin: self.base.call(**{**arguments, self.first: twin}))


class UpdateCall(Call):
    """A call while its plan is made; `target` is the spec of the tensor that will be written."""

    def __init__(
        self, op: Any, arguments: dict[str, Any], places: Places, target: Spec, in_place: bool
    ):
        super().__init__(op, arguments, places)
        self.target, self.in_place = target, in_place

    def update(
        self,
        tensors: Sequence[str],
        address: int,
        params: Sequence[int],
        items: int,
        work: int = 0,
        grain: int = 0,
        can_fail: bool = True,
        node: str = "",
        **options: Any,
    ) -> Plan:
        """The plan that runs the kernel: its buffers are the tensors, then the target,
        then the flag.
        """
        plan = self.plan(tensors, [self.target], **options)
        if node:
            plan.node_name = node
        plan.words[fields.B_CAN_FAIL] = int(can_fail)
        if self.in_place:
            plan.use_native(address, params, items, work, grain)
            plan.words[fields.B_INPLACE] = 0
            return plan
        return self.copied(plan, address, params, items, work, grain)

    def copied(
        self, plan: Plan, address: int, params: Sequence[int], items: int, work: int, grain: int
    ) -> Plan:
        """The plan that copies input 0 into the result and then runs the kernel on it."""
        if plan.is_meta:
            return plan.use_native(0, ())
        words = (ctypes.c_int64 * max(1, len(params)))(*params)
        plan.keep.append(words)
        large = max(work, self.target.numel) >= RELEASE_FROM
        source = plan.inputs[0].spec
        assert isinstance(source, Spec)
        phases = [
            copy_phase(source, self.target, plan.keep, GRAIN if large else 0),
            Phase(address, ctypes.addressof(words), items, grain if work >= RELEASE_FROM else 0),
        ]
        return plan.use_native(
            copy_then(), phase_params(len(plan.inputs), phases), 1, RELEASE_FROM if large else 0
        )


def update(**options: Any) -> Callable[[Callable[..., Any]], Update]:
    """An op that changes part of its first operand, and its in-place form."""
    return lambda function: Update(function, **options)
