"""Writes the generated part of docs/compatibility.md: which of torch's public names Flambeau has.

A name counts as there when it is found, which says nothing about how much of it works; that is
what the tests are for. Needs torch 2.13:

    python tools/record_names.py
"""

from __future__ import annotations

import importlib
import re
import sys
import types
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.report import lines_of, replaced  # noqa: E402  needs the path above

PAGE = ROOT / "docs" / "compatibility.md"
NAMESPACES = (
    "torch", "torch.Tensor", "torch.autograd", "torch.autograd.functional", "torch.autograd.graph",
    "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.utils.rnn",
    "torch.nn.utils.parametrize", "torch.optim", "torch.optim.lr_scheduler",
    "torch.optim.swa_utils",
    "torch.utils.data", "torch.utils.checkpoint", "torch.linalg", "torch.fft", "torch.special",
    "torch.signal.windows", "torch.random", "torch.amp", "torch.cpu", "torch.cuda",
    "torch.distributions", "torch.func", "torch.sparse", "torch.testing", "torch.profiler",
    "torch.futures", "torch.hub", "torch.fx", "torch.export", "torch.onnx",
    "torch.distributed", "torch.multiprocessing", "torch.nested", "torch.masked",
)  # fmt: skip
TOOLING = ("torch._jit_internal", "torch.overrides", "torch.jit", "typing")
# functions of one vendor's library, and steps of others that torch shows by accident
FOREIGN = re.compile(
    r"cudnn|miopen|mkldnn|fbgemm|quant|qparams|fake_|^bits?\d|^u?int[1-7]$|"
    r"^batch_norm_.*(elemt|stats|reduce|counts)|has_torch_function|assert_int_or_pair"
)
LISTED = 40  # a longer list of missing names is cut


def found(path: str, root: str) -> Any:
    """The namespace or class at a path that begins with torch, in the package `root`; or None."""
    first, *parts = path.replace("torch", root, 1).split(".")
    place: Any = importlib.import_module(first)
    for i, part in enumerate(parts, 1):
        try:
            place = importlib.import_module(".".join([first, *parts[:i]]))
        except ImportError:
            place = vars(place).get(part)
            if place is None:
                return None
    return place


def public_names(place: Any) -> list[str]:
    """What users of torch are meant to use: no modules, nothing that came from elsewhere."""
    names = getattr(place, "__all__", None) or [n for n in dir(place) if not n.startswith("_")]
    public = [n for n in names if not n.startswith("_") and not FOREIGN.search(n)]
    return sorted({n for n in public if is_own(getattr(place, n, None))})


def is_own(value: Any) -> bool:
    """Whether it is a function, class or constant that torch defined and documents."""
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return True
    if value is torch.Tensor or not callable(value):
        return isinstance(value, property | types.GetSetDescriptorType)
    home = getattr(value, "__module__", None) or "torch"
    if home.startswith(TOOLING) or isinstance(value, type) and not value.__doc__:
        return False
    if home.startswith("torch._C") and isinstance(value, type) and value.__module__ == "torch._C":
        return value.__name__ in ("Generator", "Size")  # the rest is the compiler of TorchScript
    return home.partition(".")[0] in ("torch", "builtins")


def has(place: Any, name: str) -> bool:
    """Whether the namespace has the name; what is made on demand counts, a refusal does not."""
    try:
        return place is not None and hasattr(place, name)
    except NotImplementedError:
        return False


def rows() -> Iterable[list[str]]:
    """A row a namespace: how many names, how many of them there, which are missing."""
    for path in NAMESPACES:
        theirs, ours = found(path, "torch"), found(path, "flambeau")
        names = public_names(theirs)
        missing = [name for name in names if not has(ours, name)]
        listed = ", ".join(f"`{name}`" for name in missing[:LISTED])
        if len(missing) == len(names):
            listed = "all"
        elif len(missing) > LISTED:
            listed += f" and {len(missing) - LISTED} more"
        yield [f"`{path}`", str(len(names)), str(len(names) - len(missing)), listed]


def main() -> None:
    warnings.simplefilter("ignore")
    header = ["namespace", "names in torch 2.13", "there", "missing"]
    table = lines_of(header, rows())
    table[1] = "| --- | ---: | ---: | --- |"
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, "names", "\n".join(table)), encoding="utf-8")


if __name__ == "__main__":
    main()
