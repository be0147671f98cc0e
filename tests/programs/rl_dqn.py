import torch, torch.nn as nn, torch.optim as optim, torch.nn.functional as F, random, math, numpy as np
from collections import namedtuple, deque
from itertools import count
from torch.distributions.normal import Normal
from torch.distributions.categorical import Categorical

seed = 42
random.seed(seed)
torch.manual_seed(seed)
np.random.seed(seed)
Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


class ReplayMemory(object):
    def __init__(self, capacity):
        self.memory = deque([], maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)

    def __len__(self):
        return len(self.memory)


class DQN(nn.Module):
    def __init__(self, n_obs, n_act):
        super(DQN, self).__init__()
        self.layer1 = nn.Linear(n_obs, 32)
        self.layer2 = nn.Linear(32, 32)
        self.layer3 = nn.Linear(32, n_act)

    def forward(self, x):
        return self.layer3(F.relu(self.layer2(F.relu(self.layer1(x)))))


policy_net, target_net = DQN(4, 2), DQN(4, 2)
print(target_net.load_state_dict(policy_net.state_dict()))
optimizer = optim.AdamW(policy_net.parameters(), lr=1e-3, amsgrad=True)
memory = ReplayMemory(200)
steps = 0


def select_action(state):
    global steps
    eps = 0.05 + 0.85 * math.exp(-1.0 * steps / 100)
    steps += 1
    if random.random() > eps:
        with torch.no_grad():
            return policy_net(state).max(1).indices.view(1, 1)
    return torch.tensor([[random.randrange(2)]], dtype=torch.long)


def optimize():
    if len(memory) < 16:
        return
    batch = Transition(*zip(*memory.sample(16)))
    mask = torch.tensor(tuple(map(lambda s: s is not None, batch.next_state)), dtype=torch.bool)
    nfn = torch.cat([s for s in batch.next_state if s is not None])
    q = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    nv = torch.zeros(16)
    with torch.no_grad():
        nv[mask] = target_net(nfn).max(1).values
    loss = nn.SmoothL1Loss()(q, ((nv * 0.99) + torch.cat(batch.reward)).unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    return loss.item()


losses = []
for ep in range(3):
    state = torch.tensor(np.random.randn(4), dtype=torch.float32).unsqueeze(0)
    for t in count():
        a = select_action(state)
        done = t > 12
        nxt = None if done else state * 0.9 + 0.1 * (a.float() - 0.5)
        memory.push(state, a, nxt, torch.tensor([1.0 if a.item() else 0.0]))
        state = nxt
        l = optimize()
        if l:
            losses.append(l)
        ts, ps = target_net.state_dict(), policy_net.state_dict()
        for key in ps:
            ts[key] = ps[key] * 0.005 + ts[key] * (1 - 0.005)
        target_net.load_state_dict(ts)
        if done:
            break
print([round(l, 4) for l in losses[::6]], steps)


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(
            layer_init(nn.Linear(4, 16)), nn.Tanh(), layer_init(nn.Linear(16, 1), std=1.0)
        )
        self.actor_mean = nn.Sequential(
            layer_init(nn.Linear(4, 16)), nn.Tanh(), layer_init(nn.Linear(16, 2), std=0.01)
        )
        self.actor_logstd = nn.Parameter(torch.zeros(1, 2))

    def get_action_and_value(self, x, action=None):
        m = self.actor_mean(x)
        p = Normal(m, torch.exp(self.actor_logstd.expand_as(m)))
        if action is None:
            action = p.sample()
        return action, p.log_prob(action).sum(1), p.entropy().sum(1), self.critic(x)


agent = Agent()
opt = optim.Adam(agent.parameters(), lr=3e-3, eps=1e-5)
obs = torch.randn(16, 4)
with torch.no_grad():
    act, logp, _, val = agent.get_action_and_value(obs)
adv = torch.randn(16)
adv = (adv - adv.mean()) / (adv.std() + 1e-8)
ret = adv + val.flatten()
for e in range(4):
    inds = torch.randperm(16)
    _, newlp, ent, nv = agent.get_action_and_value(obs[inds], act[inds])
    lr = newlp - logp[inds]
    ratio = lr.exp()
    with torch.no_grad():
        kl = ((ratio - 1) - lr).mean()
    pg = torch.max(-adv[inds] * ratio, -adv[inds] * torch.clamp(ratio, 0.8, 1.2)).mean()
    loss = pg - 0.01 * ent.mean() + 0.5 * ((nv.view(-1) - ret[inds]) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
    opt.step()
    print(
        f"{loss.item():.4f} {kl.item():.5f} {((ratio - 1.0).abs() > 0.2).float().mean().item():.3f}"
    )
probs = Categorical(logits=torch.randn(3, 4))
a = probs.sample()
print(a, probs.log_prob(a), probs.entropy(), probs.probs.sum(-1))
r = [1.0, 0.0, 2.0]
R, out = 0, []
for x in reversed(r):
    R = x + 0.9 * R
    out.insert(0, R)
print(
    torch.FloatTensor(out),
    torch.as_tensor(np.array(out)),
    torch.tensor(np.float32(1.5)),
    torch.tensor([np.float64(1), 2]),
    torch.from_numpy(np.arange(4).reshape(2, 2)).to(torch.float32),
)
