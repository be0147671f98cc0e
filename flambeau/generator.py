"""`Generator`: a stream of random numbers with torch's seeding and state bytes, and the default
one.

    g = torch.Generator().manual_seed(0)
    torch.rand(2, generator=g)

ops.random draws from it; runtime.mt19937 is the engine inside.
"""

from __future__ import annotations

import os
from typing import Any

from flambeau.core import errors
from flambeau.core.device import device as device_type
from flambeau.core.dtype import uint8
from flambeau.core.naming import PublicType
from flambeau.runtime.system import engine


class Generator(metaclass=PublicType):
    """A stream of random numbers on the CPU.

    >>> torch.Generator().manual_seed(3).initial_seed()
    3
    """

    def __init__(self, device: Any = "cpu"):
        from flambeau.ops.creation_arguments import place
        from flambeau.runtime.mt19937 import MT19937

        engine.start()
        self.device = place(device_type(device) if isinstance(device, str) else device)
        self.engine = MT19937()

    def manual_seed(self, seed: int) -> Generator:
        """Restarts the stream from `seed`."""
        not_on_tape()
        self.engine.manual_seed(checked_seed(seed))
        return self

    def seed(self) -> int:
        """Restarts from a seed taken from the system, and returns it."""
        not_on_tape()
        return self.engine.seed()

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self.engine.initial_seed()

    def get_state(self) -> Any:
        """The state as a tensor of bytes."""
        not_on_tape()
        from flambeau.ops.arrays import from_array

        return from_array(self.engine.get_state())

    def set_state(self, new_state: Any) -> None:
        """Goes on from a state that `get_state` gave."""
        not_on_tape()
        check_state(new_state)
        self.engine.set_state(new_state.numpy().tobytes())

    def clone_state(self) -> Generator:
        """An independent generator that goes on from the same state."""
        copy = Generator(self.device)
        copy.engine = self.engine.clone()
        return copy

    graphsafe_get_state = clone_state

    def graphsafe_set_state(self, other: Generator) -> Generator:
        """Shares the stream of another generator."""
        self.engine = other.engine
        return self

    def __reduce__(self) -> Any:
        return restore, (self.engine.get_state().tobytes(),)

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"


def not_on_tape() -> None:
    """A function that looks at the stream from outside cannot be replayed."""
    if engine.tape is not None:
        engine.tape.stop("it reads or restarts a random number generator")


def restore(state: bytes) -> Generator:
    """Unpickles a generator."""
    made = Generator()
    made.engine.set_state(state)
    return made


def checked_seed(seed: Any) -> int:
    """The seed as torch takes it: an integer from -2**63 to 2**64 - 1."""
    if not hasattr(seed, "__index__") and not isinstance(seed, float):
        raise RuntimeError(f"manual_seed expected a long, but got {errors.type_name(seed)}")
    seed = int(seed)
    if not -(1 << 63) <= seed < 1 << 64:
        raise RuntimeError("Overflow when unpacking long long")
    return seed


def check_state(state: Any) -> None:
    """torch's errors for what is no state."""
    if isinstance(state, engine.Tensor) and state.dtype is not uint8:
        raise TypeError("RNG state must be a torch.ByteTensor")
    if not isinstance(state, engine.Tensor):
        raise TypeError(f"expected a torch.ByteTensor, but got {errors.type_name(state)}")


_default: list[Generator] = []


def default_generator() -> Generator:
    """The generator that functions use when they are given none."""
    if not _default:
        _default.append(Generator())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: _default[0].engine.unlock())
    return _default[0]
