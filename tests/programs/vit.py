import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)


class PatchEmbedding(nn.Module):
    def __init__(self, in_channels=3, patch_size=4, embedding_dim=32):
        super().__init__()
        self.patcher = nn.Conv2d(
            in_channels, embedding_dim, kernel_size=patch_size, stride=patch_size, padding=0
        )
        self.flatten = nn.Flatten(start_dim=2, end_dim=3)
        self.patch_size = patch_size

    def forward(self, x):
        assert x.shape[-1] % self.patch_size == 0
        return self.flatten(self.patcher(x)).permute(0, 2, 1)


class MSABlock(nn.Module):
    def __init__(self, d=32, h=4, p=0):
        super().__init__()
        self.layer_norm = nn.LayerNorm(normalized_shape=d)
        self.multihead_attn = nn.MultiheadAttention(
            embed_dim=d, num_heads=h, dropout=p, batch_first=True
        )

    def forward(self, x):
        x = self.layer_norm(x)
        out, _ = self.multihead_attn(query=x, key=x, value=x, need_weights=False)
        return out


class MLPBlock(nn.Module):
    def __init__(self, d=32, m=64, p=0.1):
        super().__init__()
        self.layer_norm = nn.LayerNorm(normalized_shape=d)
        self.mlp = nn.Sequential(
            nn.Linear(in_features=d, out_features=m),
            nn.GELU(),
            nn.Dropout(p=p),
            nn.Linear(m, d),
            nn.Dropout(p=p),
        )

    def forward(self, x):
        return self.mlp(self.layer_norm(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.msa_block = MSABlock()
        self.mlp_block = MLPBlock()

    def forward(self, x):
        x = self.msa_block(x) + x
        return self.mlp_block(x) + x


class ViT(nn.Module):
    def __init__(self, img=16, p=4, d=32, layers=2, classes=3):
        super().__init__()
        n = (img * img) // p**2
        self.class_embedding = nn.Parameter(data=torch.randn(1, 1, d), requires_grad=True)
        self.position_embedding = nn.Parameter(data=torch.randn(1, n + 1, d), requires_grad=True)
        self.embedding_dropout = nn.Dropout(p=0.1)
        self.patch_embedding = PatchEmbedding(3, p, d)
        self.encoder = nn.Sequential(*[Block() for _ in range(layers)])
        self.classifier = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, classes))

    def forward(self, x):
        b = x.shape[0]
        cls = self.class_embedding.expand(b, -1, -1)
        x = self.patch_embedding(x)
        x = torch.cat((cls, x), dim=1)
        x = self.position_embedding + x
        x = self.embedding_dropout(x)
        x = self.encoder(x)
        return self.classifier(x[:, 0])


vit = ViT()
print(vit)
opt = torch.optim.Adam(vit.parameters(), lr=3e-3, betas=(0.9, 0.999), weight_decay=0.3)
loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
X = torch.randn(32, 3, 16, 16)
y = torch.randint(0, 3, (32,))
for e in range(5):
    vit.train()
    p = vit(X)
    loss = loss_fn(p, y)
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(vit.parameters(), max_norm=1.0)
    opt.step()
    print(
        f"Epoch: {e + 1} | train_loss: {loss.item():.3f} | train_acc: {(torch.argmax(torch.softmax(p, dim=1), dim=1) == y).sum().item() / len(y):.3f}"
    )
vit.eval()
with torch.inference_mode():
    print(vit(X[:2]))
layer = nn.TransformerEncoderLayer(
    d_model=32,
    nhead=4,
    dim_feedforward=64,
    dropout=0.1,
    activation="gelu",
    batch_first=True,
    norm_first=True,
)
enc = nn.TransformerEncoder(encoder_layer=layer, num_layers=2)
print(layer)
print(enc(torch.randn(2, 5, 32)).shape)
mha = nn.MultiheadAttention(8, 2)
o, w = mha(torch.ones(3, 1, 8), torch.ones(4, 1, 8), torch.ones(4, 1, 8))
print(o.shape, w)
