"""Element types: `dtype` and its instances, the default dtype, `finfo` and `iinfo`.

Called by every layer; there is exactly one object per dtype, so `is` compares them.

>>> float32.itemsize, float32.is_floating_point, float16.compute
(4, True, torch.float32)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau.core import errors
from flambeau.core.naming import FinalPublicType, Immutable, PublicConstants

BOOL, INTEGRAL, FLOATING, COMPLEX = range(4)
_CATEGORY = {"b": BOOL, "u": INTEGRAL, "i": INTEGRAL, "f": FLOATING, "c": COMPLEX}


class dtype(Immutable, metaclass=PublicConstants):
    """The type of a tensor's elements.

    >>> torch.float64, torch.float64.is_signed, torch.float64.to_complex()
    (torch.float64, True, torch.complex128)
    """

    __slots__ = (
        "name",
        "itemsize",
        "kind",
        "category",
        "index",
        "is_floating_point",
        "is_complex",
        "is_signed",
        "abbr",
        "numpy_name",
        "scalar_name",
        "c_name",
        "tensor_type",
        "compute",
        "_repr",
    )

    name: str
    itemsize: int
    #: 'b' bool, 'u' unsigned, 'i' signed, 'f' floating, 'c' complex
    kind: str
    #: 0 bool, 1 integral, 2 floating, 3 complex: what promotion compares first
    category: int
    #: position in DTYPES
    index: int
    is_floating_point: bool
    is_complex: bool
    is_signed: bool
    abbr: str
    #: NumPy's name of it, or None where NumPy has no such type
    numpy_name: str | None
    #: how error texts name it: "Float", "Long"
    scalar_name: str
    #: how some texts of matrix products name it: "float", "c10::Half"
    c_name: str
    #: "torch.FloatTensor"
    tensor_type: str
    #: the dtype in which arithmetic on it is done
    compute: dtype
    _repr: str

    def to_real(self) -> dtype:
        """The dtype of the real part: `complex64` gives `float32`; real dtypes give themselves.

        >>> torch.complex64.to_real(), torch.int64.to_real()
        (torch.float32, torch.int64)
        """
        return _REAL_OF.get(self, self)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts have this dtype; bfloat16 widens to `complex64`.

        >>> torch.float32.to_complex()
        torch.complex64
        """
        if self.is_complex:
            return self
        found = _COMPLEX_OF.get(self)
        if found is None:
            raise RuntimeError(f"Unknown Complex ScalarType for {self.scalar_name}")
        return found

    def __repr__(self) -> str:
        return self._repr

    def __reduce__(self) -> tuple[Any, ...]:
        return dtype_by_name, (self.name,)

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: object) -> dtype:
        return self


class _Row(NamedTuple):
    name: str
    itemsize: int
    kind: str
    scalar_name: str
    abbr: str
    c_name: str
    compute: str | None = None
    in_numpy: bool = True


_ROWS = (
    _Row("bool", 1, "b", "Bool", "b8", "bool"),
    _Row("uint8", 1, "u", "Byte", "u8", "unsigned char"),
    _Row("int8", 1, "i", "Char", "i8", "signed char"),
    _Row("int16", 2, "i", "Short", "i16", "short int"),
    _Row("int32", 4, "i", "Int", "i32", "int"),
    _Row("int64", 8, "i", "Long", "i64", "long int"),
    _Row("uint16", 2, "u", "UInt16", "u16", "short unsigned int"),
    _Row("uint32", 4, "u", "UInt32", "u32", "unsigned int"),
    _Row("uint64", 8, "u", "UInt64", "u64", "long unsigned int"),
    _Row("float16", 2, "f", "Half", "f16", "c10::Half", "float32"),
    _Row("bfloat16", 2, "f", "BFloat16", "bf16", "c10::BFloat16", "float32", False),
    _Row("float32", 4, "f", "Float", "f32", "float"),
    _Row("float64", 8, "f", "Double", "f64", "double"),
    _Row("complex32", 4, "c", "ComplexHalf", "c32", "c10::complex<c10::Half>", "complex64", False),
    _Row("complex64", 8, "c", "ComplexFloat", "c64", "c10::complex<float>"),
    _Row("complex128", 16, "c", "ComplexDouble", "c128", "c10::complex<double>"),
    *(
        _Row(
            f"float8_{kind}",
            1,
            "f",
            f"Float8_{kind}",
            f"f8{kind}",
            f"c10::Float8_{kind}",
            "float32",
            False,
        )
        for kind in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")
    ),
)


