"""Samples of nn.functional: activations, losses, convolutions, pooling, norms, attention.

Functions that draw random numbers are not here: their gradients depend on the draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as torch

F = torch.nn.functional


def attention(q: Any, k: Any, **options: Any) -> Any:
    """Attention of one head, keys as values."""
    return F.scaled_dot_product_attention(q, k, k, **options)


SAMPLES: dict[str, list[Callable[..., Any]]] = {
    "nn.functional.linear": [
        lambda x, matrix, bias: F.linear(x, matrix, bias), lambda x, matrix: F.linear(x, matrix),
        lambda batch, tall: F.linear(batch.mT, tall),
    ],
    "nn.functional.bilinear": [
        lambda x, w, matrix: F.bilinear(x, w, torch.stack((matrix, matrix.t())))
    ],
    "nn.functional.glu": [lambda cube: F.glu(cube)],
    "_safe_softmax": [lambda x: torch._safe_softmax(x, 1)],
    "_softmax": [lambda x: torch._softmax(x, 1, False)],
    "_log_softmax": [lambda x: torch._log_softmax(x, 1, False)],
    "nn.functional.softmin": [lambda x: F.softmin(x, 1)],
    "nn.functional.tanhshrink": [lambda x: F.tanhshrink(x)],
    "nn.functional.softsign": [lambda x: F.softsign(x)],
    "nn.functional.selu": [lambda x: F.selu(x)],
    "nn.functional.prelu": [lambda x, bias: F.prelu(x, bias)],
    "nn.functional.normalize": [lambda x: F.normalize(x)],
    "nn.functional.cosine_similarity": [lambda x, w: F.cosine_similarity(x, w)],
    "nn.functional.pairwise_distance": [lambda x, w: F.pairwise_distance(x, w)],
    "nn.functional.pixel_shuffle": [lambda cube: F.pixel_shuffle(cube.view(1, 4, 2, 3), 2)],
    "nn.functional.pixel_unshuffle": [lambda cube: F.pixel_unshuffle(cube.view(1, 1, 4, 6), 2)],
    "nn.functional.channel_shuffle": [lambda cube: F.channel_shuffle(cube.view(1, 4, 6), 2)],
    "nn.functional.one_hot": [lambda classes: F.one_hot(classes, 3)],
    "nn.functional.embedding": [
        lambda index, table: F.embedding(index, table),
        lambda index, table: F.embedding(index, table, padding_idx=4),
    ],
    "nn.functional.embedding_bag": [lambda index, table: F.embedding_bag(index, table)],
    # losses
    "nn.functional.mse_loss": [
        lambda x, w: F.mse_loss(x, w), lambda x, w: F.mse_loss(x, w, reduction="sum")
    ],
    "nn.functional.l1_loss": [lambda x, w: F.l1_loss(x, w)],
    "nn.functional.smooth_l1_loss": [
        lambda x, w: F.smooth_l1_loss(x, w), lambda x, w: F.smooth_l1_loss(x, w, reduction="sum"),
    ],
    "nn.functional.huber_loss": [
        lambda x, w: F.huber_loss(x, w, delta=0.75), lambda x, w: F.huber_loss(x, w, "sum", 0.75),
    ],
    "nn.functional.soft_margin_loss": [
        lambda x, targets: F.soft_margin_loss(x, 2 * targets - 1),
        lambda x, targets: F.soft_margin_loss(x, 2 * targets - 1, reduction="sum"),
    ],
    "nn.functional.binary_cross_entropy": [
        lambda fraction, targets: F.binary_cross_entropy(fraction, targets),
        lambda fraction, targets: F.binary_cross_entropy(fraction, targets, reduction="sum"),
    ],
    "nn.functional.binary_cross_entropy_with_logits": [
        lambda x, targets: F.binary_cross_entropy_with_logits(x, targets),
        lambda x, targets: F.binary_cross_entropy_with_logits(x, targets, reduction="sum"),
    ],
    "nn.functional.kl_div": [lambda x, fraction: F.kl_div(x, fraction, reduction="batchmean")],
    "nn.functional.cross_entropy": [
        lambda x, classes: F.cross_entropy(x, classes),
        lambda x, classes, weights: F.cross_entropy(x, classes, weights, label_smoothing=0.1),
        lambda x, fraction: F.cross_entropy(x, fraction, reduction="sum"),
    ],
    "nn.functional.nll_loss": [
        lambda x, classes: F.nll_loss(x, classes),
        lambda x, classes, weights: F.nll_loss(x, classes, weights, reduction="none"),
        lambda x, classes: F.nll_loss(x, classes, ignore_index=1),
    ],
    "nn.functional.poisson_nll_loss": [lambda x, naturals: F.poisson_nll_loss(x, naturals)],
    "nn.functional.gaussian_nll_loss": [
        lambda x, w, positive: F.gaussian_nll_loss(x, w, positive)
    ],
    "nn.functional.margin_ranking_loss": [
        lambda x, w, targets: F.margin_ranking_loss(x, w, 2 * targets - 1, margin=0.15)
    ],
    "nn.functional.hinge_embedding_loss": [
        lambda x, targets: F.hinge_embedding_loss(x, 2 * targets - 1)
    ],
    "nn.functional.cosine_embedding_loss": [
        lambda x, w, signs: F.cosine_embedding_loss(x, w, signs)
    ],
    "nn.functional.triplet_margin_loss": [
        lambda x, w, unit: F.triplet_margin_loss(x, w, unit, margin=2.0)
    ],
    "nn.functional.triplet_margin_with_distance_loss": [
        lambda x, w, unit: F.triplet_margin_with_distance_loss(x, w, unit, margin=2.0)
    ],
    "nn.functional.multi_margin_loss": [lambda x, classes: F.multi_margin_loss(x, classes)],
    "nn.functional.multilabel_margin_loss": [
        lambda x, index: F.multilabel_margin_loss(x, index)
    ],
    "nn.functional.multilabel_soft_margin_loss": [
        lambda x, targets: F.multilabel_soft_margin_loss(x, targets)
    ],
    "nn.functional.ctc_loss": [
        lambda cube: F.ctc_loss(
            cube.log_softmax(2), torch.tensor([[1, 2], [3, 1], [2, 2]])[:, :1], (2, 2, 2), (1, 1, 1)
        )
    ],
    "nn.functional.linear_cross_entropy": [
        lambda x, matrix, classes: F.linear_cross_entropy(x, matrix, classes)
    ],
    # convolutions
    "nn.functional.conv1d": [
        lambda sequence, kernel1, bias: F.conv1d(sequence, kernel1, bias, stride=2, padding=1)
    ],
    "nn.functional.conv2d": [
        lambda image, kernel2, bias: F.conv2d(image, kernel2, bias, padding=1),
        lambda image, kernel2: F.conv2d(image, kernel2, stride=(2, 1), dilation=(1, 1)),
        lambda image, kernel2: F.conv2d(image, kernel2[:2, :1], groups=2),
    ],
    "nn.functional.conv3d": [
        lambda volume, kernel3, channels: F.conv3d(volume, kernel3, channels)
    ],
    "nn.functional.conv_transpose1d": [
        lambda sequence, transposed1: F.conv_transpose1d(sequence, transposed1, stride=2)
    ],
    "nn.functional.conv_transpose2d": [
        lambda image, transposed2, bias: F.conv_transpose2d(image, transposed2, bias, padding=1)
    ],
    "nn.functional.conv_transpose3d": [
        lambda volume, transposed3: F.conv_transpose3d(volume, transposed3)
    ],
    "nn.functional.conv_tbc": [
        lambda sequence, transposed1: F.conv_tbc(
            sequence, torch.ones(2, 6, 3, dtype=sequence.dtype), transposed1[0, 0]
        )
    ],
    "nn.functional.unfold": [lambda image: F.unfold(image, 2, stride=2)],
    "nn.functional.fold": [lambda cube: F.fold(cube.view(1, 4, 6), (3, 4), 2)],
    "nn.functional.pad": [
        lambda image: F.pad(image, (1, 2)), lambda image: F.pad(image, (1, 1, 2, 0), "reflect"),
        lambda image: F.pad(image, (1, 1, 1, 1), "replicate"),
        lambda image: F.pad(image, (2, 1), "circular"),
    ],
    # pooling
    "nn.functional.max_pool1d": [lambda sequence: F.max_pool1d(sequence, 2)],
    "nn.functional.max_pool2d": [
        lambda image: F.max_pool2d(image, 2), lambda image: F.max_pool2d(image, 3, 1, 1),
    ],
    "nn.functional.max_pool3d": [lambda volume: F.max_pool3d(volume, 2)],
    "nn.functional.max_unpool1d": [
        lambda sequence: F.max_unpool1d(*F.max_pool1d(sequence, 2, return_indices=True), 2)
    ],
    "nn.functional.max_unpool2d": [
        lambda image: F.max_unpool2d(*F.max_pool2d(image, 2, return_indices=True), 2)
    ],
    "nn.functional.max_unpool3d": [
        lambda volume: F.max_unpool3d(
            *F.max_pool3d(volume, 2, return_indices=True), 2, output_size=(3, 4, 3)
        )
    ],
    "nn.functional.avg_pool1d": [lambda sequence: F.avg_pool1d(sequence, 2)],
    "nn.functional.avg_pool2d": [lambda image: F.avg_pool2d(image, 2, 1, 1)],
    "nn.functional.avg_pool3d": [lambda volume: F.avg_pool3d(volume, 2)],
    "nn.functional.lp_pool1d": [lambda sequence: F.lp_pool1d(sequence.abs(), 3, 2)],
    "nn.functional.lp_pool2d": [lambda image: F.lp_pool2d(image, 2, 2)],
    "nn.functional.lp_pool3d": [lambda volume: F.lp_pool3d(volume, 2, 2)],
    "nn.functional.adaptive_avg_pool1d": [lambda sequence: F.adaptive_avg_pool1d(sequence, 4)],
    "nn.functional.adaptive_avg_pool2d": [lambda image: F.adaptive_avg_pool2d(image, (2, 3))],
    "nn.functional.adaptive_avg_pool3d": [lambda volume: F.adaptive_avg_pool3d(volume, 2)],
    "nn.functional.adaptive_max_pool1d": [lambda sequence: F.adaptive_max_pool1d(sequence, 4)],
    "nn.functional.adaptive_max_pool2d": [lambda image: F.adaptive_max_pool2d(image, (2, 3))],
    "nn.functional.adaptive_max_pool3d": [lambda volume: F.adaptive_max_pool3d(volume, 2)],
    # norms
    "nn.functional.layer_norm": [
        lambda cube: F.layer_norm(cube, (4,)),
        lambda x, weights, bias: F.layer_norm(x, (3,), weights, bias),
    ],
    "nn.functional.rms_norm": [lambda x, weights: F.rms_norm(x, (3,), weights)],
    "nn.functional.group_norm": [lambda image: F.group_norm(image, 2)],
    "nn.functional.instance_norm": [lambda image: F.instance_norm(image)],
    "nn.functional.batch_norm": [
        lambda image, channels: F.batch_norm(image, None, None, channels, training=True),
        lambda image, signs, classes, channel_weights, channels: F.batch_norm(
            image, signs.detach(), classes.to(image.dtype), channel_weights, channels
        ),
    ],
    "native_batch_norm": [
        lambda image, channels: torch.native_batch_norm(
            image, channels, None, None, None, True, 0.1, 1e-5
        )
    ],
    "_native_batch_norm_legit": [
        lambda image, channels: torch._native_batch_norm_legit(
            image, channels, None, True, 0.1, 1e-5
        )
    ],
    "nn.functional.local_response_norm": [lambda image: F.local_response_norm(image, 2)],
    # attention and images
    "nn.functional.scaled_dot_product_attention": [
        lambda batch, cube: attention(batch, cube),
        lambda batch: attention(batch, batch, is_causal=True),
    ],
    "nn.functional.interpolate": [
        lambda image: F.interpolate(image, scale_factor=2),
        lambda image: F.interpolate(image, (3, 7), mode="bilinear"),
        lambda image: F.interpolate(image, (7, 3), mode="bicubic", align_corners=True),
        lambda sequence: F.interpolate(sequence, 9, mode="linear"),
        lambda image: F.interpolate(image, (2, 3), mode="area"),
    ],
    "nn.functional.grid_sample": [
        lambda image, grid: F.grid_sample(image, grid, align_corners=False)
    ],
    "nn.functional.affine_grid": [
        lambda theta: F.affine_grid(theta, (1, 1, 2, 3), align_corners=False)
    ],
}  # fmt: skip
