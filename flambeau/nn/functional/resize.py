"""`interpolate`: pictures of another size. Called by `nn.modules.upsampling` and by users.

Every mode works on one dimension after the other. An output element is a weighted sum of input
elements: their places and weights are computed once for each dimension, in the precision of the
input.

>>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
tensor([[[1., 1., 2., 2.]]])
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import flambeau

from ._common import not_implemented
from .adaptive_pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .vision import _cubic_weights

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
    input: Tensor, size: Any, scale_factor: Any, recompute: bool
) -> tuple[list[int], list[float] | None]:
    """The output size, and the scale factors if they rather than the sizes decide the sampling
    places."""
    ndim = input.dim() - 2
    shown = list(input.shape[2:])
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
    sizes = [int(n * factor) for n, factor in zip(input.shape[2:], factors)]
    return sizes, None if recompute else factors


def _check_mode(input: Tensor, mode: str) -> None:
    dims = _MODES.get(mode, ())
    if input.dim() in dims:
        return
    if mode in ("linear", "bilinear", "trilinear") and input.dim() in (3, 4, 5):
        raise NotImplementedError(
            f"Got {input.dim()}D input, but {mode} mode needs {dims[0]}D input"
        )
    raise NotImplementedError(
        "Input Error: Only 3D, 4D and 5D input Tensors supported "
        f"(got {input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
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
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    sizes, factors = _requested_sizes(input, size, scale_factor, bool(recompute_scale_factor))
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    _check_mode(input, mode)
    if mode == "lanczos":
        if align_corners:
            raise ValueError("Lanczos mode does not support align_corners=True")
        if not antialias:
            raise ValueError("Lanczos mode requires antialias=True")
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[len(sizes) - 1]
        return pool(input, sizes)
    _check_sizes(input, sizes, mode)
    for d, length in enumerate(sizes):
        factor = None if factors is None else factors[d]
        input = _resize_dim(input, 2 + d, length, factor, mode, bool(align_corners), antialias)
    return input


def _check_sizes(input: Tensor, sizes: list[int], mode: str) -> None:
    if min(sizes) <= 0 or 0 in input.shape[2:]:
        axes = ("D", "H", "W")[-len(sizes) :]
        before, after = (
            ", ".join(f"{axis}: {n}" for axis, n in zip(axes, lengths))
            for lengths in (input.shape[2:], sizes)
        )
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({before}) output "
            f"({after})"
        )
    if not input.is_floating_point() and input.dtype != flambeau.uint8:
        name = mode.replace("-", "_") + ("2d" if mode.startswith("nearest") else "2d")
        raise not_implemented(f"upsample_{name}_channels_last", input)


def _resize_dim(
    input: Tensor,
    dim: int,
    length: int,
    factor: float | None,
    mode: str,
    align_corners: bool,
    antialias: bool,
) -> Tensor:
    """`input` with `length` elements along `dim`."""
    old = input.size(dim)
    if align_corners:
        scale = (old - 1) / (length - 1) if length > 1 else 0.0
    else:
        scale = old / length if not factor else 1.0 / factor
    if antialias:
        weights = _antialias_weights(old, length, scale, mode)
        matrix = flambeau.tensor(weights, dtype=input.dtype, device=input.device)
        return (input.transpose(dim, -1) @ matrix.t()).transpose(dim, -1)
    # torch chooses nearest neighbours in single precision whatever the input is.
    exact = input.dtype == flambeau.float64 and not mode.startswith("nearest")
    dtype = flambeau.float64 if exact else flambeau.float32
    steps = flambeau.arange(length, device=input.device).to(dtype)
    if mode == "nearest":
        return input.index_select(dim, (steps * scale).long().clamp(max=old - 1))
    if mode == "nearest-exact":
        return input.index_select(dim, ((steps + 0.5) * scale).long().clamp(max=old - 1))
    source = steps * scale if align_corners else (steps + 0.5) * scale - 0.5
    shape = [-1 if d == dim else 1 for d in range(input.dim())]
    if mode == "bicubic":
        base = flambeau.floor(source)
        taps = [
            ((base.long() + k - 1).clamp(0, old - 1), weight)
            for k, weight in enumerate(_cubic_weights(source - base))
        ]
    else:
        source = source.clamp(min=0)
        base = flambeau.floor(source).clamp(max=old - 1)
        fraction = (source - base).clamp(0, 1)
        low = base.long()
        taps = [(low, 1 - fraction), ((low + 1).clamp(max=old - 1), fraction)]
    output = None
    for places, weight in taps:
        part = input.index_select(dim, places) * weight.to(input.dtype).reshape(shape)
        output = part if output is None else output + part
    return output


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float, a: float = -0.5) -> float:
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _lanczos(x: float) -> float:
    if not -3 < x < 3:
        return 0.0
    if x == 0:
        return 1.0
    y = math.pi * x
    return 3 * math.sin(y) * math.sin(y / 3) / (y * y)


# The filter of a mode and the distance at which it ends.
_FILTERS: dict[str, tuple[Callable[[float], float], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos": (_lanczos, 3),
}


def _antialias_weights(old: int, length: int, scale: float, mode: str) -> list[list[float]]:
    """The weight of each input element (column) in each output element (row)."""
    function, reach = _FILTERS[mode]
    stretch = max(scale, 1.0)
    rows = []
    for i in range(length):
        centre = scale * (i + 0.5)
        start = max(int(centre - reach * stretch + 0.5), 0)
        stop = min(int(centre + reach * stretch + 0.5), old)
        weights = [function((j - centre + 0.5) / stretch) for j in range(start, stop)]
        total = sum(weights)
        row = [0.0] * old
        row[start:stop] = [weight / total if total else weight for weight in weights]
        rows.append(row)
    return rows


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