def _make(index: int, row: _Row) -> dtype:
    new: dtype = object.__new__(dtype)
    values = {
        "name": row.name,
        "itemsize": row.itemsize,
        "kind": row.kind,
        "category": _CATEGORY[row.kind],
        "index": index,
        "is_floating_point": row.kind == "f",
        "is_complex": row.kind == "c",
        "is_signed": row.kind in "ifc" and row.name != "float8_e8m0fnu",
        "abbr": row.abbr,
        "numpy_name": row.name if row.in_numpy else None,
        "scalar_name": row.scalar_name,
        "c_name": row.c_name,
        "tensor_type": f"torch.{row.scalar_name}Tensor",
        "_repr": f"torch.{row.name}",
    }
    for attribute, value in values.items():
        object.__setattr__(new, attribute, value)
    return new


def _make_all() -> dict[str, dtype]:
    made = {row.name: _make(index, row) for index, row in enumerate(_ROWS)}
    for row in _ROWS:
        object.__setattr__(made[row.name], "compute", made[row.compute or row.name])
    return made


#: every dtype by name, in the order of `dtype.index`
DTYPES: dict[str, dtype] = _make_all()

bool_ = DTYPES["bool"]
uint8 = DTYPES["uint8"]
int8 = DTYPES["int8"]
int16 = short = DTYPES["int16"]
int32 = int_ = DTYPES["int32"]
int64 = long = DTYPES["int64"]
uint16 = DTYPES["uint16"]
uint32 = DTYPES["uint32"]
uint64 = DTYPES["uint64"]
float16 = half = DTYPES["float16"]
bfloat16 = DTYPES["bfloat16"]
float32 = float_ = DTYPES["float32"]
float64 = double = DTYPES["float64"]
complex32 = chalf = DTYPES["complex32"]
complex64 = cfloat = DTYPES["complex64"]
complex128 = cdouble = DTYPES["complex128"]

#: the second public names: `torch.float` is `torch.float32`
ALIASES: dict[str, dtype] = {
    "half": float16,
    "float": float32,
    "double": float64,
    "chalf": complex32,
    "cfloat": complex64,
    "cdouble": complex128,
    "short": int16,
    "int": int32,
    "long": int64,
}

#: dtypes that memory can hold and a program can name; no kernel computes with them
UNCOMPUTED = frozenset(
    kind for name, kind in DTYPES.items() if name.startswith("float8") or name == "complex32"
)

_REAL_OF = {complex32: float16, complex64: float32, complex128: float64}
_COMPLEX_OF = {
    float16: complex32,
    bfloat16: complex64,
    float32: complex64,
    float64: complex128,
}


def dtype_by_name(name: str) -> dtype:
    """The dtype called `name`, an alias included; what pickles of dtypes call.

    >>> dtype_by_name("float32") is float32, dtype_by_name("long")
    (True, torch.int64)
    """
    found = DTYPES.get(name) or ALIASES.get(name)
    if found is None:
        raise NotImplementedError(f"dtype torch.{name} is not supported")
    return found


_default = float32
# called when the default changes: what was planned for Python floats holds no longer
on_default_change: list[Callable[[], Any]] = []


def get_default_dtype() -> dtype:
    """The floating dtype of new tensors made from Python floats.

    >>> torch.get_default_dtype()
    torch.float32
    """
    return _default


def set_default_dtype(d: dtype, /) -> None:
    """Set the floating dtype of new tensors made from Python floats.

    >>> torch.set_default_dtype(torch.float64); torch.get_default_dtype()
    torch.float64
    >>> torch.set_default_dtype(torch.float32)
    """
    global _default
    text = "only floating-point types are supported as the default type"
    if not isinstance(d, dtype):
        raise TypeError(f"invalid dtype object: {text}")
    if not d.is_floating_point:
        raise TypeError(f"{text}\n  got {d}")
    changed, _default = d is not _default, d
    for forget in on_default_change if changed else ():
        forget()


def default_complex_dtype() -> dtype:
    """The complex dtype of new tensors made from Python complex numbers.

    >>> default_complex_dtype()
    torch.complex64
    """
    return _default.to_complex()


