"""TensorFlow Lite, by its maintained runtime LiteRT (ai-edge-litert) or, on old boards, by tflite-runtime."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs .tflite files on the CPU; option xnnpack (default true): with the XNNPACK kernels, or the built-in ones."""

    api = 1
    suffix = ".tflite"
    device_module = Path(__file__).with_name("device.py")
    extra = "pip install ai-edge-litert"
    options = {"xnnpack": True}

    def probe(self) -> str | None:
        try:
            import ai_edge_litert.interpreter  # noqa: F401
        except ImportError as error:
            return f"{error}. Install it with: {self.extra}"
        return None

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_tflite

        out.write_bytes(to_tflite(module, *shapes))
        return out
