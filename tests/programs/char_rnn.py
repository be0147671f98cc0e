import torch, torch.nn as nn, string, unicodedata, random, math

torch.manual_seed(2024)
random.seed(0)
allowed = string.ascii_letters + " .,;'" + "_"
n_letters = len(allowed)


def unicodeToAscii(s):
    return "".join(
        c
        for c in unicodedata.normalize("NFD", s)
        if unicodedata.category(c) != "Mn" and c in allowed
    )


print(unicodeToAscii("Ślusàrski"))


def letterToIndex(l):
    return allowed.find(l) if l in allowed else allowed.find("_")


def lineToTensor(line):
    t = torch.zeros(len(line), 1, n_letters)
    for li, l in enumerate(line):
        t[li][0][letterToIndex(l)] = 1
    return t


print(lineToTensor("a"))
print(lineToTensor("Ahn").size())
names = {
    "it": ["Rossi", "Bianchi", "Ricci", "Marino"],
    "pl": ["Kowalski", "Nowak", "Wojcik"],
    "jp": ["Sato", "Suzuki", "Tanaka", "Ito"],
}
labels = list(names)


class CharRNN(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.rnn = nn.RNN(i, h)
        self.h2o = nn.Linear(h, o)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, x):
        _, hidden = self.rnn(x)
        return self.softmax(self.h2o(hidden[0]))


rnn = CharRNN(n_letters, 32, 3)
print(rnn)


def label_from_output(o):
    top_n, top_i = o.topk(1)
    return labels[top_i[0].item()], top_i[0].item()


print(label_from_output(rnn(lineToTensor("Albert"))))
opt = torch.optim.SGD(rnn.parameters(), lr=0.1)
crit = nn.NLLLoss()
for it in range(12):
    loss = 0
    for k, l in enumerate(labels):
        for n in names[l]:
            loss = loss + crit(rnn(lineToTensor(n)), torch.tensor([k]))
    loss.backward()
    nn.utils.clip_grad_norm_(rnn.parameters(), 3)
    opt.step()
    opt.zero_grad()
    if it % 4 == 3:
        print(it, f"{loss.item():.4f}")
conf = torch.zeros(3, 3)
with torch.no_grad():
    for k, l in enumerate(labels):
        for n in names[l]:
            conf[k][label_from_output(rnn(lineToTensor(n)))[1]] += 1
for i in range(3):
    conf[i] = conf[i] / conf[i].sum()
print(conf)


# from scratch generator
class RNNGen(nn.Module):
    def __init__(self, i, h, o):
        super().__init__()
        self.h = h
        self.i2h = nn.Linear(3 + i + h, h)
        self.i2o = nn.Linear(3 + i + h, o)
        self.o2o = nn.Linear(h + o, o)
        self.dropout = nn.Dropout(0.1)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, c, i, hid):
        comb = torch.cat((c, i, hid), 1)
        hid = self.i2h(comb)
        o = self.i2o(comb)
        o = self.o2o(torch.cat((hid, o), 1))
        return self.softmax(self.dropout(o)), hid


g = RNNGen(n_letters, 16, n_letters)
hid = torch.zeros(1, 16)
loss = torch.Tensor([0])
cat = torch.zeros(1, 3)
cat[0][1] = 1
for t in lineToTensor("Kow"):
    o, hid = g(cat, t, hid)
    loss += nn.functional.nll_loss(o, torch.tensor([4]))
loss.backward()
print(loss)
for p in g.parameters():
    p.data.add_(p.grad.data, alpha=-0.0005)
print(f"{sum(p.abs().sum() for p in g.parameters()).item():.3f}")
