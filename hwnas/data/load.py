"""load_data: from what stands after --data to a Dataset."""

from __future__ import annotations

from pathlib import Path

from .. import plugins
from ..errors import HwnasError, did_you_mean
from .dataset import Dataset
from .folder import folder
from .npz import npz


def load_data(text: str, seed: int = 0) -> Dataset:
    """The data set a text names: `digits`, `fashion-mnist:FOLDER`, `photos/` or `photos/@96`, `arrays.npz`, `mine.py:function`.

    A loader is a function (root: Path | None, seed: int) -> Dataset; installed ones are found in the entry point group
    `hwnas.data`. seed decides which images are held out. Raises HwnasError if there is no such data.
    """
    name, colon, rest = text.partition(":")
    if ".py:" in text:
        loaded = plugins.load(plugins.DATA, text)(None, seed)
    elif name in plugins.installed(plugins.DATA):
        loaded = plugins.load(plugins.DATA, name)(Path(rest).expanduser() if colon else None, seed)
    elif text.endswith(".npz"):
        loaded = npz(Path(text).expanduser(), seed)
    elif Path(text.rpartition("@")[0] or text).expanduser().is_dir():
        loaded = folder(Path(text).expanduser(), seed)
    else:
        way_out = "Or: a folder of class folders, a file.npz, file.py:function."
        raise did_you_mean("data", text, plugins.installed(plugins.DATA), way_out)
    if not isinstance(loaded, Dataset):
        raise HwnasError(f"data {text!r}: its loader returned {type(loaded).__name__}, expected a hwnas.data.Dataset")
    return loaded
