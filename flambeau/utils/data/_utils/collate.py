"""Joins samples to a batch: numbers and tensors are stacked, containers joined item by item.

>>> batch = torch.utils.data.default_collate([{"x": 1.0, "y": "a"}, {"x": 2.0, "y": "b"}])
>>> batch["x"].tolist(), batch["y"]
([1.0, 2.0], ['a', 'b'])
"""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import flambeau

CollateFn = Callable[..., Any]
CollateFnMap = dict[type | tuple[type, ...], CollateFn]

# The kinds of NumPy arrays that hold no numbers: bytes, str, object.
np_str_obj_array_pattern = re.compile(r"[SaUO]")

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_convert(data: Any) -> Any:
    """Turns NumPy arrays and numbers, at any depth of containers, into tensors.

    >>> default_convert({"x": [1, 2]})
    {'x': [1, 2]}
    """
    kind = type(data)
    if isinstance(data, flambeau.Tensor):
        return data
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_"):
        if kind.__name__ == "ndarray" and np_str_obj_array_pattern.search(data.dtype.str):
            return data
        return flambeau.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*[default_convert(item) for item in data])
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuild_sequence(data, [default_convert(item) for item in data])
    return data


def _rebuild_mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping of the type of `like`; a plain dict where that type cannot be made."""
    try:
        if isinstance(like, MutableMapping):
            # A copy keeps what the type holds besides its items, as a defaultdict does.
            clone = copy.copy(like)
            clone.update(items)
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _rebuild_sequence(like: Sequence[Any], items: list[Any]) -> Any:
    """A sequence of the type of `like`; a plain list where that type cannot be made."""
    try:
        if isinstance(like, MutableSequence):
            clone = copy.copy(like)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _rule_for(elem: Any, rules: CollateFnMap | None) -> CollateFn | None:
    """The function for elements such as `elem`: by exact type first, then by subclass."""
    if rules is None:
        return None
    if type(elem) in rules:
        return rules[type(elem)]
    # A NumPy float is also a Python float; its dtype must survive.
    if rules is default_collate_fn_map and "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        if isinstance(elem, numpy.ndarray):
            return collate_numpy_array_fn
        if isinstance(elem, (numpy.bool_, numpy.number, numpy.object_)):
            return collate_numpy_scalar_fn
    return next((rule for kind, rule in rules.items() if isinstance(elem, kind)), None)


def collate(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """Joins a batch by the rules of `collate_fn_map`, going into mappings and sequences.

    >>> rules = {str: lambda batch, collate_fn_map: "".join(batch)}
    >>> collate([["a", "b"], ["c", "d"]], collate_fn_map=rules)
    ['ac', 'bd']
    """
    elem = batch[0]
    rule = _rule_for(elem, collate_fn_map)
    if rule is not None:
        return rule(batch, collate_fn_map=collate_fn_map)
    if isinstance(elem, Mapping):
        items = {
            key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map)
            for key in elem
        }
        return _rebuild_mapping(elem, items)
    if isinstance(elem, tuple) and hasattr(elem, "_fields"):
        return type(elem)(*[collate(s, collate_fn_map=collate_fn_map) for s in zip(*batch)])
    if isinstance(elem, Sequence):
        if any(len(sample) != len(elem) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        joined = [collate(samples, collate_fn_map=collate_fn_map) for samples in zip(*batch)]
        return joined if isinstance(elem, tuple) else _rebuild_sequence(elem, joined)
    raise TypeError(default_collate_err_msg_format.format(type(elem)))


def collate_tensor_fn(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """Stacks tensors."""
    if batch[0].layout != flambeau.strided:
        raise RuntimeError(
            "Batches of sparse tensors are not currently supported by the default collate_fn; "
            "please provide a custom collate_fn to handle them appropriately."
        )
    return flambeau.stack(batch, 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """Stacks NumPy arrays of numbers."""
    if np_str_obj_array_pattern.search(batch[0].dtype.str):
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([flambeau.as_tensor(a) for a in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """A tensor of NumPy numbers, of their dtype."""
    return flambeau.as_tensor(batch)


def collate_float_fn(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """A tensor of Python floats keeps their precision."""
    return flambeau.tensor(batch, dtype=flambeau.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """A tensor of Python integers or bools."""
    return flambeau.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: CollateFnMap | None = None) -> Any:
    """Strings stay as they are."""
    return batch


default_collate_fn_map: CollateFnMap = {
    flambeau.Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """Joins samples to a batch by the default rules.

    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
