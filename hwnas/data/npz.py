"""Arrays in an .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ..errors import HwnasError
from .dataset import Dataset, Split, hold_out

PATTERNS = ("{}_images {}_labels", "x_{} y_{}")  # the first as in MedMNIST, the second as in Keras


def npz(root: Path | None, seed: int) -> Dataset:
    """`train_images train_labels test_images test_labels` and, if any, `valid_...`; or `images labels`, split here 72/8/20 %.

    Images are uint8 (n, h, w), (n, h, w, c) or (n, c, h, w), labels integers (n,). `x_train y_train x_test y_test` will do, too.
    """
    if root is None or not root.is_file():
        raise HwnasError(f"data 'npz': {root or 'no file'} is no file: --data FILE.npz")
    try:
        with np.load(root, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise HwnasError(f"{root}: not an .npz of plain arrays: {error}") from None
    whole, train = _split(root, arrays, "", ("images labels",)), _split(root, arrays, "train")
    valid, test = _split(root, arrays, "valid", names=("valid", "val")), _split(root, arrays, "test")
    if train is not None and test is not None:
        rest = train
    elif whole is not None:
        rest, test = (whole, test) if test is not None else hold_out(whole, seed, 0.2)
    else:
        raise HwnasError(
            f"{root}: expected images and labels, or train_images, train_labels, test_images, test_labels; has {', '.join(arrays)}"
        )
    kept = test
    count = 1 + int(max(split.labels.max() for split in (rest, test)))
    train, valid = (rest, valid) if valid is not None else hold_out(rest, seed)
    return Dataset(root.stem, tuple(map(str, range(count))), train, valid, lambda: kept)


def _split(
    root: Path, arrays: dict[str, np.ndarray], kind: str, patterns: tuple[str, ...] = PATTERNS, names: tuple[str, ...] = ()
) -> Split | None:
    for pattern in patterns:
        for name in names or (kind,):
            images, labels = pattern.format(name, name).split()
            if images in arrays and labels in arrays:
                return Split.of(_channels_first(root, images, arrays[images]), _integers(root, labels, arrays[labels]))
    return None


def _channels_first(root: Path, name: str, images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise HwnasError(f"{root}: {name} is {images.dtype} {images.shape}: expected uint8 (0..255) with 3 or 4 axes")
    if images.ndim == 3:
        return images
    first, last = images.shape[1] in (1, 3, 4), images.shape[3] in (1, 3, 4)
    if first == last:
        raise HwnasError(f"{root}: {name} is {images.shape}: which axis holds the channels? (one of 1, 3 or 4 at axis 1 or at the end)")
    return images if first else images.transpose(0, 3, 1, 2)


def _integers(root: Path, name: str, labels: np.ndarray) -> np.ndarray:
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise HwnasError(f"{root}: {name} is {labels.dtype} {labels.shape}: expected integers (n,)")
    return labels
