"""One program for every device: choose it once, and never write its name again.

Run it with `flambeau run examples/device_agnostic.py --device cpu`.
"""

import argparse

import torch
from torch import nn


def pick_device(wanted):
    """The device that was asked for, or the best that is there."""
    if wanted:
        return torch.device(wanted)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Autoencoder(nn.Module):
    """Squeezes 8 numbers through 2, on whatever device its parameters are."""

    def __init__(self, width=8, code=2, device=None, dtype=None):
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.encoder = nn.Linear(width, code, **where)
        self.decoder = nn.Linear(code, width, **where)
        self.register_buffer("scale", torch.ones(width, **where))

    def forward(self, x):
        noise = torch.zeros_like(x)  # new tensors follow those that exist
        return self.decoder(torch.tanh(self.encoder(x + noise))) * self.scale


def names():
    """Devices are values: they compare, print and take part in decisions, present or not."""
    for device in (torch.device("cpu"), torch.device("cuda"), torch.device("cuda", 1)):
        print(device, repr(device), device.type, device.index)
    print(torch.device("cuda:0") == torch.device("cuda", 0), torch.device("cpu") == "cpu")
    print({torch.device("cpu"): "host"}[torch.device("cpu")], torch.device("meta"))
    try:
        torch.device("gpu")
    except RuntimeError as error:
        print("RuntimeError:", str(error).splitlines()[0])


def shapes_only():
    """The meta device has shapes and types but no numbers: for sizes of models and of results."""
    model = Autoencoder(1000, 100, device="meta")
    print(model.encoder.weight.device, model.encoder.weight.is_meta)
    out = model(torch.empty(64, 1000, device="meta"))
    print(out.shape, out.device, out.dtype)
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    print(f"the parameters would take {total / 2**20:.2f} MiB")
    print(torch.empty(2, 3, device="meta"))
    with torch.device("meta"):  # a default device for everything in the block
        print(torch.ones(3).device, nn.Linear(2, 2).bias.device)
    real = model.to_empty(device="cpu")
    print(real.scale.shape, real.scale.device)


def training(device):
    """Model and data go to the device once; results come back for printing."""
    torch.manual_seed(0)
    basis = torch.randn(2, 8)
    data = (torch.randn(64, 2) @ basis).to(device)  # 8 numbers with 2 degrees of freedom
    model = Autoencoder().to(device)
    print("on one device:", {t.device for t in model.state_dict().values()} == {data.device})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    loss_function = nn.MSELoss()
    for step in range(60):
        optimizer.zero_grad()
        loss = loss_function(model(data), data)
        loss.backward()
        optimizer.step()
        if step % 15 == 0:
            print(f"step {step:2d}  loss {loss.item():.4f}")
    with torch.no_grad():
        sample = model(data[:1]).cpu()
    print(sample)
    print(data[:1].cpu())
    return model


def conversions(model):
    """The same call changes device and type; floating-point parts follow, integers stay."""
    half = model.to(torch.bfloat16)
    print(half.encoder.weight.dtype, half.scale.dtype)
    print(model is half, model.double().decoder.bias.dtype)
    x = torch.arange(3)
    print(x.to("cpu") is x, x.to("cpu", torch.float64), x.to(torch.ones(1, dtype=torch.half)))
    print(x.type_as(torch.ones(1)), x.new_zeros(2), x.new_tensor([1.5]).dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", help="cpu, cuda, cuda:1, ...; default: the best there is")
    device = pick_device(parser.parse_args().device)
    print("device:", device.type)
    names()
    shapes_only()
    conversions(training(device))


if __name__ == "__main__":
    main()
