"""Variants: the same network in other number formats, written beside the file that is certified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from ..device import Device
from ..files import write_atomic
from ..lower import Calibration, to_onnx, to_tflite

KINDS = ("fp32", "fp16", "int8", "int8-io")  # int8-io: int8 at the file's inputs and outputs, too; TFLite alone has that


class Variant(NamedTuple):
    """What a kind is made with; int8_io for .tflite only."""

    dtype: str
    int8_io: bool


def variants(kinds: Sequence[str], device: Device) -> dict[str, Variant]:
    """File name -> how it is made, without those that are `model.onnx` or `model.tflite` of the device already."""
    own = Variant(device.dtype, bool(device.options.get("int8_io")))
    found = {}
    for kind in dict.fromkeys(kinds):
        dtype, _, io = kind.partition("-")
        variant = Variant(dtype, bool(io))
        if not io and dtype != own.dtype:
            found[f"model-{kind}.onnx"] = variant
        if variant != own:
            found[f"model-{kind}.tflite"] = variant
    return found


def write_variants(
    module: nn.Module, shape: tuple[int, ...], folder: Path, kinds: Sequence[str], device: Device, calibration: Calibration
) -> list[Path]:
    """Writes `folder/model-KIND.onnx` and `.tflite` for inputs of an NCHW shape, and removes those of an earlier export.

    kinds: of KINDS; calibration: images for the ranges of int8 files.
    """
    wanted = variants(kinds, device)
    for kind in KINDS:
        for suffix in (".onnx", ".tflite"):
            if (name := f"model-{kind}{suffix}") not in wanted:
                (folder / name).unlink(missing_ok=True)
    paths = []
    for name, (dtype, int8_io) in wanted.items():
        if name.endswith(".onnx"):
            data = to_onnx(module, shape, dtype=dtype, calibration=calibration)
        else:
            data = to_tflite(module, shape, dtype=dtype, calibration=calibration, int8_io=int8_io)
        paths.append(write_atomic(folder / name, data))
    return paths
