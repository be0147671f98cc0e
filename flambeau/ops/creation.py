"""Making tensors."""
from __future__ import annotations
from typing import Any
from flambeau.core import dtype as dtypes
from flambeau.core.spec import Spec, CPU
from flambeau.ops.arrays import empty as empty_of, from_array

def from_numpy(array: Any) -> Any:
    return from_array(array)

def tensor(data: Any, dtype: Any=None, requires_grad: bool=False) -> Any:
    import numpy
    a = numpy.array(data)
    if a.dtype == numpy.float64: a = a.astype('float32')
    t = from_array(a, dtype)
    if requires_grad: t.requires_grad_()
    return t
__all__=["from_numpy","tensor"]
