"""Tools around training: data loading, hooks, checkpoints of memory.

>>> torch.utils.data.DataLoader([1, 2], batch_size=2)  # doctest: +ELLIPSIS
<flambeau.utils.data.dataloader.DataLoader object at 0x...>
"""
