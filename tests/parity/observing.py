"""Running one program under two libraries and noting what it sees.

A scenario is a function of a library, its `nn`, `say(values...)` and `attempt(action)`. `attempt`
says what the action returns or, for an error, its class and text; warnings come first.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any


def observe(function: Callable[..., None], library: Any) -> list[str]:
    """What the scenario says under `library`, as text, with the libraries' names made equal."""
    seen: list[str] = []

    def say(*values: Any) -> None:
        text = " ".join(v if isinstance(v, str) else repr(v) for v in values)
        seen.append(text.replace("flambeau.", "torch."))

    def attempt(action: Callable[[], Any]) -> None:
        """Say what `action` returns or raises, with the warnings before it."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = action()
            except Exception as error:  # noqa: BLE001 (whatever it is, it must be torch's)
                # What Flambeau adds to torch's text stands on lines of its own, indented by two.
                text = re.split(r"\n  (?=\S)", str(error))[0]
                result = f"{type(error).__name__}: {text}"
        for warning in caught:
            say(f"{warning.category.__name__}: {warning.message}")
        say(result)

    library.manual_seed(0)
    function(library, library.nn, say, attempt)
    return seen
