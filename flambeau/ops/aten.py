"""`torch.ops.aten`: the ops under the names and overloads of torch's C++ library.

>>> torch.ops.aten.add.Tensor(torch.ones(1), torch.ones(1))
tensor([2.])
>>> torch.ops.aten.mm.default(torch.eye(1), torch.eye(1))
tensor([[1.]])
"""

from __future__ import annotations

from typing import Any

from flambeau.ops.registry import OPS
from flambeau.runtime.system import engine

#: names of the C++ library for functions that are public under another one
NAMES = {"_to_copy": "clone", "alias": "detach"}
#: ops that have no other public name
ONLY_HERE = ("_batch_norm_with_update", "native_dropout_backward")


class OpOverloadPacket:
    """All overloads of one op; calling it chooses one, and `packet.default`, `packet.Tensor` ...
    are called alike.
    """

    def __init__(self, name: str, function: Any):
        self.__name__, self._function = name, function
        self.__doc__ = getattr(function, "__doc__", None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return OpOverload(self, name)

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='aten.{self.__name__}')>"


class OpOverload:
    """One overload of an op."""

    def __init__(self, packet: OpOverloadPacket, overload: str):
        self.overloadpacket, self._overload = packet, overload
        self.__name__ = f"{packet.__name__}.{overload}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.overloadpacket(*args, **kwargs)

    def __str__(self) -> str:
        return f"aten.{self.__name__}"

    def __repr__(self) -> str:
        return (
            f"<OpOverload(op='aten.{self.overloadpacket.__name__}', overload='{self._overload}')>"
        )


def __getattr__(name: str) -> Any:
    """An op, at its first use."""
    if name.startswith("__"):
        raise AttributeError(name)
    engine.start()
    wanted = NAMES.get(name) or name
    function = engine.functions.get(wanted) or getattr(engine.Tensor, wanted, None)
    if name in ONLY_HERE:
        function = OPS[name].call
    if function is None:
        raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'")
    packet = OpOverloadPacket(name, function)
    globals()[name] = packet
    return packet
