"""`Overwrite`: ops that fill a contiguous tensor by a native kernel, whose parameters are numbers.

    count_up.in_place.call(x, 0, 2)         # x becomes 0, 2, 4 ...

The numbers are operands, so one plan serves all their values. The kernel's buffers are the tensor
(not read, as a rule), the addresses of the numbers, and the result; its one parameter is how many
elements there are. Each op has two forms, into a new tensor and (`in_place`) over its first
operand. Used by ops.draws and ops.ranges.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flambeau.autograd.inplace import check_modifiable
from flambeau.core.dtype import dtype
from flambeau.core.spec import Spec
from flambeau.ops.creation_arguments import no_gradient
from flambeau.ops.plan import Operand, Plan
from flambeau.ops.registry import Op, Places, is_tensor
from flambeau.runtime import plan_block as fields


class Overwrite(Op):
    """`numbers` are the parameters' names; `locate(dtype)` is the address of the kernel, or None
    where there is none. What a tensor was before has a gradient of zero.
    """

    numbers = "operand"

    def __init__(
        self,
        name: str,
        numbers: str,
        locate: Callable[[dtype], int | None],
        node: str = "",
        base: Overwrite | None = None,
    ):
        def fill() -> None:
            """Fills a contiguous tensor."""

        parameter = inspect.Parameter
        fill.__name__ = name
        fill.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter(n, parameter.POSITIONAL_OR_KEYWORD) for n in ("input", *numbers.split())]
        )
        super().__init__(fill, grad=no_gradient, methods=(), public=None)
        self.node_name = node or self.node_name
        self.locate = locate
        self.known: dict[dtype, int | None] = {}  # addresses of the kernel by dtype
        self.base = base or self
        if base is None:
            self.in_place = Overwrite(name + "_", numbers, locate, node, self)
            self.in_place.known = self.known
        else:
            self.in_place = self

    def takes(self, type: dtype) -> bool:
        """Whether there is a kernel for the dtype."""
        return (self.known[type] if type in self.known else self.address_for(type)) is not None

    def address_for(self, type: dtype) -> int | None:
        """Address of the kernel for a dtype, if there is one."""
        self.known[type] = address = self.locate(type)
        return address

    def make(self, arguments: dict[str, Any], places: Places) -> Any:
        x = arguments["input"]
        spec: Spec = x._spec
        writes = self is self.in_place
        if writes:
            check_modifiable(x)
        operands = [
            Operand(v._spec if is_tensor(v) else type(v), places.of(v)) for v in arguments.values()
        ]
        names = list(arguments)
        gradient = self.gradient(names, {}, [o.spec for o in operands], [spec])
        plan = Plan(self, operands, [spec], {}, gradient, self.node_name, names)
        address = self.address_for(spec.dtype)
        assert address is not None, "the caller asks `takes` first"
        count = spec.numel * (2 if spec.dtype.is_complex else 1)
        plan.use_native(address, [count], int(count > 0), count)
        plan.words[fields.B_CAN_FAIL] = int(hasattr(self, "failure"))
        if writes:
            plan.words[fields.B_INPLACE] = 0
        return plan
