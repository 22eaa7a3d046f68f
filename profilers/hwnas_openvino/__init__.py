"""OpenVINO."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs .onnx files through OpenVINO: it reads and compiles one in 0.1 s, where it takes seconds for a torch module.

    The dtype is that of the arithmetic; for int8 the file is a quantised one, the same that ONNX Runtime takes.
    Option device (default "CPU"): the OpenVINO device, such as "GPU" or "NPU".
    """

    api = 1
    suffix = ".onnx"
    device_module = Path(__file__).with_name("device.py")
    needs = ("openvino",)
    extra = "pip install 'hwnas[openvino]'"
    dtypes = ("fp32", "fp16", "bf16", "int8")
    options = {"device": "CPU"}

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import to_onnx

        out.write_bytes(to_onnx(module, *shapes, dtype="int8" if device.dtype == "int8" else "fp32"))
        return out
