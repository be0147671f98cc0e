"""`flambeau.compile`"""
from __future__ import annotations
from typing import Any
def compile(model: Any = None, **options: Any) -> Any:
    from flambeau.compiler.compiled import Compiled, Options
    return Compiled(model, Options())
