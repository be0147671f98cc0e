"""What a user is told when a file asks for more than data, and the list of what it asks for.

>>> print(explain_refusal("Unsupported operand 255").splitlines()[0])
Weights only load failed. Unsupported operand 255
"""

from __future__ import annotations

import pickle
import pickletools
from typing import Any

from flambeau.serialization.archive import ARCHIVE_MAGIC, ArchiveReader
from flambeau.serialization.files import FileLike, open_for_reading
from flambeau.serialization.globals import GlobalTable

_NEVER_RUNS_CODE = (
    "Flambeau never runs code from a file, with `weights_only=False` neither. That setting only "
    "admits, besides, the classes of nn.Modules that your program has defined or imported."
)


def explain_refusal(reason: str) -> str:
    """The message of the error for a refused file, its first line as in torch."""
    if "was not an allowed global by default" not in reason:
        hint = _NEVER_RUNS_CODE if "is blocked" in reason else "The file may be damaged."
        return f"Weights only load failed. {reason}\n  {hint}"
    return (
        "Weights only load failed. This file can still be loaded, to do so you have two options, "
        "\033[1mdo those steps only if you trust the source of the checkpoint\033[0m. "
        "\n\t(1) Allow the class or function by the steps in the following error message; "
        "`torch.serialization.get_unsafe_globals_in_checkpoint(file)` lists all that the file "
        "needs.\n\t(2) Alternatively, load the file where it was written and save only its data "
        f"(`model.state_dict()`).\n\tWeightsUnpickler error: {reason}\n  {_NEVER_RUNS_CODE}"
    )


def _named_globals(pickled: bytes) -> list[tuple[str, str]]:
    """Every global that a pickle names, found without running any of its operations."""
    found: list[tuple[str, str]] = []
    texts: list[Any] = []
    memo: dict[Any, Any] = {}
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            found.append((module, name))
        elif operation.name == "STACK_GLOBAL":
            module, name = texts[-2:]
            found.append((module, name))
        elif operation.name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = texts[-1] if texts else None
        elif operation.name in ("BINGET", "LONG_BINGET"):
            texts.append(memo.get(argument))
        elif "UNICODE" in operation.name:
            texts.append(argument)
    return found


def get_unsafe_globals_in_checkpoint(f: FileLike) -> list[str]:
    """The names in a checkpoint that `load` would refuse, given what is allowed now.

    >>> torch.save(torch.nn.ReLU(), "model.pt")
    >>> torch.serialization.get_unsafe_globals_in_checkpoint("model.pt")
    ['torch.nn.modules.activation.ReLU']
    """
    with open_for_reading(f) as file:
        start = file.tell()
        is_archive = file.read(len(ARCHIVE_MAGIC)) == ARCHIVE_MAGIC
        if not is_archive:
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        pickled = ArchiveReader(file, start).read("data.pkl")
        file.seek(start)
    table = GlobalTable(allow_modules=False)
    refused: dict[str, None] = {}
    for module, name in _named_globals(pickled):
        try:
            table.find(module, name)
        except pickle.UnpicklingError:
            refused[f"{module}.{name}"] = None
    return list(refused)
