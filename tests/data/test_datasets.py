"""Each source of data: what it reads, how it splits, what it says when its files are not right."""

import gzip
import pickle
import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.data import Dataset, Split, hold_out, load_data
from hwnas.data.fashion_mnist import read_idx
from hwnas.errors import HwnasError

RNG = np.random.default_rng(0)


def overlap(a: Split, b: Split) -> int:
    return len({x.tobytes() for x in a.images.numpy()} & {x.tobytes() for x in b.images.numpy()})


def images(n: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (n, *shape), np.uint8)


def write_idx(path: Path, array: np.ndarray) -> None:
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_hold_out_keeps_classes_in_proportion_and_nothing_twice() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    split = Split.of(np.arange(160, dtype=np.uint8).reshape(160, 1, 1), labels)
    rest, held = hold_out(split, 3)
    assert np.bincount(held.labels).tolist() == [10, 5, 1]
    assert sorted([*rest.images.flatten().tolist(), *held.images.flatten().tolist()]) == list(range(160))
    assert torch.equal(hold_out(split, 3)[1].images, held.images) and not torch.equal(hold_out(split, 4)[1].images, held.images)
    assert len(hold_out(split, 0, most=7)[1]) == 7


def test_digits() -> None:
    data = load_data("digits", 0)
    test = data.test_at_the_end()
    assert (data.name, data.shape, len(data.classes), data.mirror) == ("digits", (1, 8, 8), 10, False)
    assert len(data.train) + len(data.valid) + len(test) == 1797 and len(test) == 359
    assert data.train.images.max() == 255 and data.train.images.dtype == torch.uint8
    assert overlap(data.train, test) <= 1 and overlap(data.valid, test) <= 1  # the source holds a few images twice
    assert min(np.bincount(data.valid.labels)) >= 14
    with pytest.raises(HwnasError, match="take no folder"):
        load_data("digits:/tmp")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist_from_a_folder(tmp_path: Path, suffix: str) -> None:
    train, test = images(200, 28, 28), images(20, 28, 28)
    for kind, array in (("train", train), ("t10k", test)):
        write_idx(tmp_path / f"{kind}-images-idx3-ubyte{suffix}", array)
        write_idx(tmp_path / f"{kind}-labels-idx1-ubyte{suffix}", np.arange(len(array), dtype=np.uint8) % 10)
    data = load_data(f"fashion-mnist:{tmp_path}")
    assert (len(data.train), len(data.valid), data.shape) == (180, 20, (1, 28, 28))
    assert np.array_equal(data.test_at_the_end().images[:, 0], test)
    assert overlap(data.train, data.valid) == 0


def test_fashion_mnist_says_what_is_missing_or_torn(tmp_path: Path) -> None:
    with pytest.raises(HwnasError, match="apt-get install dataset-fashion-mnist.*--data fashion-mnist:FOLDER"):
        load_data(f"fashion-mnist:{tmp_path}")
    path = tmp_path / "x"
    write_idx(path, images(3, 4))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HwnasError, match="torn download"):
        read_idx(path)
    path.write_bytes(b"hello world")
    with pytest.raises(HwnasError, match="not an IDX file"):
        read_idx(path)
    torn = tmp_path / "x.gz"
    torn.write_bytes(gzip.compress(bytes(1000))[:-9])
    with pytest.raises(HwnasError, match="cannot be read"):
        read_idx(torn)


def write_parquet(path: Path, array: np.ndarray, labels: np.ndarray, form: str) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    coded = []
    for image in array:
        stream = BytesIO()
        Image.fromarray(image).save(stream, form)
        coded.append(stream.getvalue())
    parquet.write_table(pa.table({"image": coded, "label": labels}), path)


@pytest.mark.parametrize(("form", "name"), [("PNG", "cifar10"), ("JPEG", "cifar10 (JPEG)")])
def test_cifar10_parquet(tmp_path: Path, form: str, name: str) -> None:
    array, labels = images(60, 32, 32, 3), np.arange(60) % 10
    write_parquet(tmp_path / "cifar10_train.parquet", array, labels, form)
    write_parquet(tmp_path / "cifar10_test.parquet", array[:20], labels[:20], form)
    data = load_data(f"cifar10:{tmp_path}")
    assert (data.name, data.shape, len(data.train), len(data.valid), len(data.test_at_the_end())) == (name, (3, 32, 32), 54, 6, 20)
    if form == "PNG":  # lossless
        assert np.array_equal(data.test_at_the_end().images, array[:20].transpose(0, 3, 1, 2))


def python_batches(folder: Path, array: np.ndarray, labels: list[int]) -> None:
    for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        batch = {b"data": array[i * 10 : i * 10 + 10].reshape(10, -1), b"labels": labels[i * 10 : i * 10 + 10], b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def test_cifar10_python_batches(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    array, labels = images(60, 3, 32, 32), [k % 10 for k in range(60)]
    python_batches(folder, array, labels)
    data = load_data(f"cifar10:{tmp_path}")
    assert (data.name, len(data.train), len(data.valid)) == ("cifar10", 45, 5)
    assert np.array_equal(data.test_at_the_end().images, array[50:])


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('pathlib').Path('exploded').touch()",)


def test_cifar10_python_batches_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    python_batches(tmp_path, images(60, 3, 32, 32), [0] * 60)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Bomb()}, protocol=2))
    with pytest.raises(HwnasError, match=r"data_batch_3.*eval"):
        load_data(f"cifar10:{tmp_path}")
    assert not (tmp_path / "exploded").exists()


