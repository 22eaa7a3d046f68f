"""Device side: OpenVINO."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from typing import IO, Any

import numpy as np

# Importing openvino imports its model converter, which sends a usage report at once and writes an id into the home folder.
# The converter is not needed here, and openvino does without it where it cannot be imported.
sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

API = 1
PRECISION = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}  # that of the arithmetic; a quantised file says itself where it is int8


class Kept:
    """Compiled models, in a file that has no name, so that it goes with the process, however that ends. Without room nothing is kept."""

    def __init__(self) -> None:
        self.places: dict[tuple[Any, ...], tuple[int, int]] = {}  # key -> offset and size in the file
        self.file: IO[bytes] | None = None

    def get(self, key: tuple[Any, ...]) -> io.BytesIO | None:
        if self.file is None or key not in self.places:
            return None
        offset, size = self.places[key]
        self.file.seek(offset)
        return io.BytesIO(self.file.read(size))

    def put(self, key: tuple[Any, ...], model: bytes) -> None:
        with contextlib.suppress(OSError):
            self.file = self.file or tempfile.TemporaryFile(buffering=0)
            offset = self.file.seek(0, io.SEEK_END)
            if self.file.write(model) == len(model):
                self.places[key] = offset, len(model)


KEPT = Kept()


def facts(options: dict[str, Any]) -> dict[str, Any]:
    core, device = ov.Core(), options.get("device", "CPU")
    if device not in core.available_devices:
        raise ValueError(f"device: openvino {ov.__version__} finds no {device!r} here, it finds {', '.join(core.available_devices)}")
    return {"name": "openvino", "version": ov.__version__, "device": core.get_property(device, "FULL_DEVICE_NAME")}


class Session:
    def __init__(self, path: str, options: dict[str, Any]) -> None:
        device = options.get("device", "CPU")
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": PRECISION.get(options.get("dtype", "fp32"), "f32")}
        self.on_cpu = device == "CPU"
        if self.on_cpu:
            # One stream and as many threads as asked, or it takes every core for one inference.
            settings |= {"INFERENCE_NUM_THREADS": options["threads"], "NUM_STREAMS": 1}
        # Every round loads a file anew: to import what was compiled takes a quarter of the time, and runs as fast (ratio 0.995 to 0.999).
        # On the CPU: not every other device can import.
        file = os.stat(path)
        self.key = path, file.st_ino, file.st_mtime_ns, file.st_size, *settings.items()
        kept = KEPT.get(self.key)
        self.from_cache = kept is not None
        self.compiled = ov.Core().import_model(kept, device, settings) if kept else ov.Core().compile_model(path, device, settings)
        self.shapes = [tuple(port.shape) for port in self.compiled.inputs]
        self.request = self.compiled.create_infer_request()

    def put(self, xs: list[np.ndarray]) -> None:
        for i, x in enumerate(xs):
            self.request.set_input_tensor(i, ov.Tensor(np.ascontiguousarray(x)))

    def run(self) -> None:
        self.request.infer()

    def get(self) -> np.ndarray:
        return np.array(self.request.get_output_tensor(0).data)

    def close(self) -> None:
        if self.on_cpu and not self.from_cache:
            KEPT.put(self.key, self.compiled.export_model().getvalue())
        del self.request, self.compiled
