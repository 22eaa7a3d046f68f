"""The model files of one architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from torch import nn

from ..files import write_atomic
from ..lower import lower, to_onnx, to_tflite, write_torch

Shape = tuple[int, ...]
FORMATS: dict[str, Callable[[nn.Module, Shape], bytes]] = {
    ".onnx": lambda module, shape: _checked(to_onnx(module, shape)),
    ".tflite": lambda module, shape: to_tflite(module, shape),
    ".safetensors": lambda module, shape: write_torch(lower(module, shape)),
}


def write_files(module: nn.Module, shape: Shape, folder: Path, suffixes: tuple[str, ...] = (".onnx", ".tflite")) -> dict[str, Path]:
    """Suffix -> `folder/model<suffix>`, written for inputs of an NCHW shape (TFLite takes NHWC of the same)."""
    module = module.eval()
    return {suffix: write_atomic(folder / f"model{suffix}", FORMATS[suffix](module, shape)) for suffix in suffixes}


def _checked(model: bytes) -> bytes:
    onnx.checker.check_model(model, full_check=True)
    return model
