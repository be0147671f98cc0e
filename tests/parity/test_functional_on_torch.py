"""nn.functional beside torch's: signatures, torch's own samples (with gradients), wrong calls."""

import dataclasses
import inspect
import warnings

import pytest

torch = pytest.importorskip("torch")

import numpy
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import SampleInput

import flambeau

OURS, THEIRS = flambeau.nn.functional, torch.nn.functional
# Functions for tensors with scales per block, which only GPUs have.
UNSUPPORTED = {"grouped_mm", "scaled_grouped_mm", "scaled_mm"}
OPS = [
    op
    for op in op_db
    if op.name.startswith("nn.functional.") and op.name.rpartition(".")[2] not in UNSUPPORTED
]


def name_of(op):
    return op.name.removeprefix("nn.functional.")


def convert(value, memo):
    """A torch value as one of flambeau; a tensor that occurs twice stays one tensor."""
    if isinstance(value, torch.Tensor):
        if id(value) not in memo:
            array = value.detach().numpy().copy()
            memo[id(value)] = flambeau.from_numpy(array).requires_grad_(value.requires_grad)
        return memo[id(value)]
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return flambeau.nn.LinearCrossEntropyOptions(**fields)
    if isinstance(value, torch.dtype):
        return getattr(flambeau, str(value).removeprefix("torch."))
    if isinstance(value, torch.nn.Module):
        return getattr(flambeau.nn, type(value).__name__)()
    if callable(value):
        return getattr(OURS, value.__name__)
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        return type(value)(convert(part, memo) for part in value)
    return value


def tensors(value):
    if hasattr(value, "requires_grad"):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors(part)]
    return []


def run(library, function, arguments, options):
    """Outputs and gradients as NumPy arrays, or the class and first line of an error."""
    library.manual_seed(0)
    try:
        outputs = tensors(function(*arguments, **options))
        leaves = [x for x in tensors([*arguments, *options.values()]) if x.requires_grad]
        differentiable = [output for output in outputs if output.requires_grad]
        gradients = []
        if differentiable and leaves:
            generator = numpy.random.default_rng(1)
            cotangents = [
                library.from_numpy(generator.standard_normal(tuple(o.shape))).to(o.dtype)
                for o in differentiable
            ]
            gradients = library.autograd.grad(differentiable, leaves, cotangents, allow_unused=True)
    except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
        return {"raised": f"{type(error).__name__}: {error}".split("\n")[0]}
    shown = [output.detach().numpy() for output in outputs]
    # A gradient that is None is one of zeros.
    slopes = [
        numpy.zeros(tuple(leaf.shape)) if g is None else g.detach().numpy()
        for leaf, g in zip(leaves, gradients)
    ]
    return {"output": shown, "gradient": slopes}


