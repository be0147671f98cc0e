"""Transforms of functions: gradients, Jacobians and Hessians, `vmap`, modules as functions.

>>> torch.func.grad(lambda x: x**3)(torch.tensor(2.0))
tensor(12.)
>>> torch.func.vmap(torch.dot)(torch.ones(2, 3), torch.ones(2, 3))
tensor([3., 3.])
"""

from .derivatives import functionalize as functionalize
from .derivatives import grad as grad
from .derivatives import grad_and_value as grad_and_value
from .derivatives import hessian as hessian
from .derivatives import jacfwd as jacfwd
from .derivatives import jacrev as jacrev
from .derivatives import jvp as jvp
from .derivatives import linearize as linearize
from .derivatives import vjp as vjp
from .modules import functional_call as functional_call
from .modules import replace_all_batch_norm_modules_ as replace_all_batch_norm_modules_
from .modules import stack_module_state as stack_module_state
from .vectorize import vmap as vmap

__all__ = [
    "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev",
    "jvp", "linearize", "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap",
]  # fmt: skip
