"""What transformers imports from torch's compiler to build attention masks.

>>> from flambeau._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
>>> with TransformGetItemToIndex():
...     torch.arange(3)[torch.tensor(1)]
tensor(1)
"""

from __future__ import annotations

import contextlib


class TransformGetItemToIndex(contextlib.ContextDecorator):
    """A block in which indices may be tensors; here they may be everywhere."""

    def __enter__(self) -> TransformGetItemToIndex:
        return self

    def __exit__(self, *error: object) -> None:
        return None
