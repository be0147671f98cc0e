"""Named results: what functions with several outputs return, one tuple type for each such function.

The types are named after their functions; their elements are attributes too. Ops give `NAME.of` to
`Plan.finish`:

    >>> torch.return_types.aminmax((1, 2)).max
    2
    >>> torch.tensor([[1, 3], [2, 0]]).max(1)
    torch.return_types.max(
    values=tensor([3, 2]),
    indices=tensor([1, 0]))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

FIELDS = {
    "aminmax": "min max", "cummax": "values indices", "cummin": "values indices",
    "frexp": "mantissa exponent", "geqrf": "a tau", "histogram": "hist bin_edges",
    "histogramdd": "hist bin_edges", "kthvalue": "values indices", "linalg_cholesky_ex": "L info",
    "linalg_eig": "eigenvalues eigenvectors", "linalg_eigh": "eigenvalues eigenvectors",
    "linalg_inv_ex": "inverse info", "linalg_ldl_factor": "LD pivots",
    "linalg_ldl_factor_ex": "LD pivots info",
    "linalg_lstsq": "solution residuals rank singular_values", "linalg_lu": "P L U",
    "linalg_lu_factor": "LU pivots", "linalg_lu_factor_ex": "LU pivots info", "linalg_qr": "Q R",
    "linalg_slogdet": "sign logabsdet", "linalg_solve_ex": "result info", "linalg_svd": "U S Vh",
    "lu_unpack": "P L U", "max": "values indices", "median": "values indices",
    "min": "values indices", "mode": "values indices", "nanmedian": "values indices", "qr": "Q R",
    "slogdet": "sign logabsdet", "sort": "values indices", "svd": "U S V", "topk": "values indices",
    "triangular_solve": "solution cloned_coefficient", "_lu_with_info": "LU pivots info",
    "_unpack_dual": "primal tangent",
}  # fmt: skip


class ReturnType(tuple[Any, ...]):
    """A tuple whose elements have names; the base of all named results."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __new__(cls, sequence: Iterable[Any], dict: Any = None) -> ReturnType:
        """torch's constructor: one sequence with all the elements."""
        if not hasattr(sequence, "__iter__"):
            raise TypeError("constructor requires a sequence")
        values = tuple(sequence)
        if len(values) != len(cls.__match_args__):
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {len(cls.__match_args__)}-sequence "
                f"({len(values)}-sequence given)"
            )
        return super().__new__(cls, values)

    @classmethod
    def of(cls, *values: Any) -> ReturnType:
        """The named tuple of these elements."""
        return tuple.__new__(cls, values)

    def __repr__(self) -> str:
        parts = ",\n".join(
            f"{name}={value!r}" for name, value in zip(self.__match_args__, self, strict=True)
        )
        return f"torch.return_types.{type(self).__name__}(\n{parts})"

    def __reduce__(self) -> Any:
        return type(self), (tuple(self), {})


class _Named(type):
    """Named results print as torch's: <class 'torch.return_types.max'>."""

    def __repr__(cls) -> str:
        return f"<class 'torch.return_types.{cls.__name__}'>"


def _field(position: int) -> property:
    return property(lambda self: self[position])


def _define(name: str, fields: tuple[str, ...]) -> type[ReturnType]:
    members: dict[str, Any] = {field: _field(i) for i, field in enumerate(fields)}
    counts = {"n_fields": len(fields), "n_sequence_fields": len(fields), "n_unnamed_fields": 0}
    return _Named(
        name,
        (ReturnType,),
        {**members, **counts, "__match_args__": fields, "__module__": __name__, "__slots__": ()},
    )


if TYPE_CHECKING:

    def __getattr__(name: str) -> type[ReturnType]:
        """The classes made below."""


all_return_types = []
for _name, _fields in FIELDS.items():
    globals()[_name] = _define(_name, tuple(_fields.split()))
    all_return_types.append(globals()[_name])
    if not _name.startswith("_") and _name != "histogramdd":
        globals()[f"{_name}_out"] = _define(f"{_name}_out", tuple(_fields.split()))
