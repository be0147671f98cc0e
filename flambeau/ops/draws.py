"""Random samples as ops: the kernels of `ops.kernels.random_kernels` in plans (see ops.overwrite).

    uniform.in_place.call(x, engine.address, 0.0, 1.0)       # into x, which is contiguous

Called by ops.random, whose functions check arguments. The address of the generator's state and the
parameters are operands, so one plan serves all seeds and generators.
"""

from __future__ import annotations

from functools import partial

from flambeau.ops.kernels.random_kernels import kernel_address
from flambeau.ops.overwrite import Overwrite
from flambeau.ops.plan import Plan


class Draw(Overwrite):
    """Draws over a contiguous tensor; `kernel` is its name in ops.kernels.random_kernels."""

    def __init__(self, kernel: str, numbers: str, node: str):
        super().__init__(
            f"_draw_{kernel}", "state " + numbers, partial(kernel_address, kernel), node
        )
        self.kernel = kernel


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
