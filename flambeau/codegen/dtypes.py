"""Dtypes by name, as generated code sees them: kind, size, how they are computed and how they meet.

Called throughout `codegen/`, which refers to dtypes by name so that it needs none of the objects of
`core/dtype.py`:

    >>> promote("int64", "float16"), ITEMSIZE["complex64"], KIND["uint8"]
    ('float16', 8, 'u')
"""

from __future__ import annotations

KIND = {
    "bool": "b",
    "uint8": "u",
    "uint16": "u",
    "uint32": "u",
    "uint64": "u",
    "int8": "i",
    "int16": "i",
    "int32": "i",
    "int64": "i",
    "float16": "f",
    "bfloat16": "f",
    "float32": "f",
    "float64": "f",
    "complex64": "c",
    "complex128": "c",
}
ITEMSIZE = {
    "bool": 1,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}
HALF = ("float16", "bfloat16")
Number = bool | int | float | complex


def compute_dtype(dtype: str) -> str:
    """The dtype in which values stored as `dtype` are computed.

    >>> compute_dtype("bfloat16"), compute_dtype("int8")
    ('float32', 'int8')
    """
    return "float32" if dtype in HALF else dtype


def real_dtype(dtype: str) -> str:
    """The dtype of a complex dtype's parts; a real dtype is its own.

    >>> real_dtype("complex64"), real_dtype("int8")
    ('float32', 'int8')
    """
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def promote(a: str, b: str) -> str:
    """The dtype in which values of dtypes `a` and `b` meet.

    >>> promote("uint8", "int8"), promote("int64", "float32"), promote("float64", "complex64")
    ('int16', 'float32', 'complex128')
    """
    if a == b:
        return a
    if "bcuif".find(KIND[a]) == "bcuif".find(KIND[b]):
        return a if ITEMSIZE[a] >= ITEMSIZE[b] else b
    low, high = sorted((a, b), key=lambda dtype: "buifc".index(KIND[dtype]))
    if KIND[low] == "u" and KIND[high] == "i" and ITEMSIZE[low] >= ITEMSIZE[high]:
        return f"int{min(64, 16 * ITEMSIZE[low])}"
    if low == "float64" and KIND[high] == "c":
        return "complex128"
    return high


def constant_dtype(value: Number, beside: str) -> str:
    """The dtype a Python number takes next to an expression of dtype `beside`.

    >>> constant_dtype(2, "float64"), constant_dtype(2, "bool"), constant_dtype(0.5, "int8")
    ('float64', 'int64', 'float32')
    """
    kind = KIND[beside]
    if isinstance(value, bool):
        return beside
    if isinstance(value, int):
        return "int64" if kind == "b" else beside
    if isinstance(value, float):
        return beside if kind in "fc" else "float32"
    return beside if kind == "c" else "complex128" if beside == "float64" else "complex64"
