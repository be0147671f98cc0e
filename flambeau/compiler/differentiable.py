"""placeholder"""
from __future__ import annotations
from typing import Any
from flambeau.compiler.survey import Unsupported
def unspent(tensor: Any, tape: Any) -> bool:
    """Whether a backward pass can still go through the tensor's graph."""
    node = tensor._edge
    if node is None or tensor.is_leaf: return False
    node = getattr(node, "node", node)
    pending=[node]; seen=set()
    while pending:
        n=pending.pop()
        if n in seen: continue
        seen.add(n)
        if n._plan is not None and n._plan.saves and n._saved is None: return False
        pending += [getattr(e,"node",e) for e in n._edges if e is not None]
    return True
class DifferentiableProgram:
    def __init__(self, *a): raise Unsupported("not yet")
