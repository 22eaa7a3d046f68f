"""Fashion-MNIST (Xiao et al. 2017): 28 x 28 grey images of clothes, read from the IDX files of its authors."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from ..errors import HwnasError
from .dataset import Dataset, Split, hold_out

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def fashion_mnist(root: Path | None, seed: int) -> Dataset:
    """60,000 training images, 5,000 of them for search-validation, and 10,000 for the test; root: a folder of IDX files."""
    folder = root or DEBIAN
    files = {kind: (_find(folder, f"{kind}-images-idx3-ubyte"), _find(folder, f"{kind}-labels-idx1-ubyte")) for kind in ("train", "t10k")}
    train, valid = hold_out(_read(*files["train"]), seed)
    return Dataset("fashion-mnist", CLASSES, train, valid, partial(_read, *files["t10k"]))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise HwnasError(
        f"data 'fashion-mnist': {folder / name}[.gz] is missing: apt-get install dataset-fashion-mnist, or name your folder: "
        "--data fashion-mnist:FOLDER"
    )


def _read(images: Path, labels: Path) -> Split:
    return Split.of(read_idx(images), read_idx(labels))


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an IDX file, plain or .gz: 0, 0, 8 (uint8), number of axes, their lengths (big-endian), bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise HwnasError(f"{path}: cannot be read: {error}") from None
    axes = content[3] if len(content) > 4 else 0
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * axes:
        raise HwnasError(f"{path}: not an IDX file of bytes (it starts with {content[:4]!r})")
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    if len(content) != 4 + 4 * axes + prod(shape):
        raise HwnasError(f"{path}: {len(content)} bytes do not hold {shape}: a torn download? fetch it again")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
