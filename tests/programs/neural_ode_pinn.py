import torch, torch.nn as nn

torch.manual_seed(0)


class ODEFunc(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)

    def forward(self, t, y):
        return self.net(y**3)


def rk4(f, y, t):
    ys = [y]
    for t0, t1 in zip(t[:-1], t[1:]):
        h = t1 - t0
        k1 = f(t0, y)
        k2 = f(t0 + h / 2, y + h / 2 * k1)
        k3 = f(t0 + h / 2, y + h / 2 * k2)
        k4 = f(t1, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        ys.append(y)
    return torch.stack(ys)


true_A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
t = torch.linspace(0.0, 2.0, 20)


class Lambda(nn.Module):
    def forward(self, t, y):
        return torch.mm(y**3, true_A)


with torch.no_grad():
    true_y = rk4(Lambda(), torch.tensor([[2.0, 0.0]]), t)
f = ODEFunc()
opt = torch.optim.RMSprop(f.parameters(), lr=1e-3)
for i in range(6):
    opt.zero_grad()
    loss = torch.mean(torch.abs(rk4(f, torch.tensor([[2.0, 0.0]]), t) - true_y))
    loss.backward()
    opt.step()
    print("Iter {:04d} | Total Loss {:.5f}".format(i, loss.item()))


# adjoint as custom function
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, n):
        ctx.n = n
        ctx.save_for_backward(x)
        return x**n

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ctx.n * x ** (ctx.n - 1), None


x = torch.tensor([1.0, 2.0], requires_grad=True)
Square.apply(x, 3).sum().backward()
print(x.grad)
print(
    torch.autograd.gradcheck(
        Square.apply, (torch.rand(3, dtype=torch.double, requires_grad=True), 3)
    )
)
# PINN: u'' = -sin(x), u(0)=u(pi)=0
net = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1))
opt = torch.optim.LBFGS(net.parameters(), max_iter=10, line_search_fn="strong_wolfe")
xs = torch.linspace(0, torch.pi, 20).view(-1, 1).requires_grad_(True)


def closure():
    opt.zero_grad()
    u = net(xs)
    du = torch.autograd.grad(u, xs, torch.ones_like(u), create_graph=True)[0]
    ddu = torch.autograd.grad(du, xs, torch.ones_like(du), create_graph=True)[0]
    loss = ((ddu + torch.sin(xs)) ** 2).mean() + (
        net(torch.tensor([[0.0], [torch.pi]])) ** 2
    ).mean()
    loss.backward()
    return loss


for i in range(3):
    print(f"{opt.step(closure).item():.3f}")
# third derivative
z = torch.tensor(0.5, requires_grad=True)
y = torch.sin(z)
for k in range(4):
    (y,) = torch.autograd.grad(y, z, create_graph=True)
    print(k + 1, y)
print(torch.autograd.functional.hessian(lambda a: (a**3).sum(), torch.tensor([1.0, 2.0])))
print(
    torch.autograd.functional.jacobian(
        lambda a, b: a * b.sum(), (torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    )
)
print(
    torch.autograd.functional.vhp(lambda a: a.pow(3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))
)
