"""Ops of programs: the namespaces that `torch.library` fills, `torch.ops.NAMESPACE.NAME`."""

from __future__ import annotations

import types
from typing import Any

#: torch.ops.NAMESPACE
namespaces: dict[str, Any] = {}


def define(qualified: str, function: Any) -> None:
    """Makes a function known as torch.ops.NAMESPACE.NAME."""
    namespace, _, name = qualified.partition("::")
    setattr(namespaces.setdefault(namespace, types.SimpleNamespace()), name, function)
