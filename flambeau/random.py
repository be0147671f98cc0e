"""`torch.random`: the state of the default generator.

>>> _ = torch.manual_seed(0)
>>> torch.rand(1)
tensor([0.4963])
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flambeau.generator import Generator, check_state, checked_seed
from flambeau.generator import default_generator as _default_generator

__all__ = [
    "default_generator",  # noqa: F822 (see __getattr__)
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]


def manual_seed(seed: Any) -> Generator:
    """Restarts the default generator.

    >>> torch.manual_seed(1).initial_seed()
    1
    """
    return _default_generator().manual_seed(checked_seed(int(seed)))


def seed() -> int:
    """Restarts the default generator from a seed taken from the system, and returns it."""
    return _default_generator().seed()


def initial_seed() -> int:
    """The seed that the default generator was started with."""
    return _default_generator().initial_seed()


def get_rng_state() -> Any:
    """The default generator's state as a tensor of bytes."""
    return _default_generator().get_state()


def set_rng_state(new_state: Any) -> None:
    """The default generator goes on from a state that `get_rng_state` gave."""
    check_state(new_state)
    _default_generator().set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Any = None, enabled: bool = True, device_type: str = "cpu", **names: str
) -> Iterator[None]:
    """What is drawn inside leaves the default generator as it was.

    >>> _ = torch.manual_seed(0)
    >>> with torch.random.fork_rng():
    ...     _ = torch.rand(3)
    >>> torch.rand(1)
    tensor([0.4963])
    """
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def __getattr__(name: str) -> Any:
    """`default_generator`, made at its first use."""
    if name == "default_generator":
        return _default_generator()
    raise AttributeError(f"module 'torch.random' has no attribute '{name}'")
