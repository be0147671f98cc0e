"""Single elements as Python numbers and back: `Tensor.item()` without NumPy.

read_scalar(tensor_of_one_element)          # 2.5
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

FORMATS: dict[str, Any] = {
    "bool": ctypes.c_bool, "uint8": ctypes.c_uint8, "int8": ctypes.c_int8, "int16": ctypes.c_int16,
    "int32": ctypes.c_int32, "int64": ctypes.c_int64, "uint16": ctypes.c_uint16,
    "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64, "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}  # fmt: skip


def read_scalar(tensor: Any) -> Any:
    """The one element of `tensor`."""
    spec = tensor._spec
    if spec.device.type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    address = tensor._storage.data + tensor._offset * spec.itemsize
    name = spec.dtype.name
    simple = FORMATS.get(name)
    if simple is not None:
        return simple.from_address(address).value
    raw = ctypes.string_at(address, spec.itemsize)
    if name == "float16":
        return struct.unpack("e", raw)[0]
    if name == "bfloat16":
        return struct.unpack("f", b"\0\0" + raw)[0]
    half = {"complex64": "ff", "complex128": "dd", "complex32": "ee"}[name]
    return complex(*struct.unpack(half, raw))
