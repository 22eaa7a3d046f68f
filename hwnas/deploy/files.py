"""The model files of one architecture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from torch import nn

from ..device import Device
from ..errors import HwnasError
from ..files import write_atomic
from ..lower import DTYPES, Calibration, lower, to_onnx, to_tflite, write_torch
from ..profiler import load_profiler

Shape = tuple[int, ...]
_FULL = Device(name="fp32", runtime="onnx")
FORMATS: dict[str, Callable[[nn.Module, Shape, Device, Calibration | None], bytes]] = {
    ".onnx": lambda module, shape, device, calibration: _checked(to_onnx(module, shape, dtype=device.dtype, calibration=calibration)),
    ".tflite": lambda module, shape, device, calibration: to_tflite(
        module, shape, dtype=device.dtype, calibration=calibration, int8_io=bool(device.options.get("int8_io"))
    ),
    ".safetensors": lambda module, shape, device, calibration: write_torch(lower(module, shape)),
}


def write_files(
    module: nn.Module,
    shape: Shape,
    folder: Path,
    suffixes: tuple[str, ...] = (".onnx", ".tflite"),
    device: Device = _FULL,
    calibration: Calibration | None = None,
) -> dict[str, Path]:
    """Suffix -> `folder/model<suffix>`, written for inputs of an NCHW shape (TFLite takes NHWC of the same), in the device's dtype.

    calibration: images for the ranges of an int8 file; None takes random ones, which do for timing alone. `.safetensors` holds the
    program in fp32 whatever the dtype. The device's own format is written by its profiler, as its blocks were; in int8 by what that
    profiler calls, with the calibration.
    """
    module, files = module.eval(), {}
    profiler = load_profiler(device.runtime)
    others = device if device.dtype in DTYPES else device.model_copy(update={"dtype": "fp32"})  # bf16 and the like are the runtime's own
    for suffix in suffixes:
        path = folder / f"model{suffix}"
        if suffix == profiler.suffix and (device.dtype != "int8" or suffix not in FORMATS):
            folder.mkdir(parents=True, exist_ok=True)
            files[suffix] = _built(profiler.build, module, shape, device, path)
        else:
            files[suffix] = write_atomic(path, FORMATS[suffix](module, shape, others, calibration))
    return files


def _built(build: Callable[..., Path], module: nn.Module, shape: Shape, device: Device, path: Path) -> Path:
    """What the device's profiler writes, whole or not at all: beside path first, since profilers write straight to the disk."""
    try:
        with TemporaryDirectory(prefix=".hwnas-", dir=path.parent) as folder:
            built = build(module, (shape,), device, Path(folder) / path.name).read_bytes()
    except OSError as error:
        raise HwnasError(f"{path}: cannot be written: {error.strerror}") from error
    return write_atomic(path, _checked(built) if path.suffix == ".onnx" else built)


def _checked(model: bytes) -> bytes:
    onnx.checker.check_model(model, full_check=True)
    return model
