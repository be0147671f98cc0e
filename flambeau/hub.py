"""`torch.hub`: the folder of downloaded models. Downloading models and running code from
repositories is not there; weights come with `load_state_dict_from_url` if they are in the folder.

>>> torch.hub.get_dir().endswith("hub")
True
"""

from __future__ import annotations

import hashlib
import os
import urllib.parse
import urllib.request
from typing import Any

import flambeau

_hub_dir: str | None = None


def get_dir() -> str:
    """The folder of downloaded models."""
    if _hub_dir is not None:
        return _hub_dir
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Sets the folder of downloaded models."""
    global _hub_dir
    _hub_dir = os.path.expanduser(d)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Downloads a file; with `hash_prefix` its SHA-256 must begin so."""
    with urllib.request.urlopen(url) as source:
        data = source.read()
    if hash_prefix is not None:
        digest = hashlib.sha256(data).hexdigest()
        if not digest.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
    with open(dst, "wb") as target:
        target.write(data)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True,
    check_hash: bool = False, file_name: str | None = None, weights_only: bool = False,
) -> Any:  # fmt: skip
    """Loads weights from the folder of downloaded models, into which they are downloaded first."""
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urllib.parse.urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        download_url_to_file(url, path, None, progress)
    return flambeau.load(path, map_location=map_location, weights_only=weights_only)


def _needs_repository(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"torch.hub.{name} is not implemented in Flambeau: it does not run code from "
            "repositories\n  hint: install the package of the model and load its weights"
        )

    function.__name__, function.__doc__ = name, f"`{name}`: not there."
    return function


load, list, help = (_needs_repository(name) for name in ("load", "list", "help"))
