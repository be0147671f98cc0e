"""Schedules that change the learning rates of an optimizer as training goes on.

>>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
>>> scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
>>> for _ in range(4):
...     print(scheduler.get_last_lr())
...     optimizer.step()
...     scheduler.step()
[1.0]
[1.0]
[0.1]
[0.1]
"""

from flambeau.optim.lr_scheduler.base import LRScheduler as LRScheduler
from flambeau.optim.lr_scheduler.base import _LRScheduler as _LRScheduler
from flambeau.optim.lr_scheduler.combined import ChainedScheduler as ChainedScheduler
from flambeau.optim.lr_scheduler.combined import SequentialLR as SequentialLR
from flambeau.optim.lr_scheduler.cosine import CosineAnnealingLR as CosineAnnealingLR
from flambeau.optim.lr_scheduler.cosine import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from flambeau.optim.lr_scheduler.cyclic import CyclicLR as CyclicLR
from flambeau.optim.lr_scheduler.decay import ConstantLR as ConstantLR
from flambeau.optim.lr_scheduler.decay import ExponentialLR as ExponentialLR
from flambeau.optim.lr_scheduler.decay import LinearLR as LinearLR
from flambeau.optim.lr_scheduler.decay import MultiStepLR as MultiStepLR
from flambeau.optim.lr_scheduler.decay import PolynomialLR as PolynomialLR
from flambeau.optim.lr_scheduler.decay import StepLR as StepLR
from flambeau.optim.lr_scheduler.lambdas import LambdaLR as LambdaLR
from flambeau.optim.lr_scheduler.lambdas import MultiplicativeLR as MultiplicativeLR
from flambeau.optim.lr_scheduler.one_cycle import OneCycleLR as OneCycleLR
from flambeau.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau

__all__ = [
    "LambdaLR",
    "MultiplicativeLR",
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "SequentialLR",
    "CosineAnnealingLR",
    "ChainedScheduler",
    "ReduceLROnPlateau",
    "CyclicLR",
    "CosineAnnealingWarmRestarts",
    "OneCycleLR",
    "PolynomialLR",
    "LRScheduler",
]
