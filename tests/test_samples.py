"""Properties that every op has, each tested by one body over all sample calls (tests/samples):
values equal NumPy's, gradients equal differences, memory layout does not matter, shapes are known
without computing, float32 agrees with float64. An op without a sample fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from samples import Sample, all_samples
from samples.operands import scattered
from samples.pointwise import numpy_reference

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck
from flambeau.ops.launches import record
from flambeau.ops.registry import OPS

SAMPLES = all_samples()
POINTWISE = [s for s in SAMPLES if s.number == 0 and type(OPS.get(s.op)).__name__ == "Pointwise"]
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)
every_pointwise = pytest.mark.parametrize("sample", POINTWISE, ids=str)

# what cannot be known without looking at the values
DATA_DEPENDENT = frozenset(
    "nonzero argwhere masked_select unique unique_consecutive bincount histogram histogramdd equal "
    "allclose segment_reduce cov-1 getitem-4 getitem-5 nn.functional.gaussian_nll_loss".split()
)
# ops that read memory in the order in which it lies
LAYOUT_DEPENDENT = frozenset(
    "as_strided as_strided_copy view_as_complex view_as_complex_copy".split()
)

# where an operand is a constant by definition, the operands that gradients are taken by
MOVING = {
    "igamma": ["positive_vector"],
    "igammac": ["positive_vector"],
    "special_zeta": ["positive_vector"],
    "rrelu_with_noise": ["x"],
    "nn.functional.batch_norm-1": ["image", "channel_weights", "channels"],
}
# what torch does not differentiate either: asked for, it raises this
NOT_DIFFERENTIABLE = frozenset(
    "geqrf linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve heaviside floor_divide "
    "_reflected_floor_divide view-2".split()
)
# what takes the place of an operand and does not follow it: a random number drawn over it
ZERO_BY_RULE = frozenset(["_independent"])
# beginnings of names of ops that no sample reaches, and where they are tested instead
ELSEWHERE = (
    "_draw_",  # random numbers: test_random_streams, test_random_ops
    "blank",  # memory for zeros, ones ...: every test
    "take_maxima",  # the second derivative of max pooling: test_gradients
    "_segment_reduce",  # segment_reduce
    "recurrent_",  # nn.LSTM, nn.GRU, nn.RNN: test_layers
    "steps_apart",  # the same
    "_batch_norm_with_update",  # native_batch_norm with one more result
    "native_dropout",  # random; its gradient is one product: test_normalization
)
NO_SECOND_DERIVATIVE = frozenset(["nn.functional.ctc_loss"])


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Deprecated functions have samples too; their warnings are tested elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def tensors_of(result: Any) -> list[Any]:
    """The tensors in what an op returned."""
    if isinstance(result, (tuple, list)):
        return [tensor for item in result for tensor in tensors_of(item)]
    return [result] if isinstance(result, torch.Tensor) else []


def differentiable(tensor: Any) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def assert_same(found: Any, expected: Any, **tolerances: float) -> None:
    """Equal types, shapes and values; numbers are compared as they are."""
    if not isinstance(expected, (tuple, list, torch.Tensor)):
        assert found == expected
    pairs = list(zip(tensors_of(found), tensors_of(expected), strict=True))
    for a, b in pairs:
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(
            a.detach().resolve_conj().numpy(), b.detach().resolve_conj().numpy(), **tolerances
        )


@every_pointwise
def test_values_of_numpy(sample: Sample) -> None:
    reference = numpy_reference(sample.op)
    if reference is None:
        pytest.skip("nothing in NumPy or SciPy means the same")
    operands = sample.tensors()
    found = sample.call(*operands).resolve_conj().numpy()
    np.testing.assert_allclose(found, reference(*[t.numpy() for t in operands]), rtol=1e-12)


def with_gradients(sample: Sample) -> tuple[Any, list[Any]]:
    """The sample as a function of its differentiable operands, giving differentiable results."""
    operands = sample.tensors()
    names = MOVING.get(str(sample), sample.operands)
    moves = [differentiable(t) and name in names for name, t in zip(sample.operands, operands)]
    moving = [t.requires_grad_() for t, move in zip(operands, moves) if move]

    def function(*values: Any) -> Any:
        given = iter(values)
        arguments = [next(given) if move else t for t, move in zip(operands, moves)]
        return tuple(t for t in tensors_of(sample.call(*arguments)) if t.requires_grad)

    return function, moving


@every_sample
def test_gradients(sample: Sample) -> None:
    """First and second derivatives against differences of the function and of the first."""
    if str(sample) in NOT_DIFFERENTIABLE or sample.op in ZERO_BY_RULE:
        pytest.skip("has no derivative: see test_what_has_no_derivative_says_so")
    function, moving = with_gradients(sample)
    results = function(*moving)
    if not results:
        op = OPS.get(sample.op)
        assert not moving or op is None or op.rules is None
        pytest.skip("not differentiable")
    assert gradcheck(function, moving)
    if str(sample) not in NO_SECOND_DERIVATIVE:
        assert gradgradcheck(function, moving)


@every_sample
def test_what_has_no_derivative_says_so(sample: Sample) -> None:
    first, second = str(sample) in NOT_DIFFERENTIABLE, str(sample) in NO_SECOND_DERIVATIVE
    if str(sample) == "view-2" or not first and not second:
        pytest.skip("has its derivatives")
    function, moving = with_gradients(sample)
    with pytest.raises((RuntimeError, NotImplementedError), match="not implemented"):
        for _ in range(1 + second):
            total = sum(t.abs().sum() for t in function(*moving))
            grads = torch.autograd.grad(total, moving, create_graph=second)
            function, second = lambda *_, grads=grads: grads, False


@every_sample
def test_memory_layout_does_not_matter(sample: Sample) -> None:
    if sample.op in LAYOUT_DEPENDENT:
        pytest.skip("reads memory as it lies")
    operands = sample.tensors()
    expected = sample.call(*operands)
    found = sample.call(*[scattered(t) for t in operands])
    assert_same(found, expected, rtol=1e-12, atol=1e-14)


@every_sample
def test_shapes_without_computing(sample: Sample) -> None:
    """The meta device answers with the same types, shapes and strides."""
    if not DATA_DEPENDENT.isdisjoint((sample.op, str(sample))) or not sample.operands:
        pytest.skip("depends on values")
    operands = sample.tensors()
    expected = tensors_of(sample.call(*operands))
    found = tensors_of(sample.call(*[t.to("meta") for t in operands]))
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape, a.device.type) == (b.dtype, b.shape, "meta")


@every_sample
def test_single_precision(sample: Sample) -> None:
    """float32 and complex64 give what float64 and complex128 give, in their own type."""
    if str(sample) == "view-2":
        pytest.skip("reads the bits")
    single = {torch.float64: torch.float32, torch.complex128: torch.complex64}
    operands = sample.tensors()
    expected = sample.call(*operands)
    found = sample.call(*[t.to(single.get(t.dtype, t.dtype)) for t in operands])
    for a, b in zip(tensors_of(found), tensors_of(expected), strict=True):
        assert a.dtype in (b.dtype, single.get(b.dtype)) and a.shape == b.shape
        np.testing.assert_allclose(
            a.resolve_conj().numpy(), b.resolve_conj().numpy(), rtol=2e-4, atol=2e-5
        )


@every_pointwise
def test_empty_and_single_elements(sample: Sample) -> None:
    operands = sample.tensors()
    whole = sample.call(*operands)
    empty = sample.call(*[t.reshape(-1)[:0] for t in operands])
    assert (empty.shape, empty.dtype) == ((0,), whole.dtype)
    one = sample.call(*[t[(-1,) * t.ndim] for t in operands])
    assert one.shape == ()
    np.testing.assert_allclose(
        one.resolve_conj().numpy(), whole[(-1,) * whole.ndim].resolve_conj().numpy(), rtol=1e-13
    )


@every_pointwise
def test_in_place_form(sample: Sample) -> None:
    """`x.op_(y)` leaves in `x` what `op(x, y)` returns, and is refused where that cannot be."""
    op = OPS[sample.op]
    form = OPS.get(op.name + "_")
    if form is None or type(form).__name__ != "Pointwise" or op.reflected:
        pytest.skip("no in-place form")
    first, *rest = sample.tensors()
    expected = sample.call(first, *rest)
    static = sample_options(sample)
    if expected.shape != first.shape or not torch.can_cast(expected.dtype, first.dtype):
        with pytest.raises(RuntimeError):
            form.call(first, *rest, **static)
        return
    version = first._version
    assert form.call(first, *rest, **static) is first
    assert first._version == version + 1
    assert_same(first, expected.to(first.dtype), rtol=1e-14)


def sample_options(sample: Sample) -> dict[str, Any]:
    from samples.pointwise import STATIC

    return STATIC.get(sample.op, {})


def test_every_op_has_a_sample() -> None:
    """Public ops have samples of their own; the others are run by some sample, one way or back."""
    named = {sample.op.removeprefix("nn.functional.") for sample in SAMPLES}
    with record() as kernels:
        for sample in SAMPLES:
            sample.call(*sample.tensors())
            function, moving = with_gradients(sample)
            results = [t for t in function(*moving) if not t.is_complex()]
            if moving and results and str(sample) not in NOT_DIFFERENTIABLE:
                sum(t.sum() for t in results).backward()
    ran = {launch.op for launch in kernels.log}
    public, internal = [], []
    for name, op in OPS.items():
        in_place = type(op).__name__ in ("Pointwise", "InPlaceUpdate")
        base = name.removesuffix("_") if in_place else name
        if name.startswith(ELSEWHERE) or {name, base} & named or {name, base, name + "_"} & ran:
            continue
        (public if op.public or op.methods else internal).append(name)
    assert public == [], public
    assert internal == [], " ".join(internal)
