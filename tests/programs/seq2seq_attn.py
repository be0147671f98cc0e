import torch, torch.nn as nn, torch.nn.functional as F, random
from torch import optim

torch.manual_seed(1)
random.seed(1)
SOS, EOS, MAX = 0, 1, 6


class EncoderRNN(nn.Module):
    def __init__(self, n, h, dropout_p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(n, h)
        self.gru = nn.GRU(h, h, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input):
        return self.gru(self.dropout(self.embedding(input)))


class BahdanauAttention(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.Wa = nn.Linear(h, h)
        self.Ua = nn.Linear(h, h)
        self.Va = nn.Linear(h, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        return torch.bmm(weights, keys), weights


class AttnDecoderRNN(nn.Module):
    def __init__(self, h, n, dropout_p=0.1):
        super().__init__()
        self.embedding = nn.Embedding(n, h)
        self.attention = BahdanauAttention(h)
        self.gru = nn.GRU(2 * h, h, batch_first=True)
        self.out = nn.Linear(h, n)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, eo, eh, target=None):
        b = eo.size(0)
        di = torch.empty(b, 1, dtype=torch.long).fill_(SOS)
        dh = eh
        outs, atts = [], []
        for i in range(MAX):
            do, dh, aw = self.step(di, dh, eo)
            outs.append(do)
            atts.append(aw)
            if target is not None:
                di = target[:, i].unsqueeze(1)
            else:
                _, topi = do.topk(1)
                di = topi.squeeze(-1).detach()
        outs = torch.cat(outs, dim=1)
        return F.log_softmax(outs, dim=-1), dh, torch.cat(atts, dim=1)

    def step(self, inp, hidden, eo):
        emb = self.dropout(self.embedding(inp))
        q = hidden.permute(1, 0, 2)
        ctx, aw = self.attention(q, eo)
        out, hidden = self.gru(torch.cat((emb, ctx), dim=2), hidden)
        return self.out(out), hidden, aw


src = torch.randint(2, 12, (24, MAX))
tgt = src.flip(1)
enc, dec = EncoderRNN(12, 24), AttnDecoderRNN(24, 12)
print(enc, dec)
eopt, dopt = optim.Adam(enc.parameters(), lr=0.01), optim.Adam(dec.parameters(), lr=0.01)
crit = nn.NLLLoss()
for ep in range(1, 11):
    eopt.zero_grad()
    dopt.zero_grad()
    eo, eh = enc(src)
    do, _, _ = dec(eo, eh, tgt if random.random() < 0.5 else None)
    loss = crit(do.view(-1, do.size(-1)), tgt.reshape(-1))
    loss.backward()
    eopt.step()
    dopt.step()
    print("%d %.4f" % (ep, loss))
enc.eval()
dec.eval()
with torch.no_grad():
    eo, eh = enc(src[:1])
    do, _, att = dec(eo, eh)
    print(do.topk(1)[1].squeeze().tolist(), att.shape)
packed = nn.utils.rnn.pack_sequence([torch.randn(4, 3), torch.randn(2, 3), torch.randn(1, 3)])
print(packed.batch_sizes, packed.data.shape)
out, hn = nn.RNN(3, 2)(packed)
print(nn.utils.rnn.pad_packed_sequence(out))
print(nn.utils.rnn.pad_sequence([torch.ones(2), torch.ones(3)], batch_first=True, padding_value=-1))
pk = nn.utils.rnn.pack_padded_sequence(
    torch.randn(3, 4, 2), torch.tensor([2, 4, 1]), batch_first=True, enforce_sorted=False
)
print(pk)
bi = nn.LSTM(2, 3, 2, batch_first=True, bidirectional=True, proj_size=2)
o, (h, c) = bi(pk)
print(
    o.data.shape,
    h.shape,
    c.shape,
    nn.utils.rnn.unpad_sequence(torch.ones(3, 2), torch.tensor([3, 1])),
)
