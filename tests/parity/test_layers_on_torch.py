"""Every layer beside torch's: signature, printing, first parameters, state, output and gradients.

The cases are in layer_cases.py; both libraries start from the same seed and get the same numbers.
"""

import inspect
import warnings

import pytest

torch = pytest.importorskip("torch")

import numpy
from layer_cases import CASES

import flambeau

WITHOUT_FORWARD = {"Container", "LinearCrossEntropyOptions", "RNNBase"}
NAMES = sorted(set(flambeau.nn.modules.__all__) - WITHOUT_FORWARD)


def inputs_of(library, text, case):
    """The tensors that a case is called with, and those whose gradients are compared."""
    generator = numpy.random.default_rng(len(text))
    differentiable = []

    def from_numpy(array):
        return library.from_numpy(numpy.array(array))

    def leaf(array):
        differentiable.append(from_numpy(array).requires_grad_())
        return differentiable[-1] * 1  # not a leaf, so that it may be changed in place

    def normal(shape):
        return generator.standard_normal(shape).astype(numpy.float32)

    names = {
        "lib": library,
        "text": case,
        "f": lambda *shape: leaf(normal(shape)),
        "c": lambda *shape: from_numpy(normal(shape)),
        "p": lambda *shape: leaf(generator.uniform(0.1, 0.9, shape).astype(numpy.float32)),
        "i": lambda high, *shape: from_numpy(generator.integers(0, high, shape)),
        "sign": lambda *shape: from_numpy(2.0 * generator.integers(0, 2, shape) - 1).float(),
    }
    return names, differentiable


def tensors(value):
    """The tensors in nested tuples."""
    if hasattr(value, "requires_grad"):
        return [value]
    return [tensor for part in value for tensor in tensors(part)]


def run(library, text, inputs, training):
    """What a case looks like under one library, as texts and NumPy arrays."""
    names, leaves = inputs_of(library, text, text)
    library.manual_seed(0)
    layer = eval(f"nn.{text}", {"nn": library.nn, **names}).train(training)
    seen = {}
    lazy = text.startswith("Lazy")
    if not lazy:
        seen["printed"] = repr(layer)
        seen["first state"] = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
    arguments = eval(f"call({inputs})", {**names, "call": lambda *a: a})
    library.manual_seed(1)
    outputs = tensors(layer(*arguments))
    seen["output"] = [output.detach().numpy() for output in outputs]
    generator = numpy.random.default_rng(3)
    differentiable = [output for output in outputs if output.requires_grad]
    if differentiable:
        cotangents = [
            library.from_numpy(generator.standard_normal(tuple(o.shape))).to(o.dtype)
            for o in differentiable
        ]
        library.autograd.backward(differentiable, cotangents)
    wanted = [*leaves, *layer.parameters()]
    seen["gradients"] = [None if x.grad is None else x.grad.numpy() for x in wanted]
    seen["printed after"] = repr(layer)
    seen["state"] = {k: v.numpy() for k, v in layer.state_dict().items()}
    return seen


def assert_same(ours, theirs, what, exact=False):
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), what
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{what}: {key}", exact)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), what
        for place, (a, b) in enumerate(zip(ours, theirs)):
            assert_same(a, b, f"{what}[{place}]", exact)
    elif isinstance(theirs, numpy.ndarray) and not exact:
        assert ours is not None and ours.dtype == theirs.dtype and ours.shape == theirs.shape, what
        tolerance = 1e-10 if theirs.dtype == numpy.float64 else 3e-5
        numpy.testing.assert_allclose(ours, theirs, tolerance, tolerance, err_msg=what)
    elif isinstance(theirs, numpy.ndarray):
        numpy.testing.assert_array_equal(ours, theirs, err_msg=what)
    else:
        assert ours == theirs, what


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("text, inputs", CASES, ids=[f"{t}-{i}" for t, i in CASES])
@pytest.mark.filterwarnings("ignore")
def test_same_as_torch(text, inputs, training):
    theirs = run(torch, text, inputs, training)
    ours = run(flambeau, text, inputs, training)
    for what, value in theirs.items():
        assert_same(ours[what], value, what, exact=what == "first state")


