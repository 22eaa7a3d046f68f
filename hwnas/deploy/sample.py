"""The sample of a bundle: a few inputs and what the files made of them when they were exported, so that anyone can check later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..errors import HwnasError

FILE = "sample.safetensors"
INPUTS = 8
MAX_BYTES = 64_000_000


def sample_inputs(shape: tuple[int, ...], count: int = INPUTS, seed: int = 0) -> np.ndarray:
    """(count, c, h, w) float32 in 0..1: smooth random patterns, which are no one's pictures and hold no licence."""
    _, channels, height, width = shape
    coarse = np.random.default_rng(seed).random((count, channels, 4, 4), np.float32)
    rows, columns = np.linspace(0, 3, height, dtype=np.float32), np.linspace(0, 3, width, dtype=np.float32)
    weights = [np.maximum(0, 1 - np.abs(at[:, None] - np.arange(4, dtype=np.float32))) for at in (rows, columns)]
    return np.einsum("yi,ncij,xj->ncyx", weights[0], coarse, weights[1], optimize=True).astype(np.float32)


def write_sample(x: np.ndarray, outputs: Mapping[str, np.ndarray]) -> bytes:
    """outputs: file name -> (n, classes), and "torch" -> those of the fp32 module."""
    return save({"input": np.ascontiguousarray(x), **{f"output.{name}": np.ascontiguousarray(y) for name, y in outputs.items()}})


def read_sample(path: Path, file: str) -> tuple[np.ndarray, np.ndarray]:
    """(x, y): the inputs and what `file` made of them. Raises HwnasError for anything but float32 arrays that belong together."""
    try:
        tensors = load(path.read_bytes())
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise HwnasError(f"{path}: not readable as safetensors: {str(error).splitlines()[0]}") from None
    x, y = tensors.get("input"), tensors.get(f"output.{file}")
    if x is None or y is None:
        raise HwnasError(f"{path}: holds no 'input' with an 'output.{file}', only {', '.join(sorted(tensors)) or 'nothing'}")
    sound = x.dtype == y.dtype == np.float32 and x.ndim == 4 and y.ndim >= 2 and len(x) == len(y) > 0
    if not sound or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise HwnasError(f"{path}: input {x.dtype} {x.shape} and output.{file} {y.dtype} {y.shape} are no finite float32 pair")
    return x, y
