"""file_accuracy: how often a file is right, in the runtime that it is made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..device import Device
from ..lower import read_torch
from ..measure import Local, Worker
from ..profiler import load_profiler

_HERE = {".onnx": "onnx", ".tflite": "tflite"}  # the runtime of a format on this machine
BATCH = 500


def outputs_of(file: Path, device: Device, x: np.ndarray) -> np.ndarray:
    """(n, classes) float32 of the file for x (n, c, h, w): on the device if it is the device's own format, else in that format's
    runtime on this machine; here as well, in the same runtime, where the device gives no outputs.

    Raises HwnasError if it does not run there.
    """
    if load_profiler(device.runtime).suffix != file.suffix:
        return outputs_here(file, device.batch, x)
    worker = Worker(device, load_profiler(device.runtime))
    if not worker.transport.gives_outputs:
        worker = Worker(device.model_copy(update={"pin": "off"}), load_profiler(device.runtime), Local())  # the device's cores are not ours
    with worker:
        return worker.predict(file, x)


def outputs_here(file: Path, batch: int, x: np.ndarray) -> np.ndarray:
    """(n, classes) float32 of an .onnx, .tflite or .safetensors file for x (n, c, h, w), in that format's runtime on this machine."""
    if file.suffix == ".safetensors":
        runner = read_torch(file)
        with torch.inference_mode():
            return np.concatenate([runner(torch.from_numpy(x[i : i + BATCH])).numpy() for i in range(0, len(x), BATCH)])
    here = Device(name=f"{_HERE[file.suffix]}-here", runtime=_HERE[file.suffix], batch=batch)
    with Worker(here, load_profiler(here.runtime), Local()) as worker:
        return worker.predict(file, x)


def tested_on(device: Device) -> str:
    """Where `outputs_of` runs the device's own file, in words of the certificate."""
    gives = Worker(device, load_profiler(device.runtime)).transport.gives_outputs
    return "device" if gives else "host: the device gives no outputs"


def file_accuracy(y: np.ndarray, expected: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Of outputs y (n, classes) beside those of the torch module: accuracy and parity."""
    return {
        "test": float((y.argmax(1) == labels).mean()),
        "parity": {
            "max_abs_error": float(np.abs(y - expected).max()),
            "sqnr_db": sqnr_db(expected, y),
            "top1_agreement": float((y.argmax(1) == expected.argmax(1)).mean()),
        },
    }


def sqnr_db(expected: np.ndarray, y: np.ndarray) -> float:
    """Signal to quantisation noise, dB: 10 log10 of the energy of the signal over that of the error; 300 where they are equal."""
    error = np.square(np.subtract(expected, y, dtype=np.float64)).sum()
    signal = np.square(expected, dtype=np.float64).sum()
    return float(np.clip(10 * np.log10(max(signal, 1e-30) / max(error, 1e-60)), -300, 300))
