"""PyTorch on the CPU."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs the lowered program in PyTorch.

    Options: channels_last (default true), the layout of the activations; compile, "eager" (default) or "inductor": torch.compile
    with frozen weights, which needs a C++ compiler on the device and takes seconds a block.
    """

    api = 1
    suffix = ".safetensors"
    device_module = Path(__file__).with_name("device.py")
    needs = ("torch",)
    extra = "pip install hwnas"
    options = {"channels_last": True, "compile": ("eager", "inductor")}

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import lower, write_torch

        out.write_bytes(write_torch(lower(module, *shapes)))
        return out
