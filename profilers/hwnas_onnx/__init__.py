"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs .onnx files through ONNX Runtime, with all of its graph optimizations, on the CPU or on other execution providers.

    Options: providers, in order of preference, such as ["CUDA"]; provider_options, a table for each of them; fallback (default
    false): whether nodes may run on the CPU that were meant for another provider, which is an error otherwise.
    """

    api = 1
    suffix = ".onnx"
    device_module = Path(__file__).with_name("device.py")
    needs = ("onnxruntime",)
    dtypes = ("fp32", "fp16", "int8")
    extra = "pip install onnxruntime"
    options = {"providers": ["CPU"], "provider_options": {}, "fallback": False}

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_onnx

        out.write_bytes(to_onnx(module, *shapes, dtype=device.dtype))
        return out
