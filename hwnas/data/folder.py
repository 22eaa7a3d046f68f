"""A folder of image files, one subfolder for each class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ..errors import HwnasError
from .dataset import Dataset, Split, hold_out

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm"}


def folder(root: Path | None, seed: int) -> Dataset:
    """FOLDER/{train,test}/CLASS/*.png, or FOLDER/CLASS/*.png, of which a seeded 20 % is the test split.

    `FOLDER@64` makes all images 64 x 64: the shorter side is scaled to 64, then the middle cut out. Without a number all
    must have one size. All of it is held in memory, as uint8.
    """
    if root is None:
        raise HwnasError("data 'folder': which one? --data folder:FOLDER or folder:FOLDER@64")
    text, at, size = str(root).rpartition("@")
    side = int(size) if at and size.isdigit() and int(size) > 0 else None
    root = Path(text) if side else root
    if not root.is_dir():
        raise HwnasError(f"data 'folder:{root}': there is no such folder")
    top = root / "train" if (root / "train").is_dir() else root
    classes = sorted(p.name for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise HwnasError(f"data 'folder:{root}': {top} holds {len(classes)} class folders, at least 2 are needed")
    grey = all(_mode(file) in ("L", "1") for name in classes for file in _files(top / name)[:1])
    read = partial(_read, classes=classes, side=side, grey=grey)
    if top is root:
        rest, test = hold_out(read(root), seed, 0.2)
        read_test = lambda: test
    elif (root / "test").is_dir():
        rest, read_test = read(top), partial(read, root / "test")
    else:
        raise HwnasError(f"data 'folder:{root}': there is a train folder but no test folder beside it")
    return Dataset(root.name, tuple(classes), *hold_out(rest, seed), read_test)


def _files(directory: Path) -> list[Path]:
    files = sorted(p for p in directory.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise HwnasError(f"data: {directory} holds no images ({', '.join(sorted(SUFFIXES))})")
    return files


def _mode(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as image:
        return str(image.mode)


def _read(top: Path, classes: list[str], side: int | None, grey: bool) -> Split:
    from PIL import Image, ImageOps, UnidentifiedImageError

    files = [(file, k) for k, name in enumerate(classes) for file in _files(top / name)]
    images: list[np.ndarray] = []
    for file, _ in files:
        try:
            with Image.open(file) as opened:
                image = opened.convert("L" if grey else "RGB")
            images.append(np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR) if side else image))
        except (UnidentifiedImageError, OSError) as error:
            raise HwnasError(f"{file}: not an image that can be read: {error}") from None
        if images[-1].shape != images[0].shape:
            size = "{1} x {0}".format(*images[-1].shape)
            raise HwnasError(f"{file}: is {size}, others are not: name one size for all, --data folder:{top.parent}@64")
    stacked = np.stack(images)
    return Split.of(stacked if grey else stacked.transpose(0, 3, 1, 2), np.array([k for _, k in files]))
