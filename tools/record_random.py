"""Record torch's random streams as golden figures for `tests/test_random_streams.py`.

    python tools/record_random.py            # writes tests/golden/random.json; needs torch 2.13

A stream is a seed and a list of steps on one generator, each with what torch drew: a digest of the
bytes where every machine makes the same bits, the first values themselves where the system's
mathematical library takes part. The digest of the generator's state closes the stream.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import torch

TARGET = Path(__file__).parent.parent / "tests" / "golden" / "random.json"
SIZES = (0, 1, 7, 15, 16, 17, 31, 32, 100, 625, 1000)
FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "bool")
LIBRARY = (
    "exponential",
    "cauchy",
    "log_normal",
    "geometric",
    "poisson",
    "binomial",
    "standard_gamma",
)


def library(step: dict[str, Any]) -> bool:
    """Whether the bits of a step depend on the system's log, sin, tan ..."""
    if step["op"] == "normal":
        return step["dtype"] == "float64" or step["size"] < 16
    return step["op"] in LIBRARY


def digest(values: torch.Tensor) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the bytes."""
    data = values.contiguous().view(torch.uint8).numpy().tobytes() if values.numel() else b""
    return hashlib.sha256(data).hexdigest()[:16]


def eighths(size: int, largest: float, dtype: torch.dtype) -> torch.Tensor:
    """`largest` times 1/8, 2/8 ... 8/8, again and again: exact in every dtype."""
    return ((torch.arange(size) % 8 + 1) * (largest / 8)).to(dtype)


def draw(step: dict[str, Any], generator: torch.Generator) -> torch.Tensor:
    """What torch makes of one step."""
    name, arguments = step["op"], step["arguments"]
    values = torch.empty(step["size"], dtype=getattr(torch, step["dtype"]))
    if name == "integers":
        return values.random_(arguments[0], sum(arguments), generator=generator)
    if name == "integers_of_dtype":
        return values.random_(generator=generator)
    if name == "permutation":
        return torch.randperm(step["size"], dtype=values.dtype, generator=generator)
    if name == "bernoulli_each":
        probabilities = eighths(step["size"], 1.0, getattr(torch, arguments[0]))
        return values.bernoulli_(probabilities, generator=generator)
    if name == "multinomial":
        rows, categories, replacement = arguments
        weights = eighths(rows * categories, 8.0, values.dtype).reshape(rows, categories)
        return torch.multinomial(weights, step["size"], replacement, generator=generator)
    if name in ("poisson", "standard_gamma"):
        parameters = eighths(step["size"], arguments[0], values.dtype)
        sampler = torch.poisson if name == "poisson" else torch._standard_gamma
        return sampler(parameters, generator=generator)
    if name == "binomial":
        counts = torch.full_like(values, arguments[0])
        probabilities = eighths(step["size"], 1.0, values.dtype)
        return torch.binomial(counts, probabilities, generator=generator)
    return getattr(values, f"{name}_")(*arguments, generator=generator)


def steps() -> list[dict[str, Any]]:
    """Every operation with every dtype and size that it takes."""
    found = []

    def add(op: str, dtype: str, size: int, *arguments: Any) -> None:
        found.append({"op": op, "dtype": dtype, "size": size, "arguments": list(arguments)})

    for size in SIZES:
        for dtype in FLOATS:
            add("uniform", dtype, size, 0.0, 1.0)
            add("uniform", dtype, size, -0.3, 2.7)
            add("normal", dtype, size, 0.0, 1.0)
            add("normal", dtype, size, 0.3, 1.7)
            for of_type in FLOATS if size == 17 else ():
                add("bernoulli_each", dtype, size, of_type)
        for dtype in FLOATS + INTEGERS:
            add("bernoulli", dtype, size, 0.3)
            add("integers_of_dtype", dtype, size)
            add("integers", dtype, size, 0, 1)
            if dtype != "bool":
                add("integers", dtype, size, 3, 100)
            if size < 128 and dtype != "bool":
                add("permutation", dtype, size)
        for dtype in ("int32", "int64", "float32", "float64"):
            for count in (1000, 2**20, 10_000_019):
                add("integers", dtype, size, -count // 2, count)
        for count in (2**28 - 1, 2**28, 2**32 + 1, 3 * 10**18):
            add("integers", "int64", size, -5, count)
        add("permutation", "int64", 5 * size)
    for dtype in FLOATS:
        for size in (1, 16, 33):
            add("exponential", dtype, size, 1.3)
            add("cauchy", dtype, size, 0.37, 1.77)
            add("log_normal", dtype, size, 0.37, 0.77)
            add("geometric", dtype, size, 0.3)
        add("multinomial", dtype, 12, 2, 30, True)
    for dtype in ("float32", "float64"):
        for largest in (1.0, 8.0, 304.0):
            add("poisson", dtype, 33, largest)
            add("standard_gamma", dtype, 33, largest)
            add("binomial", dtype, 33, largest)
        add("multinomial", dtype, 1, 3, 30, False)
        add("multinomial", dtype, 9, 3, 30, False)
    for dtype in ("int32", "uint8"):
        add("geometric", dtype, 33, 0.3)
    return found


def record(seed: int, planned: list[dict[str, Any]]) -> dict[str, Any]:
    """Draw the steps one after the other from one generator."""
    generator = torch.Generator().manual_seed(seed)
    done = []
    for step in planned:
        values = draw(step, generator)
        if library(step):
            result: dict[str, Any] = {"values": values.double().tolist()[:17]}
        else:
            result = {"digest": digest(values)}
        done.append({**step, **result})
    return {"seed": seed, "steps": done, "state": digest(generator.get_state())}


def main() -> None:
    everything = steps()
    shuffled = random.Random(2).sample(everything, len(everything))
    streams = [record(0, everything), record(2**63 + 12345, shuffled[:200])]
    lines = ",\n".join(
        '{"seed": %d, "state": "%s", "steps": [\n%s\n]}'
        % (s["seed"], s["state"], ",\n".join(json.dumps(step) for step in s["steps"]))
        for s in streams
    )
    TARGET.write_text(f'{{"torch": "{torch.__version__}", "streams": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
