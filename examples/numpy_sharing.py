"""Tensors and NumPy arrays: when they share memory, when they copy, and how types convert.

Run it with `flambeau run examples/numpy_sharing.py`.
"""

import numpy as np
import torch


def section(title):
    print(f"-- {title}")


def sharing():
    """from_numpy and numpy() hand over the memory itself: both sides see each write."""
    array = np.arange(6.0).reshape(2, 3)
    tensor = torch.from_numpy(array)
    print(tensor)
    array[0, 0] = 100
    tensor[1, 2] = -1
    print(array)
    print(tensor)
    back = tensor.numpy()
    print("same memory:", np.shares_memory(array, back), back.dtype, back.flags["OWNDATA"])
    tensor.mul_(2)  # in place: the array follows
    print(array.sum(), tensor.sum())
    tensor = tensor * 2  # out of place: a new tensor, the array stays
    print(array.sum(), tensor.sum())


def strides():
    """Views keep their strides on the way over, so that even a transpose is shared."""
    array = np.zeros((3, 4), dtype=np.float32)
    view = torch.from_numpy(array[:, ::2].T)
    print(tuple(view.shape), view.stride(), view.is_contiguous())
    view.fill_(7)
    print(array)
    tensor = torch.arange(12).view(3, 4)
    column = tensor.t()[1].numpy()
    column += 50
    print(tensor, column.strides)


def copies():
    """tensor() always copies; as_tensor() copies only if the type has to change."""
    array = np.array([1, 2, 3], dtype=np.int32)
    copied, shared = torch.tensor(array), torch.as_tensor(array)
    converted = torch.as_tensor(array, dtype=torch.float32)
    array[:] = 9
    print(copied, shared, converted)


def types():
    """Each side's type has its partner on the other; bfloat16 has none in NumPy."""
    for name in ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8"]:
        tensor = torch.from_numpy(np.ones(2, dtype=name))
        print(f"{name:8s} -> {tensor.dtype!s:14s} {tensor.element_size()} bytes, {tensor.type()}")
    print(torch.from_numpy(np.array([True, False])), torch.from_numpy(np.array([1 + 2j])))
    try:
        torch.ones(2, dtype=torch.bfloat16).numpy()
    except TypeError as error:
        print("TypeError:", str(error).splitlines()[0])
    try:
        torch.from_numpy([1, 2])
    except TypeError as error:
        print("TypeError:", str(error).splitlines()[0])


def protocols():
    """NumPy functions take tensors, operators mix both, and a gradient must be let go first."""
    tensor = torch.tensor([1.0, 4.0, 9.0])
    print(np.concatenate([tensor, np.zeros(2)]), np.allclose(tensor, [1, 4, 9]))
    print(np.asarray(tensor).dtype, np.sqrt(tensor.numpy()))
    print(torch.tensor([np.float32(1.5), np.float32(2.5)]), torch.tensor(np.float64(0.25)))
    print(tensor + np.float32(1), tensor * torch.from_numpy(np.array([2.0, 3.0, 4.0])))
    weight = torch.ones(3, requires_grad=True)
    try:
        weight.numpy()
    except RuntimeError as error:
        print("RuntimeError:", str(error).splitlines()[0])
    print(weight.detach().numpy(), tensor.tolist(), tensor[0].item())


def exchange():
    """DLPack is the exchange of memory between libraries, without NumPy being special."""
    array = np.linspace(0, 1, 5)
    tensor = torch.from_dlpack(array)
    array[0] = 8
    print(tensor)
    other = np.from_dlpack(torch.arange(4))
    print(other, other.dtype)


def main():
    for part in (sharing, strides, copies, types, protocols, exchange):
        section(part.__name__)
        part()


if __name__ == "__main__":
    main()
