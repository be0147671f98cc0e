import torch, torch.nn as nn, torch.nn.functional as F, torch.optim as optim

torch.manual_seed(1)


def argmax(vec):
    _, idx = torch.max(vec, 1)
    return idx.item()


def log_sum_exp(vec):
    m = vec[0, argmax(vec)]
    return m + torch.log(torch.sum(torch.exp(vec - m.view(1, -1).expand(1, vec.size()[1]))))


class BiLSTM_CRF(nn.Module):
    def __init__(self, vocab_size, tag_to_ix, e, h):
        super().__init__()
        self.h, self.tag_to_ix, self.n = h, tag_to_ix, len(tag_to_ix)
        self.word_embeds = nn.Embedding(vocab_size, e)
        self.lstm = nn.LSTM(e, h // 2, num_layers=1, bidirectional=True)
        self.hidden2tag = nn.Linear(h, self.n)
        self.transitions = nn.Parameter(torch.randn(self.n, self.n))
        self.transitions.data[tag_to_ix["S"], :] = -10000
        self.transitions.data[:, tag_to_ix["E"]] = -10000
        self.hidden = self.init_hidden()

    def init_hidden(self):
        return (torch.randn(2, 1, self.h // 2), torch.randn(2, 1, self.h // 2))

    def _forward_alg(self, feats):
        init = torch.full((1, self.n), -10000.0)
        init[0][self.tag_to_ix["S"]] = 0.0
        fv = init
        for feat in feats:
            al = []
            for t in range(self.n):
                al.append(
                    log_sum_exp(
                        fv + self.transitions[t].view(1, -1) + feat[t].view(1, -1).expand(1, self.n)
                    ).view(1)
                )
            fv = torch.cat(al).view(1, -1)
        return log_sum_exp(fv + self.transitions[self.tag_to_ix["E"]])

    def feats(self, s):
        self.hidden = self.init_hidden()
        o, self.hidden = self.lstm(self.word_embeds(s).view(len(s), 1, -1), self.hidden)
        return self.hidden2tag(o.view(len(s), self.h))

    def score(self, feats, tags):
        score = torch.zeros(1)
        tags = torch.cat([torch.tensor([self.tag_to_ix["S"]], dtype=torch.long), tags])
        for i, feat in enumerate(feats):
            score = score + self.transitions[tags[i + 1], tags[i]] + feat[tags[i + 1]]
        return score + self.transitions[self.tag_to_ix["E"], tags[-1]]

    def viterbi(self, feats):
        bps = []
        iv = torch.full((1, self.n), -10000.0)
        iv[0][self.tag_to_ix["S"]] = 0
        fv = iv
        for feat in feats:
            b, v = [], []
            for t in range(self.n):
                nt = fv + self.transitions[t]
                best = argmax(nt)
                b.append(best)
                v.append(nt[0][best].view(1))
            fv = (torch.cat(v) + feat).view(1, -1)
            bps.append(b)
        tv = fv + self.transitions[self.tag_to_ix["E"]]
        best = argmax(tv)
        sc = tv[0][best]
        path = [best]
        for b in reversed(bps):
            best = b[best]
            path.append(best)
        path.pop()
        path.reverse()
        return sc, path

    def nll(self, s, tags):
        f = self.feats(s)
        return self._forward_alg(f) - self.score(f, tags)

    def forward(self, s):
        return self.viterbi(self.feats(s))


model = BiLSTM_CRF(8, {"B": 0, "I": 1, "O": 2, "S": 3, "E": 4}, 5, 4)
opt = optim.SGD(model.parameters(), lr=0.01, weight_decay=1e-4)
s, t = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([0, 1, 1, 2, 2])
with torch.no_grad():
    print(model(s))
for e in range(3):
    model.zero_grad()
    l = model.nll(s, t)
    l.backward()
    opt.step()
    print(l)
with torch.no_grad():
    print(model(s))
ctx, vocab = (
    2,
    {w: i for i, w in enumerate("when forty winters shall besiege thy brow and dig deep".split())},
)
ng = [([i, i + 1], i + 2) for i in range(8)]


class NGram(nn.Module):
    def __init__(self, v, e, c):
        super().__init__()
        self.embeddings = nn.Embedding(v, e)
        self.linear1 = nn.Linear(c * e, 16)
        self.linear2 = nn.Linear(16, v)

    def forward(self, x):
        return F.log_softmax(
            self.linear2(F.relu(self.linear1(self.embeddings(x).view((1, -1))))), dim=1
        )


m = NGram(len(vocab), 4, 2)
o = optim.SGD(m.parameters(), lr=0.01)
ls = []
for e in range(3):
    tot = 0
    for c, tg in ng:
        m.zero_grad()
        l = nn.NLLLoss()(m(torch.tensor(c)), torch.tensor([tg]))
        l.backward()
        o.step()
        tot += l.item()
    ls.append(round(tot, 3))
print(ls)
print(m.embeddings.weight[vocab["forty"]])


class TextCls(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(20, 6, sparse=False)
        self.fc = nn.Linear(6, 4)
        self.embedding.weight.data.uniform_(-0.5, 0.5)
        self.fc.weight.data.uniform_(-0.5, 0.5)
        self.fc.bias.data.zero_()

    def forward(self, t, off):
        return self.fc(self.embedding(t, off))


def collate(b):
    lab, txt, off = [], [], [0]
    for l, x in b:
        lab.append(l)
        x = torch.tensor(x, dtype=torch.int64)
        txt.append(x)
        off.append(x.size(0))
    return torch.tensor(lab), torch.cat(txt), torch.tensor(off[:-1]).cumsum(dim=0)


dl = torch.utils.data.DataLoader(
    [(i % 4, list(range(i % 5 + 1))) for i in range(12)],
    batch_size=4,
    shuffle=True,
    collate_fn=collate,
)
tc = TextCls()
o = optim.SGD(tc.parameters(), lr=5.0)
sch = optim.lr_scheduler.StepLR(o, 1.0, gamma=0.1)
for e in range(2):
    for l, x, off in dl:
        o.zero_grad()
        loss = F.cross_entropy(tc(x, off), l)
        loss.backward()
        nn.utils.clip_grad_norm_(tc.parameters(), 0.1)
        o.step()
    sch.step()
    print(f"{loss.item():.4f} {off.tolist()}")
lstm = nn.LSTM(3, 3)
inputs = [torch.randn(1, 3) for _ in range(5)]
hid = (torch.randn(1, 1, 3), torch.randn(1, 1, 3))
for i in inputs:
    out, hid = lstm(i.view(1, 1, -1), hid)
out, hid = lstm(
    torch.cat(inputs).view(len(inputs), 1, -1), (torch.randn(1, 1, 3), torch.randn(1, 1, 3))
)
print(out, hid)
tr = nn.Transformer(
    d_model=16,
    nhead=2,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dim_feedforward=32,
    dropout=0.0,
    batch_first=False,
)
src, tgt = torch.rand(5, 2, 16), torch.rand(4, 2, 16)
tm = tr.generate_square_subsequent_mask(4)
print(tm)
pm = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
print(tr(src, tgt, tgt_mask=tm, src_key_padding_mask=pm, memory_key_padding_mask=pm).sum(-1))
dec = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 2, 32, batch_first=True), 2)
dec.eval()
print(dec(torch.ones(1, 3, 16), torch.ones(1, 4, 16)).shape)
h = F.gumbel_softmax(torch.tensor([[1.0, 2.0, 3.0]]), tau=1, hard=True)
print(h)
print(
    F.ctc_loss(
        torch.randn(10, 2, 5).log_softmax(2),
        torch.randint(1, 5, (2, 3)),
        torch.tensor([10, 10]),
        torch.tensor([3, 2]),
    )
)
