"""flambeau.core.strides against torch, on random tensors made by permuting, slicing, expanding.

The seeds are fixed, so every run compares the same tensors.
"""

import random

import pytest

torch = pytest.importorskip("torch")

from flambeau.core import errors, layout, shape

SHAPES = [(), (1,), (3,), (0,), (2, 3), (1, 3), (3, 1), (1, 1), (2, 2), (2, 0, 3), (2, 1, 3)]
SHAPES += [(2, 3, 4), (2, 3, 2, 2), (2, 1, 2, 2), (2, 3, 1, 1), (1, 3, 2, 1), (2, 2, 3, 1, 2)]


def outcome(call):
    """What a call gives: its value, or its exception's class and first line."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - every class is compared
        return type(error), str(error).split("\n")[0]


def random_tensor(rng, sizes=None):
    """A tensor with permuted, sliced, expanded or channels-last strides."""
    sizes = rng.choice(SHAPES) if sizes is None else sizes
    made = list(sizes)
    stretched = []
    for dim, size in enumerate(sizes):
        choice = rng.random()
        if choice < 0.12 and size > 0:
            made[dim], stretched = 1, [*stretched, dim]
        elif choice < 0.24:
            made[dim] = size * 2
    order = list(range(len(made)))
    if rng.random() < 0.6:
        rng.shuffle(order)
    tensor = torch.empty([made[dim] for dim in order])
    if tensor.ndim == 4 and rng.random() < 0.4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    tensor = tensor.permute([order.index(dim) for dim in range(len(order))])
    for dim, size in enumerate(sizes):
        if dim not in stretched and made[dim] != size:
            tensor = tensor.narrow(dim, 0, size)
            if rng.random() < 0.5 and size > 0 and made[dim] == 2 * size:
                tensor = tensor.as_strided(
                    tensor.shape,
                    [s * (2 if d == dim else 1) for d, s in enumerate(tensor.stride())],
                )
    return tensor.expand(sizes)


def geometry(tensor):
    return tuple(tensor.shape), tensor.stride()


def test_expand():
    rng = random.Random(2)
    for _ in range(600):
        tensor = random_tensor(rng)
        target = [rng.choice((size, size, -1, 3)) for size in tensor.shape]
        target = [rng.choice((1, 2, 0, -1)) for _ in range(rng.randint(0, 2))] + target
        target = target[rng.random() < 0.1 :]
        ours = outcome(lambda: shape.expand_strides(*geometry(tensor), target))  # noqa: B023
        theirs = outcome(lambda: geometry(tensor.expand(target)))  # noqa: B023
        if isinstance(theirs[0], tuple) and -1 in theirs[0]:
            continue  # torch lets a negative size through when the tensor is empty
        assert ours == theirs, (geometry(tensor), target)
    assert outcome(lambda: shape.expand_strides((3,), (1,), (2, -2))) == outcome(
        lambda: torch.empty(3).expand(2, -2)
    )
    assert outcome(lambda: shape.expand_strides((1, 3), (3, 1), (-2, 3))) == outcome(
        lambda: torch.empty(1, 3).expand(-2, 3)
    )


def factorisations(rng, numel):
    """A random shape with `numel` elements, ones included."""
    sizes = []
    while numel > 1:
        factor = rng.choice([each for each in range(2, numel + 1) if numel % each == 0])
        sizes.append(factor)
        numel //= factor
    for _ in range(rng.randint(0, 2)):
        sizes.insert(rng.randint(0, len(sizes)), 1)
    return tuple(sizes)


def test_view_strides():
    rng = random.Random(3)
    views = 0
    for _ in range(1500):
        tensor = random_tensor(rng)
        if tensor.numel() == 0:
            target = rng.choice([tuple(tensor.shape), (0,), (2, 0), (0, 3), (4, 0, 2, 3)])
        else:
            target = factorisations(rng, tensor.numel())
        ours = shape.view_strides(*geometry(tensor), target)
        theirs = outcome(lambda: tensor.view(target).stride())  # noqa: B023
        if ours is None:
            error = errors.incompatible_view(*geometry(tensor), target)
            assert theirs == (RuntimeError, str(error).split("\n")[0])
        else:
            assert ours == theirs, (geometry(tensor), target)
            views += 1
    assert 300 < views < 1450


# -- strides ---------------------------------------------------------------------------------------


def test_predicates():
    rng = random.Random(4)
    for _ in range(1500):
        tensor = random_tensor(rng)
        pair = geometry(tensor)
        assert shape.is_contiguous(*pair) == tensor.is_contiguous()
        for ndim, form in ((4, torch.channels_last), (5, torch.channels_last_3d)):
            if tensor.ndim == ndim:
                ours = shape.is_channels_last(*pair)
                assert ours == tensor.is_contiguous(memory_format=form), pair
        assert shape.dense_strides(*pair) == torch.empty_like(tensor).stride(), pair
        dense = torch.ops.aten.is_non_overlapping_and_dense(tensor)
        assert shape.is_non_overlapping_and_dense(*pair) == dense, pair
        if tensor.ndim in (4, 5):
            suggested = torch._prims_common.suggest_memory_format(tensor)
            expected = suggested is not torch.contiguous_format
            assert shape.suggests_channels_last(*pair) == expected, pair
        refused = outcome(lambda: tensor.add_(1).shape)  # noqa: B023
        overlap = str(errors.written_overlap())
        assert shape.is_expanded(*pair) == (refused == (RuntimeError, overlap)), pair


def test_new_strides():
    formats = [layout.contiguous_format, layout.channels_last, layout.channels_last_3d]
    for sizes in [*SHAPES, (2, 0, 3, 4), (2, 3, 0, 4, 5)]:
        for form in formats:
            theirs = getattr(torch, form.name)
            expected = outcome(lambda: torch.empty(sizes, memory_format=theirs).stride())  # noqa: B023
            ours = outcome(lambda: shape.format_strides(sizes, form))  # noqa: B023
            assert ours == expected


def test_overlap_and_extent():
    """Against the plain definition: list every element's offset."""
    rng = random.Random(5)
    for _ in range(500):
        sizes = tuple(rng.randint(0, 3) for _ in range(rng.randint(0, 3)))
        strides = tuple(rng.choice((0, 1, 1, 2, 3, 4, 6, 9)) for _ in sizes)
        offsets = [0]
        for size, stride in zip(sizes, strides, strict=True):
            offsets = [base + step * stride for base in offsets for step in range(size)]
        extent = max(offsets) - min(offsets) + 1 if offsets else 0
        assert shape.storage_extent(sizes, strides) == extent
        if len(set(offsets)) != len(offsets):
            assert shape.may_overlap(sizes, strides)
        if shape.is_expanded(sizes, strides):
            assert shape.may_overlap(sizes, strides)
    assert not shape.may_overlap((2, 3, 4), (3, 1, 6))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_elementwise_strides(count):
    rng = random.Random(6 + count)
    functions = {1: torch.neg, 2: torch.add, 3: torch.addcmul}
    plain = 0
    for _ in range(1500):
        sizes = rng.choice(SHAPES)
        tensors = []
        for _ in range(count):
            own = list(sizes)
            if rng.random() < 0.4:
                own = [1 if rng.random() < 0.3 else size for size in own][rng.randint(0, 1) :]
            tensors.append(random_tensor(rng, tuple(own)))
        if count > 1 and rng.random() < 0.2:
            tensors = tensors[:1] * count
        result = functions[count](*tensors)
        ours = shape.elementwise_strides(
            tuple(result.shape), [geometry(tensor) for tensor in tensors]
        )
        assert ours == result.stride(), [geometry(tensor) for tensor in tensors]
        plain += ours == shape.contiguous_strides(result.shape)
    assert plain < 1300


def test_collapse():
    """Every loop nest visits the same offsets in the same order as before."""

    def offsets(sizes, strides):
        result = [0]
        for size, stride in zip(sizes, strides, strict=True):
            result = [base + step * stride for base in result for step in range(size)]
        return result

    rng = random.Random(9)
    for _ in range(500):
        sizes = rng.choice(SHAPES)
        operands = [random_tensor(rng, sizes).stride() for _ in range(rng.randint(1, 3))]
        new_sizes, new_operands = shape.collapse(sizes, operands)
        assert len(new_operands) == len(operands)
        for before, after in zip(operands, new_operands, strict=True):
            assert offsets(sizes, before) == offsets(new_sizes, after)
        if 0 in sizes:
            assert new_sizes == (0,)
        else:
            assert 1 not in new_sizes
            assert shape.collapse(new_sizes, new_operands) == (new_sizes, new_operands)
    assert shape.collapse((2, 3, 4), [(12, 4, 1)]) == ((24,), ((1,),))
    assert shape.collapse((1, 1), [(1, 1)]) == ((), ((),))
