"""CIFAR-10 (Krizhevsky 2009): 32 x 32 colour images, as parquet files or as the official python batches."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HwnasError
from .dataset import Dataset, Split, hold_out

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10(root: Path | None, seed: int) -> Dataset:
    """50,000 training images, 5,000 of them for search-validation, and 10,000 for the test.

    root: a folder with one `*train*.parquet` and one `*test*.parquet` (columns image: PNG or JPEG bytes, label: 0-9),
    or with `data_batch_1` ... `data_batch_5` and `test_batch`.
    """
    if root is None or not root.is_dir():
        what = f"{root} is no folder" if root else "no folder was named"
        raise HwnasError(f"data 'cifar10': {what}: name one with --data cifar10:FOLDER")
    if (root / "cifar-10-batches-py").is_dir():
        root = root / "cifar-10-batches-py"
    tables = {kind: sorted(root.glob(f"*{kind}*.parquet")) for kind in ("train", "test")}
    if all(tables.values()):
        images, read, test = tables["train"], _parquet, tables["test"]
    else:
        images, read, test = sorted(root.glob("data_batch_?")), _batches, [root / "test_batch"]
        if len(images) != 5 or not test[0].is_file():
            raise HwnasError(f"data 'cifar10': {root} holds neither *train*.parquet and *test*.parquet nor data_batch_1..5 and test_batch")
    split, note = read(images)
    train, valid = hold_out(split, seed)
    return Dataset(f"cifar10{note}", CLASSES, train, valid, lambda: read(test)[0])


def _parquet(files: list[Path]) -> tuple[Split, str]:
    """The images, and " (JPEG)" where they are not the lossless originals: a figure must say so."""
    from PIL import Image
    from pyarrow import parquet

    columns: dict[str, list[Any]] = {"image": [], "label": []}
    for file in files:
        try:
            table = parquet.read_table(file, columns=list(columns))
        except (OSError, ValueError, KeyError) as error:
            raise HwnasError(f"{file}: not a parquet file with the columns image and label: {error}") from None
        for name, values in columns.items():
            values += table[name].to_pylist()
    coded = [v["bytes"] if isinstance(v, dict) else v for v in columns["image"]]  # some tools write {bytes, path}
    images = np.stack([np.asarray(Image.open(BytesIO(c)).convert("RGB")) for c in coded])
    return Split.of(images.transpose(0, 3, 1, 2), np.array(columns["label"])), " (JPEG)" if coded[0][:2] == b"\xff\xd8" else ""


def _batches(files: list[Path]) -> tuple[Split, str]:
    images, labels = [], []
    for file in files:
        with file.open("rb") as stream:
            try:
                batch = _ArraysOnly(stream, encoding="bytes").load()
                images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
                labels.append(np.asarray(batch[b"labels"], np.int64))
            except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
                raise HwnasError(f"{file}: not one of the official CIFAR-10 python batches: {error}") from None
    return Split.of(np.concatenate(images), np.concatenate(labels)), ""


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries, lists, text and numpy arrays: a pickle can name any function to call, and only the four below may be."""

    def find_class(self, module: str, name: str) -> Any:
        numpy_core = module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct"
        if numpy_core or (module, name) in (("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
