"""The engine's ops for neural networks, as nn.functional calls them.

flambeau.ops.nn.convolution(input, weight, bias, stride, padding, dilation, transposed,
output_padding, groups)
"""

from __future__ import annotations

from flambeau.ops.attention import attention_weights as attention_weights
from flambeau.ops.attention import direct_attention as direct_attention
from flambeau.ops.attention import fused_attention as fused_attention
from flambeau.ops.conv import convolution as convolution
from flambeau.ops.grid_sample import grid_sample as grid_sample
from flambeau.ops.grid_sample import grid_sample_grid as grid_sample_grid
from flambeau.ops.grid_sample import grid_sample_input as grid_sample_input
from flambeau.ops.losses import mse_loss as mse_loss
from flambeau.ops.matmul import _linear as linear
from flambeau.ops.pool import adaptive_avg_pool as adaptive_avg_pool
from flambeau.ops.pool import adaptive_max_pool_with_indices as adaptive_max_pool_with_indices
from flambeau.ops.pool import avg_pool as avg_pool
from flambeau.ops.pool import max_pool as max_pool
from flambeau.ops.pool import max_pool_with_indices as max_pool_with_indices
from flambeau.ops.pool import take_maxima as take_maxima
from flambeau.ops.recurrent import recurrent_backward as recurrent_backward
from flambeau.ops.recurrent import recurrent_forward as recurrent_forward
from flambeau.ops.recurrent import steps_apart as steps_apart
from flambeau.ops.resample import mirror as mirror
from flambeau.ops.resample import resample as resample

__all__: list[str] = []
_ = linear