def test_cifar10_needs_a_folder_that_holds_it(tmp_path: Path) -> None:
    with pytest.raises(HwnasError, match="--data cifar10:FOLDER"):
        load_data("cifar10")
    with pytest.raises(HwnasError, match="holds neither"):
        load_data(f"cifar10:{tmp_path}")
    (tmp_path / "a_train.parquet").write_text("no")
    (tmp_path / "a_test.parquet").write_text("no")
    with pytest.raises(HwnasError, match="not a parquet file"):
        load_data(f"cifar10:{tmp_path}")


def class_folders(top: Path, n: int, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> None:
    for name in ("cat", "dog"):
        (top / name).mkdir(parents=True)
        for k in range(n):
            Image.new(mode, size, k if mode == "L" else (k, k, len(name))).save(top / name / f"{k}.png")


def test_image_folder(tmp_path: Path) -> None:
    class_folders(tmp_path / "photos", 20)
    data = load_data(str(tmp_path / "photos"))
    assert (data.name, data.classes, data.shape) == ("photos", ("cat", "dog"), (3, 10, 12))
    assert (len(data.train), len(data.valid), len(data.test_at_the_end())) == (29, 3, 8)
    assert load_data(f"folder:{tmp_path / 'photos'}@8").shape == (3, 8, 8)
    assert load_data(f"{tmp_path / 'photos'}@8").shape == (3, 8, 8)


def test_image_folder_with_train_and_test(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", 10, mode="L")
    with pytest.raises(HwnasError, match="no test folder"):
        load_data(str(tmp_path))
    class_folders(tmp_path / "test", 3, mode="L")
    data = load_data(str(tmp_path))
    assert (data.shape, len(data.train), len(data.valid), len(data.test_at_the_end())) == ((1, 10, 12), 18, 2, 6)


def test_image_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(HwnasError, match="at least 2"):
        load_data(str(tmp_path))
    class_folders(tmp_path, 10)
    Image.new("RGB", (5, 5)).save(tmp_path / "dog" / "z.png")
    with pytest.raises(HwnasError, match="is 5 x 5.*@64"):
        load_data(str(tmp_path))
    (tmp_path / "dog" / "z.png").write_text("no")
    with pytest.raises(HwnasError, match="not an image"):
        load_data(str(tmp_path))


@pytest.mark.parametrize("shape", [(9, 11), (9, 11, 3), (3, 9, 11)])
def test_npz(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path, labels = tmp_path / "mine.npz", np.arange(50) % 5
    np.savez(path, images=images(50, *shape), labels=labels)
    data = load_data(str(path))
    assert (data.name, data.shape) == ("mine", (3 if 3 in shape else 1, 9, 11))
    assert (len(data.train), len(data.valid), len(data.test_at_the_end())) == (36, 4, 10)


def test_npz_with_splits(tmp_path: Path) -> None:
    path, test = tmp_path / "a.npz", images(6, 8, 8)
    labels = np.arange(40)[:, None] % 4
    np.savez(
        path,
        train_images=images(40, 8, 8),
        train_labels=labels,
        val_images=images(8, 8, 8),
        val_labels=labels[:8],
        test_images=test,
        test_labels=labels[:6],
    )
    data = load_data(f"npz:{path}")
    assert (len(data.train), len(data.valid)) == (40, 8) and np.array_equal(data.test_at_the_end().images[:, 0], test)
    np.savez(path, x_train=images(40, 8, 8), y_train=labels[:, 0], x_test=test, y_test=labels[:6, 0])
    assert len(load_data(str(path)).train) == 36


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros(3)}, "expected images and labels.*pictures"),
        ({"images": np.zeros((9, 4, 4)), "labels": np.zeros(9, int)}, "expected uint8"),
        ({"images": np.zeros((9, 3, 4, 3), np.uint8), "labels": np.zeros(9, int)}, "which axis"),
        ({"images": np.zeros((9, 4, 4), np.uint8), "labels": np.zeros(9)}, "expected integers"),
        ({"images": np.zeros((9, 4, 4), np.uint8), "labels": np.zeros(8, int)}, "labels: expected int64"),
        ({"images": np.array([Bomb()], dtype=object), "labels": np.zeros(1, int)}, "not an .npz of plain arrays"),
    ],
)
def test_npz_errors(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(HwnasError, match=message):
        load_data(str(tmp_path / "a.npz"))


def test_data_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from hwnas.data import load_data\ndef eights(root, seed): return load_data('digits', seed)\ndef none(root, seed): pass\n"
    )
    assert isinstance(load_data(f"{file}:eights"), Dataset)
    with pytest.raises(HwnasError, match="returned NoneType"):
        load_data(f"{file}:none")
    with pytest.raises(HwnasError, match="did you mean 'fashion-mnist'.*file.py:function"):
        load_data("fashion_mnist")


def test_dataset_refuses_what_does_not_fit() -> None:
    split = Split.of(images(4, 8, 8), np.array([0, 1, 2, 3]))
    with pytest.raises(HwnasError, match=r"train labels are 0..3, expected 0..1"):
        Dataset("x", ("a", "b"), split, split, lambda: split)
    with pytest.raises(HwnasError, match="valid split is empty"):
        Dataset("x", tuple("abcd"), split, split.take(np.arange(0)), lambda: split)