def parameters_of(function):
    return [
        (p.name, p.kind, p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name != "args"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_same_signature_as_torch(name):
    ours, theirs = getattr(flambeau.nn, name), getattr(torch.nn, name)
    for method in ("__init__", "forward"):
        expected = parameters_of(getattr(theirs, method))
        if name == "Transformer" or "Layer" in name:  # the default activation is a function
            expected = [(n, k) for n, k, _ in expected]
            assert [(n, k) for n, k, _ in parameters_of(getattr(ours, method))] == expected
        else:
            assert parameters_of(getattr(ours, method)) == expected


def test_every_public_layer_of_torch_exists():
    theirs = set(torch.nn.modules.__all__)
    assert sorted(theirs - set(flambeau.nn.modules.__all__)) == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_cross_map_normalisation_has_values_of_torch(size):
    # Its gradient is that of the values, which torch's is not.
    data = numpy.random.default_rng(0).standard_normal((2, 7, 3, 3))
    theirs = torch.nn.CrossMapLRN2d(size, 0.1, 0.5, 2)(torch.from_numpy(data)).numpy()
    ours = flambeau.nn.CrossMapLRN2d(size, 0.1, 0.5, 2)(flambeau.from_numpy(data)).numpy()
    assert_same(ours, theirs, "output")


def test_packed_sequences_run_as_in_torch():
    lengths = [5, 3, 3, 1]
    data = numpy.random.default_rng(0).standard_normal((5, 4, 6)).astype(numpy.float32)
    results = []
    for library in (torch, flambeau):
        utils = library.nn.utils.rnn
        for kind in ("LSTM", "GRU", "RNN"):
            library.manual_seed(0)
            layer = getattr(library.nn, kind)(6, 3, 2, bidirectional=True)
            packed = utils.pack_padded_sequence(library.from_numpy(data), lengths)
            output, state = layer(packed)
            padded, _ = utils.pad_packed_sequence(output)
            results.append([t.detach().numpy() for t in tensors((padded, state))])
    half = len(results) // 2
    for theirs, ours in zip(results[:half], results[half:]):
        assert_same(ours, theirs, "packed")


def test_masks_of_attention():
    def attend(library, need_weights):
        library.manual_seed(0)
        layer = library.nn.MultiheadAttention(8, 2)
        x = library.from_numpy(
            numpy.random.default_rng(0).standard_normal((5, 3, 8)).astype(numpy.float32)
        )
        causal = library.nn.Transformer.generate_square_subsequent_mask(5)
        padding = library.tensor([[False] * 5, [False] * 4 + [True], [False] * 2 + [True] * 3])
        results = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for mask, pad, is_causal in (
                (causal, None, True),
                (causal, padding, False),
                (causal == 0, None, False),
                (None, padding, False),
            ):
                results.append(
                    layer(x, x, x, pad, need_weights, mask, is_causal=is_causal)[0].detach().numpy()
                )
        return results

    for need_weights in (True, False):
        assert_same(attend(flambeau, need_weights), attend(torch, need_weights), "attention")


def test_wrong_layers_raise_as_in_torch():
    calls = [
        "Conv2d(3, 4, 3, groups=2)",
        "Conv2d(4, 3, 3, groups=2)",
        "Conv2d(4, 4, 3, groups=0)",
        "Conv2d(4, 4, 3, 2, padding='same')",
        "ConvTranspose2d(4, 4, 3, padding_mode='reflect')",
        "ConvTranspose2d(1, 1, 3, stride=2)(lib.zeros(1, 1, 2, 2), output_size=(9, 9))",
        "ConvTranspose2d(1, 1, 3)(lib.zeros(1, 1, 2, 2), output_size=(9,))",
        "Dropout(1.5)",
        "Embedding(3, 2, padding_idx=3)",
        "Embedding.from_pretrained(lib.zeros(3))",
        "Embedding(3, 2)(lib.tensor([3]))",
        "EmbeddingBag(3, 2, mode='foo')(lib.tensor([[0]]))",
        "GroupNorm(2, 3)",
        "HuberLoss(delta='a')",
        "BatchNorm1d(3)(lib.zeros(3))",
        "BatchNorm2d(3)(lib.zeros(2, 3))",
        "BatchNorm1d(3)(lib.zeros(1, 3))",
        "BatchNorm1d(3)(lib.zeros(2, 4))",
        "InstanceNorm1d(3)(lib.zeros(3))",
        "InstanceNorm2d(3, affine=True)(lib.zeros(2, 4, 5, 5))",
        "Hardtanh(2.0, 1.0)",
        "Softmax2d()(lib.zeros(2))",
        "Unflatten(1, 3)",
        "Unflatten(1, (2, 'a'))",
        "LSTM(3, 4, proj_size=4)",
        "LSTM(3, 4, num_layers=0)",
        "LSTM(3, 0)",
        "LSTM(3.0, 4)",
        "LSTM(3, 4, bias=1)",
        "LSTM(3, 4, dropout=2)",
        "RNN(3, 4, nonlinearity='foo')",
        "GRU(3, 4, proj_size=2)",
        "LSTM(3, 4)(lib.zeros(2, 5))",
        "LSTM(3, 4)(lib.zeros(2, 5, 4))",
        "LSTM(3, 4)(lib.zeros(5))",
        "RNN(3, 4)(lib.zeros(5))",
        "GRU(3, 4)(lib.zeros(2, 2, 3), lib.zeros(2, 4))",
        "GRU(3, 4)(lib.zeros(2, 2, 3), lib.zeros(1, 3, 4))",
        "LSTM(3, 4)(lib.zeros(2, 2, 3), (lib.zeros(1, 2, 4), lib.zeros(1, 2, 3)))",
        "LSTM(3, 4)(lib.zeros(2, 2, 3).double())",
        "LSTMCell(3, 4)(lib.zeros(2, 2, 3))",
        "GRUCell(3, 4)(lib.zeros(2, 4))",
        "RNNCell(3, 4)(lib.zeros(2, 3), lib.zeros(3, 4))",
        "RNNCell(3, 4)(lib.zeros(2, 3), lib.zeros(2, 3))",
        "MultiheadAttention(0, 2)",
        "MultiheadAttention(5, 2)",
        "MultiheadAttention(4, 2)(lib.zeros(4), lib.zeros(4), lib.zeros(4))",
        "MultiheadAttention(4, 2)(lib.zeros(3, 1, 4), lib.zeros(3, 4), lib.zeros(3, 4))",
        "MultiheadAttention(4, 2)(*(lib.zeros(3, 1, 4),) * 3, attn_mask=lib.zeros(2, 2))",
        "MultiheadAttention(4, 2)(*(lib.zeros(3, 1, 4),) * 3, lib.zeros(2, 2) > 0)",
        "MultiheadAttention(4, 2)(*(lib.zeros(3, 1, 4),) * 3, attn_mask=lib.zeros(3, 3).long())",
        "MultiheadAttention(4, 2)(*(lib.zeros(3, 1, 4),) * 3, is_causal=True)",
        "Transformer(4, 2, 1, 1, 4)(lib.zeros(2, 1, 4), lib.zeros(2, 2, 4))",
        "Transformer(4, 2, 1, 1, 4)(lib.zeros(2, 1, 3), lib.zeros(2, 1, 3))",
        "TransformerEncoderLayer(4, 2, 4, activation='foo')",
        "MultiMarginLoss(p=3)",
        "TripletMarginLoss(margin=0)",
        "FractionalMaxPool2d(2)",
        "FractionalMaxPool2d(2, 3, 0.5)",
        "FractionalMaxPool2d(2, output_ratio=2.0)",
        "FractionalMaxPool3d(0, output_size=2)",
        "MaxUnpool2d(2)(lib.zeros(1, 1, 2, 2), lib.zeros(1, 1, 2, 2).long(), output_size=(9, 9))",
        "AdaptiveLogSoftmaxWithLoss(4, 10, [])",
        "AdaptiveLogSoftmaxWithLoss(4, 10, [5, 3])",
        "AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.zeros(2, 4), lib.tensor([1, 10]))",
        "AdaptiveLogSoftmaxWithLoss(4, 10, [3])(lib.zeros(2, 4), lib.tensor([1]))",
        "CircularPad1d(1)(lib.zeros(2))",
        "CircularPad2d(1)(lib.zeros(2, 2))",
        "LazyLinear(2)(lib.zeros(2, 3)).backward()",
        "LazyConv2d(2, 3)(lib.zeros(2, 3))",
        "Linear(3, 2)(lib.zeros(2, 4))",
        "Linear(3, 2)(lib.zeros(2, 3).double())",
        "Linear(3, 2)('a')",
        "Linear(3)",
        "Bilinear(0, 2, 3)",
    ]
    for call in calls:
        outcomes = []
        for library in (torch, flambeau):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    eval(f"nn.{call}", {"nn": library.nn, "lib": library})
                    outcomes.append(None)
                except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
                    outcomes.append((type(error), str(error).split("\n")[0]))
        theirs, ours = outcomes
        assert theirs is not None, f"{call}: torch takes it"
        assert ours == theirs, call
