"""Functions that torch has in its own namespace beside those that are ops: the layers of
`nn.functional` under torch's older signatures, in-place forms as functions, and a few of Python.

`flambeau.__getattr__` comes here for the names in `__all__`; `SAME` are those of `nn.functional`
as they are.

>>> torch.layer_norm(torch.tensor([1.0, 3.0]), (2,), eps=0.0)
tensor([-1.,  1.])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import flambeau
import flambeau.nn.functional as F
from flambeau.nn.functional.recurrent import CELLS

if TYPE_CHECKING:
    from flambeau import Tensor

#: names that torch and torch.nn.functional share, with the same arguments
SAME = (
    "adaptive_avg_pool1d", "avg_pool1d", "bilinear", "celu", "celu_", "channel_shuffle", "conv1d",
    "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_similarity", "hardshrink", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool3d", "native_channel_shuffle", "pairwise_distance", "pixel_shuffle", "pixel_unshuffle",
    "prelu", "rms_norm", "rrelu", "rrelu_", "selu", "selu_", "threshold", "threshold_",
)  # fmt: skip
#: losses, whose `reduction` is a number here
LOSSES = (
    "binary_cross_entropy_with_logits", "cosine_embedding_loss", "hinge_embedding_loss", "kl_div",
    "margin_ranking_loss", "poisson_nll_loss", "triplet_margin_loss", "ctc_loss",
)  # fmt: skip
#: methods that are functions too
METHODS = (
    "addmv_", "arccos_", "arccosh_", "arcsin_", "arcsinh_", "arctan_", "arctanh_", "clamp_",
    "clamp_max_", "clamp_min_", "clip_", "detach", "detach_", "fill_", "fix_", "gcd_", "get_device",
    "lcm_", "ldexp_", "logit_", "nan_to_num_", "negative_", "round_", "xlogy_", "zero_",
)  # fmt: skip
REDUCTIONS = ("none", "mean", "sum")


def _loss(name: str) -> Callable[..., Tensor]:
    function = getattr(F, name)

    def loss(*args: Any, reduction: int | str = 1, **options: Any) -> Tensor:
        kind = REDUCTIONS[reduction] if isinstance(reduction, int) else reduction
        return function(*args, reduction=kind, **options)

    loss.__name__, loss.__doc__ = name, f"`nn.functional.{name}`; reduction: 0 none, 1 mean, 2 sum."
    return loss


def _method(name: str) -> Callable[..., Any]:
    method = getattr(flambeau.Tensor, name)

    def function(input: Tensor, *args: Any, **options: Any) -> Any:
        return method(input, *args, **options)

    function.__name__, function.__doc__ = name, f"`Tensor.{name}` as a function."
    return function


globals().update({name: getattr(F, name) for name in SAME})
globals().update({name: _loss(name) for name in LOSSES})
globals().update({name: _method(name) for name in METHODS})


# ---- layers ----------------------------------------------------------------------------------


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zeros with probability `p`, the rest scaled, where `train`.

    >>> torch.dropout(torch.ones(2), 0.5, False)
    tensor([1., 1.])
    """
    return F.dropout(input, p, train)


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`dropout` in place."""
    return F.dropout(input, p, train, inplace=True)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Dropout that keeps mean and variance."""
    return F.alpha_dropout(input, p, train)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`alpha_dropout` of whole channels."""
    return F.feature_alpha_dropout(input, p, train)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Dropout of whole channels."""
    return F.dropout2d(input, p, train)


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight`.

    >>> torch.embedding(torch.eye(2), torch.tensor([1]))
    tensor([[0., 1.]])
    """
    padding = None if padding_idx == -1 else padding_idx
    return F.embedding(indices, weight, padding, None, 2.0, scale_grad_by_freq, sparse)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-05, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 over the last dimensions."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-05, cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 over groups of channels."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, training: bool, momentum: float, eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 over the batch, or by running statistics."""
    return F.batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )  # fmt: skip


def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 over each channel of each image."""
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def _cell(kind: str) -> Callable[..., Any]:
    step, bundled = CELLS[kind], kind == "LSTM"

    def cell(
        input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:  # fmt: skip
        gates = F.linear(input, w_ih, b_ih)
        state = tuple(hx) if bundled else (hx,)
        result = step(gates, state, w_hh, b_hh, None)
        return tuple(result) if bundled else result[0]

    return cell


lstm_cell, gru_cell = _cell("LSTM"), _cell("GRU")
rnn_tanh_cell, rnn_relu_cell = _cell("RNN_TANH"), _cell("RNN_RELU")


def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """Borders of a constant.

    >>> torch.constant_pad_nd(torch.ones(1), (1, 0), 5)
    tensor([5., 1.])
    """
    return F.pad(input, list(pad), "constant", value)


INTERPOLATIONS = ("bilinear", "nearest", "bicubic")
BORDERS = ("zeros", "border", "reflection")


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`nn.functional.grid_sample` with numbers for the modes.

    >>> torch.grid_sampler(torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), 0, 0, False)
    tensor([[[[1.]]]])
    """
    modes = INTERPOLATIONS[interpolation_mode], BORDERS[padding_mode]
    return F.grid_sample(input, grid, *modes, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Tensor:  # fmt: skip
    """Every convolution: one to three dimensions, transposed or not."""
    kind = f"conv{'_transpose' if transposed else ''}{input.dim() - 2}d"
    if transposed:
        options = (stride, padding, output_padding, groups, dilation)
    else:
        options = (stride, padding, dilation, groups)
    return getattr(F, kind)(input, weight, bias, *options)


# ---- tensors ---------------------------------------------------------------------------------


def as_strided_scatter(
    input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int],
    storage_offset: int | None = None,
) -> Tensor:  # fmt: skip
    """A copy of `input` with `src` written where `as_strided` would look.

    >>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    result = input.clone(memory_format=flambeau.contiguous_format)
    result.as_strided(size, stride, storage_offset or 0).copy_(src)
    return result


def frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The root of the sum of squares."""
    return flambeau.linalg.vector_norm(input, 2, tuple(dim) or None, keepdim)


def nuclear_norm(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    return flambeau.linalg.matrix_norm(input, "nuc", tuple(dim), keepdim)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but one."""
    if dim == -1:
        return flambeau.norm(v, pow)
    others = [d for d in range(v.dim()) if d != dim % v.dim()]
    return flambeau.norm(v, pow, dim=others, keepdim=True)


def _spacings(spacing: Any, dims: Sequence[int], dims_given: bool) -> list[Any]:
    """One step, or one tensor of coordinates, for each dimension."""
    if spacing is None or isinstance(spacing, (int, float, complex)):
        return [1 if spacing is None else spacing] * len(dims)
    if len(spacing) != len(dims):
        text = "torch.gradient expected spacing to be unspecified, a scalar"
        raise RuntimeError(
            f"{text} or it's spacing and dim arguments to have the same length, but got a spacing "
            f"argument of length {len(spacing)} and a dim argument of length {len(dims)}."
            if dims_given
            else f"{text}, or a list of length equal to 'self.dim() = {len(dims)}', since dim "
            f"argument was not given, but got a list of length {len(spacing)}"
        )
    return list(spacing)


def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """Differences between neighbours as derivatives, of second order inside.

    >>> torch.gradient(torch.tensor([1.0, 4.0, 9.0]))
    (tensor([3., 4., 5.]),)
    """
    given = [dim] if isinstance(dim, int) else range(input.dim()) if dim is None else list(dim)
    spacings = _spacings(spacing, given, dim is not None)
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    for step in spacings:
        if isinstance(step, flambeau.Tensor) and step.device != input.device:
            raise RuntimeError(
                "torch.gradient expected each tensor to be on the same device, but got devices "
                f"{input.device} and {step.device}!"
            )
    dims = [d + input.dim() if d < 0 else d for d in given]
    for d in dims:
        if dims.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
        if input.size(d) < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    return tuple(
        _derivative(input, d, step, edge_order) for d, step in zip(dims, spacings, strict=True)
    )


def _even_derivative(x: Tensor, dim: int, spacing: complex, edge_order: int) -> Tensor:
    """The derivative along one dimension, for even steps."""
    n = x.shape[dim]
    inner = (x.narrow(dim, 2, n - 2) - x.narrow(dim, 0, n - 2)) / (2 * spacing)
    a, b, c = (x.narrow(dim, i, 1) for i in (0, 1, 2 if n > 2 else 0))
    d, e, f = (x.narrow(dim, n - i, 1) for i in (1, 2, 3 if n > 2 else 1))
    if edge_order == 1:
        return flambeau.cat([(b - a) / spacing, inner, (d - e) / spacing], dim)
    first = (4 * b - 3 * a - c) / (2 * spacing)
    last = (3 * d - 4 * e + f) / (2 * spacing)
    return flambeau.cat([first, inner, last], dim)


def _derivative(x: Tensor, dim: int, spacing: Any, edge_order: int) -> Tensor:
    """The derivative along one dimension, for given coordinates."""
    n = x.shape[dim]
    if not isinstance(spacing, flambeau.Tensor):
        return _even_derivative(x, dim, spacing, edge_order)
    shape = [1] * x.dim()
    shape[dim] = -1
    steps = spacing.diff().reshape(shape)
    slopes = x.diff(dim=dim) / steps
    before, after = steps.narrow(dim, 0, n - 2), steps.narrow(dim, 1, n - 2)
    left, right = slopes.narrow(dim, 0, n - 2), slopes.narrow(dim, 1, n - 2)
    inner = (left * after + right * before) / (before + after)
    first, last = slopes.narrow(dim, 0, 1), slopes.narrow(dim, n - 2, 1)
    if edge_order == 2:
        h0, h1 = steps.narrow(dim, 0, 1), steps.narrow(dim, 1, 1)
        first = first + (first - slopes.narrow(dim, 1, 1)) * h0 / (h0 + h1)
        h0, h1 = steps.narrow(dim, n - 2, 1), steps.narrow(dim, n - 3, 1)
        last = last + (last - slopes.narrow(dim, n - 3, 1)) * h0 / (h0 + h1)
    return flambeau.cat([first, inner, last], dim)


def unsafe_split_with_sizes(
    input: Tensor, split_sizes: Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """`split` whose parts are written to without telling the graph."""
    return tuple(part.clone() for part in input.split(list(split_sizes), dim))


# ---- Python ----------------------------------------------------------------------------------


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()
) -> Any:
    """One of two functions, by a condition.

    >>> torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x, (torch.zeros(1),))
    tensor([1.])
    """
    return (true_fn if bool(pred) else false_fn)(*operands)


def set_default_tensor_type(t: Any) -> None:
    """Makes the dtype of a tensor type (torch.DoubleTensor) the default.

    >>> torch.set_default_tensor_type("torch.FloatTensor")
    """
    name = t if isinstance(t, str) else f"{t.__module__}.{t.__name__}"
    kinds = {"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16"}
    kind = kinds.get(name.removeprefix("torch.").removesuffix("Tensor"))
    if "cuda" in name:
        raise TypeError(f"type {name} not available. Torch not compiled with CUDA enabled.")
    if kind is None:
        raise TypeError(
            "invalid type object: only floating-point types are supported as the default type"
        )
    flambeau.set_default_dtype(getattr(flambeau, kind))


def set_flush_denormal(mode: bool) -> bool:
    """Numbers below the normal range stay as they are: False, for the mode is not changed."""
    return False


def is_warn_always_enabled() -> bool:
    """Whether warnings that come once should come always: False."""
    return False


def set_warn_always(b: bool) -> None:
    """Python's own filters decide: warnings.simplefilter("always")."""


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device: `torch.cpu` for "cpu".

    >>> torch.get_device_module("cpu") is torch.cpu
    True
    """
    kind = flambeau.device(device or flambeau.get_default_device()).type
    module = getattr(flambeau, kind, None)
    if module is None:
        raise RuntimeError(f"Invalid device '{device}'")
    return module


def sym_int(a: Any) -> int:
    """The number without its fraction."""
    return int(a)


def sym_float(a: Any) -> float:
    """The number as a float."""
    return float(a)


def sym_max(a: Any, b: Any) -> Any:
    """The greater number."""
    return max(a, b)


def sym_min(a: Any, b: Any) -> Any:
    """The lesser number."""
    return min(a, b)


def sym_not(a: Any) -> bool:
    """The opposite truth value."""
    return not a


def sym_ite(b: Any, t: Any, f: Any) -> Any:
    """`t` where `b` is true, else `f`."""
    return t if b else f


def sym_sum(args: Sequence[Any]) -> Any:
    """The sum of numbers."""
    return sum(args)


__all__ = sorted(
    [
        *SAME, *LOSSES, *METHODS, "alpha_dropout", "as_strided_scatter", "batch_norm", "cond",
        "constant_pad_nd", "convolution", "dropout", "dropout_", "embedding",
        "feature_alpha_dropout", "feature_dropout", "frobenius_norm", "get_device_module",
        "gradient", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "group_norm", "gru_cell",
        "instance_norm", "is_warn_always_enabled", "layer_norm", "lstm_cell", "norm_except_dim",
        "nuclear_norm", "rnn_relu_cell", "rnn_tanh_cell", "set_default_tensor_type",
        "set_flush_denormal", "set_warn_always", "sym_float", "sym_int", "sym_ite", "sym_max",
        "sym_min", "sym_not", "sym_sum", "unsafe_split_with_sizes",
    ]
)  # fmt: skip