def assert_same(ours, theirs, what):
    if isinstance(theirs, numpy.ndarray):
        assert ours.shape == theirs.shape, what
        tolerance = 1e-9 if theirs.dtype == numpy.float64 else 5e-5
        if what.startswith("hardsigmoid"):  # torch divides by 6 in single precision
            tolerance = max(tolerance, 1e-7)
        numpy.testing.assert_allclose(ours, theirs, tolerance, tolerance, err_msg=what)
    elif isinstance(theirs, dict):
        assert ours.get("raised") == theirs.get("raised"), what
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{what}: {key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), what
        for place, (a, b) in enumerate(zip(ours, theirs)):
            assert_same(a, b, f"{what}[{place}]")
    else:
        assert ours == theirs, what


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("op", OPS, ids=[f"{name_of(o)}-{o.variant_test_name}" for o in OPS])
@pytest.mark.filterwarnings("ignore")
def test_samples(op, dtype):
    if dtype not in op.dtypes:
        pytest.skip("not a dtype of this function")
    name = name_of(op)
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd))
    for sample in samples[:: len(samples) // 25 + 1]:
        arguments, options = [sample.input, *sample.args], sample.kwargs
        memo = {}
        our_arguments = [convert(a, memo) for a in arguments]
        our_options = {key: convert(value, memo) for key, value in options.items()}
        theirs = run(torch, getattr(THEIRS, name), arguments, options)
        ours = run(flambeau, getattr(OURS, name), our_arguments, our_options)
        assert_same(ours, theirs, f"{name}{SampleInput.summary(sample)}")


PUBLIC = sorted(
    name
    for name, value in vars(THEIRS).items()
    if callable(value)
    and not name.startswith("_")
    and getattr(value, "__module__", "") in (THEIRS.__name__, None, "torch._C._nn")
    and name not in UNSUPPORTED | {"ScalingType", "SwizzleType", "assert_int_or_pair"}
)


@pytest.mark.parametrize("name", PUBLIC)
def test_signature(name):
    ours, theirs = getattr(OURS, name), getattr(THEIRS, name)
    try:
        expected = list(inspect.signature(theirs).parameters.values())
    except ValueError:
        return  # a builtin function without one
    if expected[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return
    got = list(inspect.signature(ours).parameters.values())
    assert [(p.name, p.kind, p.default) for p in got] == [
        (p.name, p.kind, p.default) for p in expected
    ]


# `x` is (4, 3), `y` holds the classes of its rows, `im` is (2, 3, 8, 8).
WRONG = """
gelu(x, approximate='foo')
softshrink(x, -1.0)
glu(x, 1)
glu(lib.tensor(1.0))
prelu(x, lib.zeros(2, 2))
prelu(x, lib.zeros(5))
prelu(lib.tensor(1.0), lib.zeros(2))
prelu(x, lib.zeros(3).double())
rrelu(x, 0.5, 0.1)
hardtanh(x, 2, 1)
celu(x, 0.0)
softplus(ints)
gelu(ints)
silu(ints)
elu(ints)
selu(ints)
mish(ints)
hardswish(ints)
hardsigmoid(ints)
logsigmoid(ints)
leaky_relu(ints)
rrelu(ints, training=True)
glu(ints)
hardshrink(ints)
softshrink(ints)
hardtanh(lib.tensor([True]))
softmax(x, 2)
softmax(ints, 0)
dropout(x, 2.0)
dropout(ints)
feature_alpha_dropout(lib.zeros(3), training=True)
dropout1d(lib.zeros(3))
dropout2d(lib.zeros(3))
cross_entropy(x, y[:3])
cross_entropy(x, lib.tensor([0, 1, 2, 5]))
cross_entropy(x, lib.tensor([0, 1, 2, -1]))
cross_entropy(x, y.float())
cross_entropy(x, y.int())
cross_entropy(x, y, weight=lib.ones(2))
cross_entropy(x, y, weight=lib.ones(3).double())
cross_entropy(x, lib.zeros(4, 3).long())
cross_entropy(x, x, ignore_index=1)
cross_entropy(x, x, weight=lib.ones(2))
cross_entropy(x, y, label_smoothing=2.0)
cross_entropy(x, y, reduction='foo')
cross_entropy(lib.tensor(1.0), y)
cross_entropy(x[0], y)
cross_entropy(im, lib.zeros(2, 8).long())
cross_entropy(im, lib.zeros(2, 8, 7).long())
cross_entropy(im[:, :, 0], lib.zeros(2, 7).long())
cross_entropy(im, lib.full((2, 8, 8), 3))
cross_entropy(x, y[:, None])
nll_loss(x, lib.tensor(0))
nll_loss(im, lib.zeros(2, 8, 8).long(), weight=lib.ones(2))
binary_cross_entropy(x - 5, x)
binary_cross_entropy(x.sigmoid(), x[:2])
binary_cross_entropy(x.sigmoid(), lib.ones(4, 3).long())
binary_cross_entropy_with_logits(x, lib.ones(4, 3).long())
binary_cross_entropy_with_logits(x, x[0])
binary_cross_entropy_with_logits(x, x, pos_weight=lib.ones(2))
mse_loss(x, lib.ones(2))
mse_loss(x, x, reduction='foo')
mse_loss(ints, ints)
mse_loss(x, x, weight=lib.ones(3))
mse_loss(x, x, weight=x, reduction='foo')
l1_loss(ints, ints)
smooth_l1_loss(x, x, beta=-1.0)
smooth_l1_loss(ints, ints)
huber_loss(x, x, delta=0.0)
kl_div(x, x, reduction='foo')
cosine_embedding_loss(x, x, lib.ones(2, 2))
cosine_embedding_loss(x[0], x[0], lib.ones(2))
cosine_embedding_loss(x, x, lib.tensor(1))
margin_ranking_loss(x, x, lib.ones(4))
multi_margin_loss(x, y[:3])
multi_margin_loss(x, y, p=3)
multi_margin_loss(x, y + 4)
multi_margin_loss(x, y, weight=lib.ones(2))
multilabel_margin_loss(x, y)
multilabel_margin_loss(x, lib.zeros(4, 3).long() + 5)
multilabel_margin_loss(x, lib.zeros(4, 3))
triplet_margin_loss(x, x[0], x)
triplet_margin_loss(x, x, x, margin=0.0)
poisson_nll_loss(x, x, reduction='foo')
gaussian_nll_loss(x, x, -x.abs())
gaussian_nll_loss(x, x, lib.ones(3, 2))
hinge_embedding_loss(x, x[:2])
ctc_loss(lib.zeros(5, 2, 4), lib.ones(2, 3).long(), lib.tensor([5, 6]), lib.tensor([3, 3]))
ctc_loss(lib.zeros(5, 2, 4), lib.ones(2, 3).long(), lib.tensor([5]), lib.tensor([3, 3]))
ctc_loss(lib.zeros(5, 2, 4), lib.ones(2, 3).long(), lib.tensor([5, 5]), lib.tensor([3, 4]))
ctc_loss(lib.zeros(5, 2, 4), lib.ones(2, 3).long(), lib.tensor([5, 5]), lib.tensor([3, 3]), blank=7)
linear(x, lib.zeros(2, 4))
linear(x, lib.zeros(2, 3), lib.zeros(3))
linear(x, lib.zeros(2, 3).double())
linear(x.double(), lib.zeros(2, 3), lib.zeros(2))
linear(lib.zeros(2, 2, 4), lib.zeros(2, 3))
linear(lib.zeros(2, 2, 4), lib.zeros(2, 3), lib.zeros(2))
linear(lib.tensor(1.0), lib.zeros(3, 2))
linear(x[0], lib.zeros(3, 2))
bilinear(x, x, lib.zeros(2, 3, 4))
bilinear(x, x[:2], lib.zeros(2, 3, 3))
bilinear(x, x, lib.zeros(2, 3, 3), lib.zeros(3))
bilinear(x, x[None], lib.zeros(2, 3, 3))
bilinear(x, x.double(), lib.zeros(2, 3, 3))
linear_cross_entropy(x, lib.zeros(5, 4), y)
linear_cross_entropy(im, lib.zeros(5, 4), y)
embedding(lib.tensor([5]), x)
embedding(lib.tensor([-1]), x)
embedding(lib.tensor([1.0]), x)
embedding(lib.tensor([1]), x[0])
embedding(lib.tensor([1]), x, padding_idx=5)
embedding_bag(lib.tensor([5]), x, lib.tensor([0]))
embedding_bag(lib.tensor([1]), x, lib.tensor([1]))
embedding_bag(lib.tensor([1]), x, lib.tensor([0, 2]))
embedding_bag(lib.tensor([1]), x)
embedding_bag(lib.tensor([[1]]), x, lib.tensor([0]))
embedding_bag(lib.tensor([[1]]), x, mode='foo')
one_hot(lib.tensor([1.0]))
one_hot(lib.tensor([-1]))
one_hot(lib.tensor([3]), 2)
one_hot(lib.zeros(0).long())
batch_norm(x, lib.zeros(4), lib.ones(4))
batch_norm(x, None, None)
batch_norm(x, lib.zeros(3), lib.ones(2))
batch_norm(x, lib.zeros(3), lib.ones(3), weight=lib.ones(2))
batch_norm(x[:1], None, None, training=True)
batch_norm(x, None, None, training=True, eps=0.0)
batch_norm(x.double(), lib.zeros(3), lib.ones(3))
layer_norm(x, (4,))
layer_norm(x, (3,), lib.ones(4))
layer_norm(x, (3,), None, lib.ones(4))
layer_norm(x, ())
layer_norm(x, 3)
layer_norm(x.double(), (3,), lib.ones(3))
rms_norm(x, (4,))
group_norm(x, 2)
group_norm(x[0], 2)
group_norm(im, 3, lib.ones(2))
instance_norm(im[:, :, :1, :1])
local_response_norm(x, 2)
normalize(x, dim=4)
conv2d(im, lib.zeros(4, 2, 3, 3))
conv2d(im, lib.zeros(4, 3, 9, 9))
conv2d(x, lib.zeros(4, 3, 3, 3))
conv2d(im, lib.zeros(4, 3, 3))
conv2d(im, lib.zeros(4, 3, 3, 3), lib.zeros(3))
conv2d(im, lib.zeros(4, 3, 3, 3), stride=0)
conv2d(im, lib.zeros(4, 3, 3, 3), stride=(1, 1, 1))
conv2d(im, lib.zeros(4, 3, 3, 3), padding=-1)
conv2d(im, lib.zeros(4, 3, 3, 3), dilation=0)
conv2d(im, lib.zeros(4, 3, 3, 3), groups=0)
conv2d(im, lib.zeros(4, 3, 3, 3), groups=2)
conv2d(im, lib.zeros(4, 1, 3, 3), groups=3)
conv2d(im, lib.zeros(4, 3, 3, 3), padding='foo')
conv2d(im, lib.zeros(4, 3, 3, 3), padding='same', stride=2)
conv2d(im, lib.zeros(4, 3, 3, 3).double())
conv2d(im, lib.zeros(4, 3, 3, 3), lib.zeros(4).double())
conv2d(im.double(), lib.zeros(4, 3, 3, 3))
conv2d(im.long(), lib.zeros(4, 3, 3, 3))
conv1d(im, lib.zeros(4, 3, 3))
conv_transpose2d(im, lib.zeros(4, 3, 3, 3))
conv_transpose2d(im, lib.zeros(3, 4, 3, 3), output_padding=1)
conv_transpose2d(im, lib.zeros(3, 4, 3, 3), lib.zeros(3))
conv_transpose2d(x, lib.zeros(3, 4, 3, 3))
conv_tbc(im, lib.zeros(3, 3, 3), lib.zeros(3))
max_pool2d(im, 9)
max_pool2d(im, 0)
max_pool2d(im, 2, padding=2)
max_pool2d(im, 2, padding=-1)
max_pool2d(im, 2, stride=0)
max_pool2d(im, (2, 2, 2))
max_pool2d(im, 2, stride=(1, 1, 1))
max_pool2d(im, 2, dilation=(1, 1, 1))
max_pool2d(x, 2)
max_pool2d(im, 2, dilation=0)
max_pool2d(lib.zeros(1, 0, 4, 4), 2)
max_pool1d(im, 2)
max_pool1d(im[0], 9)
max_pool1d(im[0], 2, padding=2)
max_pool1d(im[0], 0)
max_pool1d(im[0], 2, stride=0)
max_pool1d(im[0], (2, 2))
max_pool3d(x, 2)
max_pool3d(im, (2, 2))
max_pool3d(lib.zeros(1, 1, 2, 2, 2), 3)
avg_pool1d(im, 2)
avg_pool1d(x, 4)
avg_pool1d(x, (2, 2))
avg_pool2d(im, 9)
avg_pool2d(im, 2, stride=0)
avg_pool2d(im, 2, padding=2)
avg_pool2d(im, 2, divisor_override=0)
avg_pool2d(im, (2, 2, 2))
avg_pool2d(x, 2)
avg_pool3d(lib.zeros(1, 1, 2, 2, 2), 3)
avg_pool3d(im, (2, 2))
adaptive_avg_pool1d(im, 2)
adaptive_avg_pool1d(x, (2, 2))
adaptive_avg_pool2d(x, 2)
adaptive_avg_pool2d(im, (2, 2, 2))
adaptive_avg_pool2d(im, -1)
adaptive_avg_pool2d(im.long(), 2)
adaptive_avg_pool2d(lib.zeros(1, 1, 0, 2), 2)
adaptive_avg_pool3d(x, 2)
adaptive_avg_pool3d(im, (2, 2))
adaptive_max_pool2d(x, 2)
adaptive_max_pool2d(im, (2, 2, 2))
adaptive_max_pool3d(x, 2)
max_unpool2d(im, lib.zeros(2, 3, 8, 8), 2)
max_unpool2d(im, lib.zeros(2, 3, 8, 8).long() + 1000, 2)
max_unpool2d(im, lib.zeros(2, 3, 8, 7).long(), 2)
max_unpool2d(im, lib.zeros(2, 3, 8, 8).long(), 2, output_size=(3, 3))
fractional_max_pool2d(im, 2, output_size=8)
fractional_max_pool2d(im, 2)
lp_pool2d(im, 2, 9)
pad(im, (1, 1, 1))
pad(im, (1,) * 10)
pad(im, (-5, -5))
pad(im, (1, 1), mode='reflect')
pad(im, (8, 8, 8, 8), mode='reflect')
pad(x[0], (8, 8), mode='reflect')
pad(x, (3, 3), mode='reflect')
pad(im, (9, 9, 1, 1), mode='circular')
pad(im, (1, 1, 1, 1), mode='foo')
pad(im, (1, 1, 1, 1), mode='reflect', value=1.0)
pad(im, (1, 1), mode='replicate')
pad(im, (-9, -9, 1, 1), mode='circular')
pixel_shuffle(im, 2)
pixel_shuffle(x, 2)
pixel_shuffle(im, 0)
pixel_unshuffle(im, 3)
pixel_unshuffle(x, 3)
pixel_unshuffle(im, 0)
channel_shuffle(im, 2)
channel_shuffle(x, 2)
channel_shuffle(im, 0)
interpolate(im, size=(1, 2, 3))
interpolate(im, size=0)
interpolate(im, scale_factor=2, mode='foo')
interpolate(x, scale_factor=2)
interpolate(im)
interpolate(im, size=2, scale_factor=2)
interpolate(im, size=2, align_corners=True)
interpolate(im, size=2, mode='linear')
interpolate(im, scale_factor=(1, 2, 3))
interpolate(im, size=(2.5, 2))
interpolate(im, size=2, antialias=True)
interpolate(im, size=2, mode='lanczos')
grid_sample(im, lib.zeros(2, 4, 4, 3))
grid_sample(im, lib.zeros(1, 4, 4, 2))
grid_sample(im, lib.zeros(4, 4, 2))
grid_sample(im, lib.zeros(2, 4, 4, 2), mode='foo')
grid_sample(im, lib.zeros(2, 4, 4, 2), padding_mode='foo')
grid_sample(im, lib.zeros(2, 4, 4, 2).double())
grid_sample(lib.zeros(1, 1, 2, 2, 2), lib.zeros(1, 2, 2, 2, 3), mode='bicubic')
affine_grid(lib.zeros(2, 3), (1, 1, 2, 2))
affine_grid(lib.zeros(1, 2, 3).long(), (1, 1, 2, 2))
affine_grid(lib.zeros(1, 2, 3), (1, 1, 2))
unfold(x, 2)
unfold(im, 9)
unfold(im, 0)
unfold(im, 2, stride=0)
unfold(im, 2, dilation=0)
unfold(im, 2, padding=-1)
unfold(im, (2, 2, 2))
fold(lib.zeros(1, 12, 8), (4, 4), 2)
fold(lib.zeros(1, 11, 9), (4, 4), 2)
fold(lib.zeros(1, 12, 9, 1), (4, 4), 2)
fold(lib.zeros(1, 12, 9), (4, 4), 0)
pdist(im)
pdist(x, -1.0)
pairwise_distance(x, lib.zeros(2, 3))
cosine_similarity(x, lib.zeros(2, 3))
cosine_similarity(ints, ints, dim=0)
cosine_similarity(x, x, dim=3)
scaled_dot_product_attention(x, x, x.double())
scaled_dot_product_attention(x[0], x, x)
scaled_dot_product_attention(im, im, im, lib.ones(8, 8).long())
scaled_dot_product_attention(im, im, im, lib.ones(8, 8).double())
scaled_dot_product_attention(im, im, im, lib.ones(8, 7))
scaled_dot_product_attention(im, im, im, dropout_p=2.0)
""".strip().split("\n")


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_wrong_calls_raise_as_in_torch(call):
    outcomes = []
    for library in (torch, flambeau):
        names = {
            "x": library.arange(12).reshape(4, 3).float() / 6,
            "y": library.tensor([0, 1, 2, 0]),
            "im": library.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).float() / 100,
            "ints": library.tensor([1, 2]),
            "lib": library,
            "F": library.nn.functional,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                eval(f"F.{call}", names)
                outcomes.append(None)
            except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
                outcomes.append((type(error), str(error).split("\n")[0]))
    theirs, ours = outcomes
    assert theirs is not None, "torch takes it"
    assert ours == theirs
