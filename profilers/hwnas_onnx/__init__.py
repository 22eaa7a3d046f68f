"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs .onnx files on the CPU through ONNX Runtime, with all of its graph optimizations."""

    api = 1
    suffix = ".onnx"
    device_module = Path(__file__).with_name("device.py")
    extra = "pip install onnxruntime"

    def probe(self) -> str | None:
        try:
            import onnxruntime  # noqa: F401
        except ImportError as error:
            return f"{error}. Install it with: {self.extra}"
        return None

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_onnx

        out.write_bytes(to_onnx(module, *shapes))
        return out
