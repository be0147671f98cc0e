"""Modules as functions of their parameters: `functional_call`, `stack_module_state`.

>>> layer = torch.nn.Linear(1, 1, bias=False)
>>> torch.func.functional_call(layer, {"weight": torch.tensor([[2.0]])}, torch.ones(1))
tensor([2.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau.nn.utils import stateless


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None, *,
    tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """Calls a module with other tensors in place of its parameters and buffers.

    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> torch.func.functional_call(layer, {"weight": torch.ones(1, 1)}, (torch.ones(1),))
    tensor([1.])
    """
    values = parameter_and_buffer_dicts
    if not isinstance(values, dict):
        if not isinstance(values, Sequence):
            raise ValueError(
                "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but "
                f"got {type(values)}"
            )
        if not all(isinstance(d, dict) for d in values):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
            )
        names = [name for d in values for name in d]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(
                f"{sorted(repeated)} appeared in multiple dictionaries; behavior of functional "
                "call is ambiguous"
            )
        values = {name: value for d in values for name, value in d.items()}
    return stateless._functional_call(
        module, values, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of several modules of one kind, stacked, for `vmap`.

    >>> layers = [torch.nn.Linear(2, 3) for _ in range(4)]
    >>> torch.func.stack_module_state(layers)[0]["weight"].shape
    torch.Size([4, 3, 2])
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if not all(type(m) is type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    kinds = [
        [dict(m.named_parameters()) for m in models],
        [dict(m.named_buffers()) for m in models],
    ]
    params, buffers = (
        {name: _leaf([state[name] for state in states]) for name in states[0]} for states in kinds
    )
    return params, buffers


def _leaf(tensors: list[Any]) -> Any:
    """Tensors stacked, as a leaf that needs gradients where they do."""
    needs = [tensor.requires_grad for tensor in tensors]
    if any(needs) and not all(needs):
        raise RuntimeError("Expected the tensors of all models to have the same .requires_grad")
    return flambeau.stack(tensors).detach().requires_grad_(needs[0])


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Makes every batch norm of a module forget its running statistics, for `vmap`."""
    for module in root.modules():
        if isinstance(module, flambeau.nn.modules.batchnorm._BatchNorm):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return root
