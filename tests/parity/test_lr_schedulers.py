"""Schedules of learning rates beside torch's: one program, two libraries, equal to the last bit."""

from __future__ import annotations

import copy
import inspect
import warnings

import pytest

torch = pytest.importorskip("torch")
import flambeau


def plain(value):
    """Tensors as (dtype, nested lists), everything else as it is: equal across the libraries."""
    if hasattr(value, "tolist"):
        return (str(value.dtype).split(".")[-1], value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Shrink:
    """A function of the epoch with state, which is saved, unlike a plain function."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return 0.9**epoch


SCHEDULES = {
    "lambda": lambda L, o: L.LambdaLR(o, lambda e: 0.95**e),
    "lambdas": lambda L, o: L.LambdaLR(o, [lambda e: 0.95**e, Shrink()]),
    "multiplicative": lambda L, o: L.MultiplicativeLR(o, lambda e: 0.95 + 0.01 * (e % 3)),
    "step": lambda L, o: L.StepLR(o, 7, 0.3),
    "multistep": lambda L, o: L.MultiStepLR(o, [3, 9, 9, 20], 0.3),
    "constant": lambda L, o: L.ConstantLR(o, 0.7, 9),
    "linear": lambda L, o: L.LinearLR(o, 0.1, 0.9, 13),
    "exponential": lambda L, o: L.ExponentialLR(o, 0.97),
    "polynomial": lambda L, o: L.PolynomialLR(o, 11, 2.5),
    "cosine": lambda L, o: L.CosineAnnealingLR(o, 10, 0.001),
    "restarts": lambda L, o: L.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "restarts, equal": lambda L, o: L.CosineAnnealingWarmRestarts(o, 5),
    "cyclic": lambda L, o: L.CyclicLR(o, 0.01, 0.1, 5),
    "cyclic 2": lambda L, o: L.CyclicLR(o, 0.01, 0.1, 5, 7, "triangular2"),
    "cyclic 3": lambda L, o: L.CyclicLR(o, [0.01, 0.02], [0.1, 0.3], 5, 7, "exp_range", 0.98),
    "cyclic 4": lambda L, o: L.CyclicLR(
        o, 0.01, 0.1, 5, scale_fn=lambda x: 1 / x, cycle_momentum=False
    ),
    "one cycle": lambda L, o: L.OneCycleLR(o, 0.1, 60),
    "one cycle, three": lambda L, o: L.OneCycleLR(
        o, 0.1, 60, three_phase=True, anneal_strategy="linear"
    ),
    "one cycle, epochs": lambda L, o: L.OneCycleLR(
        o, [0.1, 0.2], epochs=6, steps_per_epoch=10, cycle_momentum=False
    ),
    "sequential": lambda L, o: L.SequentialLR(
        o, [L.ConstantLR(o, 0.1, 20), L.ExponentialLR(o, 0.9), L.CosineAnnealingLR(o, 9)], [5, 20]
    ),
    "nested": lambda L, o: L.SequentialLR(
        o, [L.SequentialLR(o, [L.LinearLR(o), L.StepLR(o, 2)], [3]), L.ExponentialLR(o, 0.9)], [8]
    ),
    "chained": lambda L, o: L.ChainedScheduler([L.ConstantLR(o, 0.1, 20), L.ExponentialLR(o, 0.9)]),
}


def schedule(library, make, name, tensors):
    """All rates and momentums of 45 epochs, then of a jump, with the state and the warnings."""

    def rate(value):
        return library.tensor(value) if tensors else value

    params = [library.nn.Parameter(library.ones(2)) for _ in range(2)]
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(library.optim, name)(
        [{"params": params[0]}, {"params": params[1], "lr": rate(0.2)}], lr=rate(0.05), **options
    )
    seen = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler = make(library.optim.lr_scheduler, optimizer)
        for _ in range(45):
            seen.append(plain(scheduler.get_last_lr()))
            seen += [g.get("momentum", g.get("betas")) for g in optimizer.param_groups]
            optimizer.step()
            scheduler.step()
        state = scheduler.state_dict()
        state.pop("_scale_fn_ref", None)  # torch's private copy of what `mode` says
        saved = plain(copy.deepcopy(state))
        try:
            scheduler.step(12)
            seen.append(plain(scheduler.get_last_lr()))
        except TypeError as error:
            seen.append(str(error))
    return seen, saved, [str(w.message) for w in caught]


@pytest.mark.parametrize("tensors", [False, True], ids=["numbers", "tensors"])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedule(make, name, tensors):
    expected = schedule(torch, make, name, tensors)
    actual = schedule(flambeau, make, name, tensors)
    assert actual == expected


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(patience=2),
        dict(mode="max", patience=1, cooldown=2),
        dict(threshold_mode="abs", threshold=0.1, patience=1, min_lr=0.01),
        dict(mode="max", threshold_mode="abs", patience=0, factor=0.5),
    ],
)
def test_plateau(options):
    losses = torch.rand(60).tolist()
    seen = []
    for library in (torch, flambeau):
        optimizer = library.optim.SGD([library.nn.Parameter(library.ones(1))], lr=1.0)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rates = []
        for loss in losses:
            scheduler.step(loss)
            rates.append((*scheduler.get_last_lr(), scheduler.num_bad_epochs))
        seen.append((rates, scheduler.state_dict()))
    assert seen[1] == seen[0]


@pytest.mark.parametrize("name", torch.optim.lr_scheduler.__all__)
def test_schedule_signature(name):
    ours, theirs = flambeau.optim.lr_scheduler, torch.optim.lr_scheduler
    assert _signature(getattr(ours, name)) == _signature(getattr(theirs, name))


def _signature(cls):
    return [(p.name, p.default, p.kind) for p in inspect.signature(cls).parameters.values()]


# ---- wrong calls ---------------------------------------------------------------------------------
WRONG = [
    lambda T, p: T.optim.lr_scheduler.StepLR(3, 1),
    lambda T, p: T.optim.lr_scheduler.StepLR(_sgd(T, p), 1, last_epoch=3),
    lambda T, p: T.optim.lr_scheduler.LambdaLR(_sgd(T, p), []),
    lambda T, p: T.optim.lr_scheduler.MultiplicativeLR(_sgd(T, p), 3),
    lambda T, p: T.optim.lr_scheduler.ConstantLR(_sgd(T, p), 2),
    lambda T, p: T.optim.lr_scheduler.LinearLR(_sgd(T, p), 0),
    lambda T, p: T.optim.lr_scheduler.LinearLR(_sgd(T, p), 0.5, 2),
    lambda T, p: T.optim.lr_scheduler.SequentialLR(_sgd(T, p), [], []),
    lambda T, p: T.optim.lr_scheduler.SequentialLR(_sgd(T, p), [3], []),
    lambda T, p: _combine(T, _sgd(T, p), lambda L, o: ([L.ReduceLROnPlateau(o)], [])),
    lambda T, p: _combine(T, _sgd(T, p), lambda L, o: ([L.StepLR(o, 1)], [3])),
    lambda T, p: T.optim.lr_scheduler.ChainedScheduler([]),
    lambda T, p: T.optim.lr_scheduler.ReduceLROnPlateau(_sgd(T, p), factor=1),
    lambda T, p: T.optim.lr_scheduler.ReduceLROnPlateau(_sgd(T, p), mode="x"),
    lambda T, p: T.optim.lr_scheduler.ReduceLROnPlateau(_sgd(T, p), threshold_mode="x"),
    lambda T, p: T.optim.lr_scheduler.ReduceLROnPlateau(_sgd(T, p), min_lr=[1, 2]),
    lambda T, p: T.optim.lr_scheduler.CyclicLR(_sgd(T, p), 0.1, 0.2, mode="q"),
    lambda T, p: T.optim.lr_scheduler.CyclicLR(_sgd(T, p), [0.1, 0.2], 0.2),
    lambda T, p: T.optim.lr_scheduler.CyclicLR(T.optim.Adagrad([p]), 0.1, 0.2),
    lambda T, p: T.optim.lr_scheduler.OneCycleLR(_sgd(T, p), 0.1),
    lambda T, p: T.optim.lr_scheduler.OneCycleLR(_sgd(T, p), 0.1, -1),
    lambda T, p: T.optim.lr_scheduler.OneCycleLR(_sgd(T, p), 0.1, epochs=-1, steps_per_epoch=1),
    lambda T, p: T.optim.lr_scheduler.OneCycleLR(_sgd(T, p), 0.1, 10, pct_start=2),
    lambda T, p: T.optim.lr_scheduler.OneCycleLR(_sgd(T, p), 0.1, 10, anneal_strategy="q"),
    lambda T, p: T.optim.lr_scheduler.CosineAnnealingWarmRestarts(_sgd(T, p), 0),
    lambda T, p: T.optim.lr_scheduler.CosineAnnealingWarmRestarts(_sgd(T, p), 1, 0),
    lambda T, p: T.optim.lr_scheduler.CosineAnnealingWarmRestarts(_sgd(T, p), 1).step(-1),
    lambda T, p: [T.optim.lr_scheduler.StepLR(_sgd(T, p), 1).step() for _ in range(2)],
    lambda T, p: T.optim.lr_scheduler.StepLR(_sgd(T, p), 1).get_lr(),
    lambda T, p: T.optim.lr_scheduler.StepLR(_sgd(T, p), 1).step(3),
]


def _sgd(library, p):
    return library.optim.SGD([p], lr=1.0, momentum=0.9)


def _combine(library, optimizer, parts):
    schedulers = library.optim.lr_scheduler
    return schedulers.SequentialLR(optimizer, *parts(schedulers, optimizer))


@pytest.mark.parametrize("call", WRONG, ids=range(len(WRONG)))
def test_errors_and_warnings(call):
    seen = []
    for library in (torch, flambeau):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                call(library, library.nn.Parameter(library.ones(2)))
                raised = None
            except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
                raised = type(error), str(error).split("\n  hint")[0]
        seen.append((raised, [(w.category, str(w.message)) for w in caught]))
    assert seen[0] != (None, [])
    assert seen[1] == seen[0]
