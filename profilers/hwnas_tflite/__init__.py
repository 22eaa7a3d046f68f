"""TensorFlow Lite, by its maintained runtime LiteRT (ai-edge-litert) or, on old boards, by tflite-runtime."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device
from hwnas.errors import HwnasError


class Profiler(profiler.Profiler):
    """Runs .tflite files on the CPU, or through a delegate.

    Options: xnnpack (default true): with the XNNPACK kernels, or the built-in ones; delegate, the shared library of a delegate on
    the device, and delegate_options, a table for it; fallback (default false): whether a delegate may leave the whole network to the CPU;
    int8_io (default false): an int8 file takes and gives int8, as microcontrollers want it.
    """

    api = 1
    suffix = ".tflite"
    device_module = Path(__file__).with_name("device.py")
    needs = ("ai_edge_litert|tflite_runtime",)
    dtypes = ("fp32", "fp16", "int8")
    extra = "pip install ai-edge-litert"
    options = {"xnnpack": True, "delegate": "", "delegate_options": {}, "fallback": False, "int8_io": False}

    def check(self, device: Device) -> None:
        if device.options.get("delegate_options") and not device.options.get("delegate"):
            raise HwnasError(f"device {device.name!r}: delegate_options without a delegate: set delegate to its shared library")

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_tflite

        out.write_bytes(to_tflite(module, *shapes, dtype=device.dtype, int8_io=bool(device.options.get("int8_io"))))
        return out
