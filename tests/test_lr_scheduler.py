"""Schedules of learning rates against their closed forms; state, tensors as rates, warnings."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import flambeau as torch

SCHEDULERS = torch.optim.lr_scheduler


def rates(make, epochs, lr=1.0):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    seen = []
    for _ in range(epochs):
        seen += scheduler.get_last_lr()
        optimizer.step()
        scheduler.step()
    return seen


CURVES = {
    "lambda": (lambda o: SCHEDULERS.LambdaLR(o, lambda e: 1 / (1 + e)), lambda e: 1 / (1 + e)),
    "multiplicative": (lambda o: SCHEDULERS.MultiplicativeLR(o, lambda e: 0.5), lambda e: 0.5**e),
    "step": (lambda o: SCHEDULERS.StepLR(o, 3, 0.1), lambda e: 0.1 ** (e // 3)),
    "multistep": (
        lambda o: SCHEDULERS.MultiStepLR(o, [2, 5, 5], 0.1),
        lambda e: 0.1 ** ((e >= 2) + 2 * (e >= 5)),
    ),
    "exponential": (lambda o: SCHEDULERS.ExponentialLR(o, 0.9), lambda e: 0.9**e),
    "constant": (lambda o: SCHEDULERS.ConstantLR(o, 0.5, 4), lambda e: 0.5 if e < 4 else 1.0),
    "linear": (lambda o: SCHEDULERS.LinearLR(o, 0.5, 1.0, 5), lambda e: min(1.0, 0.5 + 0.1 * e)),
    "polynomial": (lambda o: SCHEDULERS.PolynomialLR(o, 6, 2), lambda e: max(0, 1 - e / 6) ** 2),
    "cosine": (
        lambda o: SCHEDULERS.CosineAnnealingLR(o, 10),
        lambda e: (1 + math.cos(math.pi * e / 10)) / 2,
    ),
    "restarts": (
        lambda o: SCHEDULERS.CosineAnnealingWarmRestarts(o, 5),
        lambda e: (1 + math.cos(math.pi * (e % 5) / 5)) / 2,
    ),
    "cyclic": (
        lambda o: SCHEDULERS.CyclicLR(o, 0.0, 1.0, 4),
        lambda e: 1 - abs(4 - e % 8) / 4,
    ),
}


@pytest.mark.parametrize(("make", "curve"), CURVES.values(), ids=CURVES)
def test_schedule(make, curve):
    expected = [curve(epoch) for epoch in range(20)]
    np.testing.assert_allclose(rates(make, 20), expected, rtol=1e-9, atol=1e-12)


def test_one_cycle():
    seen = rates(lambda o: SCHEDULERS.OneCycleLR(o, 1.0, total_steps=11, pct_start=0.5), 11)
    assert seen[0] == pytest.approx(1 / 25)
    assert seen.index(max(seen)) in (4, 5)
    assert seen[-1] == pytest.approx(1 / 25 / 1e4)


def test_sequence_and_chain():
    def sequence(o):
        parts = [SCHEDULERS.ConstantLR(o, 0.1, 100), SCHEDULERS.ExponentialLR(o, 0.5)]
        return SCHEDULERS.SequentialLR(o, parts, [2])

    def chain(o):
        return SCHEDULERS.ChainedScheduler(
            [SCHEDULERS.ConstantLR(o, 0.5, 2), SCHEDULERS.ExponentialLR(o, 0.5)]
        )

    assert rates(sequence, 4) == [0.1, 0.1, 1.0, 0.5]
    assert rates(chain, 4) == [0.5, 0.25, 0.25, 0.125]


def test_plateau():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = SCHEDULERS.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, min_lr=0.2)
    seen = []
    for loss in [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]:
        scheduler.step(torch.tensor(loss))
        seen += scheduler.get_last_lr()
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2]


def test_schedule_state():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = SCHEDULERS.StepLR(optimizer, 2)
    optimizer.step()
    scheduler.step()
    saved = pickle.loads(pickle.dumps(scheduler.state_dict()))
    other = SCHEDULERS.StepLR(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0), 2)
    other.load_state_dict(saved)
    other.optimizer.step()
    other.step()
    assert (other.last_epoch, other.get_last_lr()) == (2, [0.1])


def test_schedule_of_a_tensor_writes_into_it():
    rate = torch.tensor(1.0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=rate)
    scheduler = SCHEDULERS.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    scheduler.step()
    assert rate.item() == 0.5
    assert optimizer.param_groups[0]["lr"] is rate


def test_wrong_order_warns():
    scheduler = SCHEDULERS.StepLR(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]), 1)
    with pytest.warns(UserWarning, match=r"`lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
