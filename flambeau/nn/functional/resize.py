"""`interpolate`: pictures of another size. Called by `nn.modules.upsampling` and by users.

An output element is a weighted sum of input elements, whose places and weights are found for each
dimension by itself (ops.resample).

>>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
tensor([[[1., 1., 2., 2.]]])
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import not_implemented
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

if TYPE_CHECKING:
    from flambeau import Tensor

_Sizes = int | Sequence[int]
_Factors = float | Sequence[float]

# Input dimensions that a mode takes.
_MODES = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "lanczos": (4,),
    "trilinear": (5,),
}


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, float)


def _requested_sizes(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool
) -> tuple[list[int], list[float] | None]:
    """The output size, and the scale factors if they rather than the sizes decide the sampling
    places."""
    ndim = len(shape) - 2
    shown = list(shape[2:])
    if size is not None:
        if not isinstance(size, (list, tuple)):
            return [int(size)] * ndim, None
        if len(size) != ndim:
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {shown} and output size of {size}. Please provide "
                "input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) "
                "format."
            )
        if not all(map(_is_integer, size)):
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, "
                f"int, int], but got size with types {[type(x) for x in size]}"
            )
        return [int(n) for n in size], None
    if isinstance(scale_factor, (list, tuple)):
        if len(scale_factor) != ndim:
            raise ValueError(
                "Input and scale_factor must have the same number of spatial dimensions, but got "
                f"input with spatial dimensions of {shown} and scale_factor of shape "
                f"{scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
                "scale_factor in (s1, s2, ...,sK) format."
            )
        factors = list(scale_factor)
    else:
        factors = [scale_factor] * ndim
    sizes = [int(n * factor) for n, factor in zip(shape[2:], factors)]
    return sizes, None if recompute else factors


def _check_mode(ndim: int, mode: str) -> None:
    dims = _MODES.get(mode, ())
    if ndim in dims:
        return
    if mode in ("linear", "bilinear", "trilinear") and ndim in (3, 4, 5):
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {dims[0]}D input")
    raise NotImplementedError(
        "Input Error: Only 3D, 4D and 5D input Tensors supported "
        f"(got {ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
        f"lanczos | area | nearest-exact (got {mode})"
    )


def interpolate(
    input: Tensor,
    size: _Sizes | None = None,
    scale_factor: _Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """(N, C, ...) at another `size`, or at one `scale_factor` times as large.

    Modes: "nearest", "nearest-exact" and "area" for one to three spatial dimensions, "linear" for
    one, "bilinear", "bicubic" and "lanczos" for two, "trilinear" for three. `align_corners` keeps
    the centres of the corner pixels in place. `antialias` widens the filter when the picture
    shrinks.

    >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), size=3, mode="linear")
    tensor([[[1.0000, 1.5000, 2.0000]]])
    """
    size, scale_factor = _hashable(size), _hashable(scale_factor)
    options = (size, scale_factor, mode, align_corners, bool(recompute_scale_factor), antialias)
    sizes, maps = _maps_of(input.shape, input.dtype == flambeau.float64, *options)
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[len(sizes) - 1]
        return pool(input, sizes)
    if not input.is_floating_point() or antialias:
        _check_dtype(input, mode, antialias)
    return flambeau.ops.nn.resample(input, maps, False, 0.0)


class _Listed(tuple[Any, ...]):
    """A list that can be looked up; errors show it as the list that it was."""

    def __repr__(self) -> str:
        return repr(list(self))


def _hashable(numbers: Any) -> Any:
    return _Listed(numbers) if isinstance(numbers, list) else numbers


@lru_cache(maxsize=1024, typed=True)
def _maps_of(
    shape: tuple[int, ...],
    double: bool,
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute: bool,
    antialias: bool,
) -> tuple[list[int], tuple[Any, ...]]:
    """(output sizes, what `ops.resample` needs to know about each dimension), or an error: all
    follow from the shape and the options.
    """
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | "
            "bilinear | bicubic | trilinear"
        )
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if recompute and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    sizes, factors = _requested_sizes(shape, size, scale_factor, recompute)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and len(shape) == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    _check_mode(len(shape), mode)
    if mode == "lanczos":
        if align_corners:
            raise ValueError("Lanczos mode does not support align_corners=True")
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
    if mode == "area":
        return sizes, ()
    _check_sizes(shape, sizes)
    maps = tuple(
        _map_of(old, new, factor, mode, bool(align_corners), antialias, double)
        for old, new, factor in zip(shape[2:], sizes, factors or [None] * len(sizes))
    )
    return sizes, (None, None, *maps)


def _check_sizes(shape: tuple[int, ...], sizes: list[int]) -> None:
    if min(sizes) <= 0 or 0 in shape[2:]:
        axes = ("D", "H", "W")[-len(sizes) :]
        before, after = (
            ", ".join(f"{axis}: {n}" for axis, n in zip(axes, lengths))
            for lengths in (shape[2:], sizes)
        )
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}) "
            f"{'and ' * (len(sizes) == 1)}output ({after})"
        )


def _check_dtype(input: Tensor, mode: str, antialias: bool) -> None:
    if not input.is_floating_point() and input.dtype != flambeau.uint8:
        name = mode.replace("-", "_") + ("2d" if mode.startswith("nearest") else "2d")
        raise not_implemented(f"upsample_{name}_channels_last", input)
    if antialias and input.dtype in (flambeau.float16, flambeau.bfloat16):
        raise not_implemented("compute_index_ranges_weights", input)
    if mode in ("linear", "trilinear") and input.dtype == flambeau.uint8:
        raise not_implemented("compute_indices_weights_linear", input)


_KINDS = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def _map_of(
    old: int,
    new: int,
    factor: float | None,
    mode: str,
    align_corners: bool,
    antialias: bool,
    double: bool,
) -> tuple[Any, ...]:
    """What `ops.resample` needs to know about one dimension."""
    if align_corners:
        scale = (old - 1) / (new - 1) if new > 1 else 0.0
    else:
        scale = old / new if not factor else 1.0 / factor
    kind = _KINDS.get(mode, mode)
    if antialias:
        return (f"widened {kind}", old, new, scale)
    if mode.startswith("nearest"):
        return (mode, old, new, scale)
    return (kind, old, new, scale, align_corners, double)


def upsample(
    input: Tensor,
    size: _Sizes | None = None,
    scale_factor: _Factors | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The deprecated name of `interpolate`.

    >>> torch.nn.functional.upsample(torch.zeros(1, 1, 2), scale_factor=2).shape
    torch.Size([1, 1, 4])
    """
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: _Sizes | None = None, scale_factor: _Factors | None = None
) -> Tensor:
    """The deprecated name of `interpolate` with mode "nearest".

    >>> torch.nn.functional.upsample_nearest(torch.zeros(1, 1, 2), scale_factor=2).shape
    torch.Size([1, 1, 4])
    """
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor, size: _Sizes | None = None, scale_factor: _Factors | None = None
) -> Tensor:
    """The deprecated name of `interpolate` with mode "bilinear" and aligned corners.

    >>> torch.nn.functional.upsample_bilinear(torch.zeros(1, 1, 2, 2), scale_factor=2).shape
    torch.Size([1, 1, 4, 4])
    """
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
