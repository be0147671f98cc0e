"""Random samples as ops: the kernels of `ops.kernels.random_kernels` in plans.

    uniform.in_place.call(x, engine.address, 0.0, 1.0)       # into x, which is contiguous

Called by ops.random, whose functions check arguments. The numbers are operands, so one plan serves
all seeds, generators and parameters. The result does not depend on the tensor that is drawn over:
its gradient is zero. Each draw has two forms, into a new tensor and (`in_place`) over its first
operand.
"""

from __future__ import annotations

import inspect
from typing import Any

from flambeau.autograd.inplace import check_modifiable
from flambeau.core.dtype import dtype
from flambeau.core.spec import Spec
from flambeau.ops.creation_arguments import no_gradient
from flambeau.ops.kernels.random_kernels import kernel_address
from flambeau.ops.plan import Operand, Plan
from flambeau.ops.registry import Op, Places, is_tensor
from flambeau.runtime import plan_block as fields


class Draw(Op):
    """Draws over a contiguous tensor; `kernel` is its name in ops.kernels.random_kernels."""

    numbers = "operand"

    def __init__(self, kernel: str, numbers: str, node: str, base: Draw | None = None):
        names = ["input", "state", *numbers.split()]
        name = f"_draw_{kernel}" + ("_" if base else "")

        def draw() -> None:
            """Random samples in the memory of a contiguous tensor."""

        parameter = inspect.Parameter
        draw.__name__ = name
        draw.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter(n, parameter.POSITIONAL_OR_KEYWORD) for n in names]
        )
        super().__init__(draw, grad=no_gradient, methods=(), name=name, public=None)
        self.kernel, self.node_name = kernel, node
        self.known: dict[dtype, int | None] = {}  # addresses of the kernel by dtype
        self.base = base or self
        self.in_place = Draw(kernel, numbers, node, self) if base is None else self

    def takes(self, type: dtype) -> bool:
        """Whether there is a kernel for the dtype."""
        return (self.known[type] if type in self.known else self.address_for(type)) is not None

    def address_for(self, type: dtype) -> int | None:
        """Address of the kernel for a dtype, if there is one."""
        self.known[type] = address = kernel_address(self.kernel, type)
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
        assert address is not None, "ops.random asks first"
        count = spec.numel * (2 if spec.dtype.is_complex else 1)
        plan.use_native(address, [count], int(count > 0), count)
        plan.words[fields.B_CAN_FAIL] = int(hasattr(self, "failure"))
        if writes:
            plan.words[fields.B_INPLACE] = 0
        return plan


def bad_probability(plan: Plan, code: int) -> Exception:
    """What a kernel reports that found a probability outside [0, 1]."""
    from flambeau.ops.kernels.random_checks import probability_error

    return probability_error()


uniform = Draw("uniform", "low high", "UniformBackward0")
normal = Draw("normal", "mean std", "NormalBackward0")
exponential = Draw("exponential", "rate", "ExponentialBackward0")
geometric = Draw("geometric", "p", "GeometricBackward0")
cauchy = Draw("cauchy", "median sigma", "CauchyBackward0")
log_normal = Draw("log_normal", "mean std", "LogNormalBackward0")
bernoulli = Draw("bernoulli", "threshold", "BernoulliBackward2")
bernoulli_each = Draw("bernoulli_each", "", "BernoulliBackward0")
bernoulli_each.failure = bad_probability
integers = Draw("integers", "wide base divisor magic halve shift", "RandomBackward0")
permutation = Draw("permutation", "", "RandpermBackward0")
