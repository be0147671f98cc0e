import torch, torch.nn as nn

print(
    torch.tensor([1e-5, 1.0, 1e5]),
    torch.tensor([1e-10, 1.0]),
    torch.tensor([123456.789]),
    torch.tensor([0.00001]),
    torch.tensor([1.0, 2.0, 3.0]),
    torch.tensor([-1.5, 2.25]),
    torch.tensor([1e10, 1.0]),
    torch.tensor(float("nan")),
    torch.tensor([float("inf"), 1.0]),
)
print(
    torch.ones(2, 2, dtype=torch.float64),
    torch.ones(2, dtype=torch.half),
    torch.zeros(0, 3),
    torch.zeros(2, 0, dtype=torch.int),
    torch.tensor([[True], [False]]),
    torch.tensor([1, -20, 300]),
    torch.tensor([255], dtype=torch.uint8),
    torch.ones(1, requires_grad=True),
    torch.ones(2, requires_grad=True) * 2,
    torch.tensor([1 + 1j, -2.5j]),
)
torch.manual_seed(0)
print(torch.randn(3, 4))
print(torch.randn(2, 3, 4))
print(torch.randn(100, 100))
print(torch.rand(1100))
print(torch.zeros(3, 1, 500).shape, torch.zeros(20, 60))
torch.set_printoptions(precision=2, sci_mode=False, linewidth=60)
print(torch.randn(4, 5))
torch.set_printoptions(profile="full")
torch.set_printoptions(profile="default")
print(torch.randn(2))
torch.set_printoptions(threshold=5, edgeitems=1)
print(torch.arange(10), torch.randn(4, 4))
torch.set_printoptions(profile="default")
for m in [
    nn.Linear(2, 3, bias=False),
    nn.Conv1d(1, 2, 3, dilation=2, groups=1, padding_mode="circular"),
    nn.Conv3d(1, 2, (1, 2, 3)),
    nn.ConvTranspose2d(1, 2, 3, output_padding=1, stride=2),
    nn.BatchNorm1d(3, affine=False),
    nn.LayerNorm([2, 3]),
    nn.GroupNorm(1, 2),
    nn.InstanceNorm2d(3),
    nn.RMSNorm(4),
    nn.Dropout2d(),
    nn.LSTM(2, 3, 2, dropout=0.1, bidirectional=True),
    nn.GRU(2, 3, batch_first=True),
    nn.RNNCell(2, 3),
    nn.Embedding(10, 3, padding_idx=0),
    nn.EmbeddingBag(4, 2, mode="sum"),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.AvgPool2d(3),
    nn.AdaptiveMaxPool1d(2),
    nn.Softmax(dim=1),
    nn.Softmax2d(),
    nn.ELU(),
    nn.SELU(),
    nn.GELU("tanh"),
    nn.Hardtanh(-2, 2),
    nn.Threshold(0.1, 20),
    nn.LeakyReLU(),
    nn.PReLU(3),
    nn.Mish(),
    nn.GLU(),
    nn.LogSoftmax(-1),
    nn.CrossEntropyLoss(),
    nn.BCEWithLogitsLoss(),
    nn.MSELoss(),
    nn.Upsample(scale_factor=2),
    nn.UpsamplingNearest2d(size=3),
    nn.PixelShuffle(2),
    nn.ZeroPad2d(1),
    nn.ReflectionPad1d((1, 2)),
    nn.ConstantPad2d(1, 3.5),
    nn.Unfold(2),
    nn.Flatten(),
    nn.Unflatten(1, (2, 3)),
    nn.Bilinear(2, 3, 4),
    nn.CosineSimilarity(),
    nn.MultiheadAttention(4, 2),
    nn.TransformerDecoderLayer(4, 2, 8),
    nn.Identity(),
    nn.LazyLinear(3),
    nn.Transformer(4, 2, 1, 1, 8),
    nn.AlphaDropout(),
    nn.SyncBatchNorm(3),
    nn.LocalResponseNorm(2),
    nn.AdaptiveLogSoftmaxWithLoss(4, 10, [3, 5]),
    nn.LPPool2d(2, 3),
    nn.FractionalMaxPool2d(2, output_size=2),
    nn.MaxUnpool2d(2),
    nn.CTCLoss(),
    nn.ChannelShuffle(2),
]:
    print(m)
print(
    nn.Parameter(torch.ones(2, 2)),
    nn.Parameter(torch.arange(3), requires_grad=False),
    torch.Size([2, 3]),
    torch.float32,
    torch.device("cuda:0"),
    torch.device("cpu"),
    repr(torch.strided),
    repr(torch.preserve_format),
    torch.finfo(torch.float32),
    torch.iinfo(torch.int8),
)
print(
    f"{torch.tensor(3.14159):.2f} {torch.tensor(5)} {torch.tensor(5):>4d} {torch.tensor([1.0, 2.0])}",
    "%.3f" % torch.tensor(1.5),
    str(torch.tensor(1.0)),
    format(torch.tensor(2)),
)
x = torch.ones(2, requires_grad=True)
y = (x * 2).sum()
print(
    y,
    x.mean(),
    torch.stack([y, y]),
    x.clone(),
    x.view(2, 1),
    x[0],
    x + 1,
    x.exp(),
    x.sigmoid(),
    torch.cat([x, x]),
    x.relu(),
    x @ x,
    x.unsqueeze(0),
    x**2,
    x / 2,
    -x,
    x.max(),
    x.softmax(0),
    x.std(),
    nn.Linear(2, 1)(x).detach().shape,
)
print(
    torch.__version__.split("+")[0],
    type(torch.__version__).__name__,
    torch.version.cuda,
    torch.backends.mps.is_available(),
    torch.cuda.device_count(),
    torch.backends.cudnn.enabled,
    torch.get_num_threads() > 0,
)
print(
    torch.typename(x),
    x.type(),
    torch.FloatTensor,
    type(x),
    torch.ones(2).long().type(),
    torch.is_floating_point(x),
    isinstance(x, torch.FloatTensor),
    torch.Tensor,
    nn.Parameter,
)