def _limits_argument(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dtype:
    """The one argument of `finfo` and `iinfo`, refused as torch refuses it."""
    if len(args) > 1 or (args and kwargs):
        signatures = ["(torch.dtype type)", "()"] if function == "finfo" else ["(torch.dtype type)"]
        raise errors.invalid_combination(function, args, kwargs, signatures)
    if not args and "type" not in kwargs:
        raise errors.missing_arguments(function, ["type"])
    given = args[0] if args else kwargs["type"]
    if not isinstance(given, dtype):
        raise errors.argument_type_error(function, "type", 1, "torch.dtype", given)
    return given


# IEEE 754 (and bfloat16): digits of the significand including the hidden one, greatest exponent,
# decimal digits that always survive a round trip.
_FLOAT_FORMATS = {float16: (11, 15, 3), bfloat16: (8, 127, 2), float32: (24, 127, 6)}
_FLOAT_FORMATS[float64] = (53, 1023, 15)


# The formats of eight bits give up infinity, or one of the zeros, for more numbers (Micikevicius et
# al. 2022, arXiv:2209.05433): greatest, step from 1 to the next, least normal number.
_FLOAT8_LIMITS = {
    "float8_e4m3fn": (448.0, 2.0**-3, 2.0**-6),
    "float8_e5m2": (57344.0, 2.0**-2, 2.0**-14),
    "float8_e4m3fnuz": (240.0, 2.0**-3, 2.0**-7),
    "float8_e5m2fnuz": (57344.0, 2.0**-3, 2.0**-15),
    "float8_e8m0fnu": (2.0**127, 1.0, 2.0**-127),
}


def _limits(real: dtype) -> tuple[float, float, float, int]:
    """The greatest number, the step from 1 to the next, the least normal number, digits."""
    if real.name in _FLOAT8_LIMITS:
        return (*_FLOAT8_LIMITS[real.name], 0)
    precision, exponent, digits = _FLOAT_FORMATS[real]
    step = 2.0 ** (1 - precision)
    return (2.0 - step) * 2.0**exponent, step, 2.0 ** (1 - exponent), digits


class finfo(Immutable, metaclass=FinalPublicType):
    """Limits of a floating dtype (of its parts, for a complex one); default: the default dtype.

    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    __slots__ = (
        "bits",
        "eps",
        "max",
        "min",
        "smallest_normal",
        "tiny",
        "resolution",
        "dtype",
    )

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    tiny: float
    resolution: float
    dtype: str

    def __new__(cls, *args: Any, **kwargs: Any) -> finfo:
        given = _limits_argument("finfo", args, kwargs) if args or kwargs else _default
        real = given.to_real()
        if real not in _FLOAT_FORMATS and real.name not in _FLOAT8_LIMITS:
            raise TypeError(
                "torch.finfo() requires a floating point input type. "
                f"Use torch.iinfo to handle 'torch.finfo'\n  got {given}"
            )
        greatest, step, smallest, digits = _limits(real)
        new = object.__new__(cls)
        values: dict[str, object] = {
            "bits": real.itemsize * 8,
            "eps": step,
            "max": greatest,
            "min": -greatest if real.is_signed else smallest,
            "smallest_normal": smallest,
            "tiny": smallest,
            "resolution": float(f"1e-{digits}"),
            "dtype": real.name,
        }
        for name, value in values.items():
            object.__setattr__(new, name, value)
        return new

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return self.dtype == other.dtype if isinstance(other, finfo) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return finfo, (dtype_by_name(self.dtype),)


class iinfo(Immutable, metaclass=FinalPublicType):
    """Limits of an integer dtype.

    >>> torch.iinfo(torch.int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    __slots__ = ("bits", "max", "min", "dtype")

    bits: int
    max: int
    min: int
    dtype: str

    def __new__(cls, *args: Any, **kwargs: Any) -> iinfo:
        given = _limits_argument("iinfo", args, kwargs)
        if given is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if given.category != INTEGRAL:
            raise TypeError(
                "torch.iinfo() requires an integer input type. "
                f"Use torch.finfo to handle 'torch.iinfo'\n  got {given}"
            )
        bits = given.itemsize * 8
        signed = given.is_signed
        new = object.__new__(cls)
        object.__setattr__(new, "bits", bits)
        object.__setattr__(new, "max", 2 ** (bits - signed) - 1)
        object.__setattr__(new, "min", -(2 ** (bits - 1)) if signed else 0)
        object.__setattr__(new, "dtype", given.name)
        return new

    def __repr__(self) -> str:
        # torch prints the limits through a double with six significant digits
        low, high = float(self.min), float(self.max)
        return f"iinfo(min={low:g}, max={high:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return self.dtype == other.dtype if isinstance(other, iinfo) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return iinfo, (dtype_by_name(self.dtype),)
