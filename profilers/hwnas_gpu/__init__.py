"""PyTorch on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs the lowered program in PyTorch on the first GPU, timed by CUDA events.

    dtype: fp32, tf32 (fp32 with tensor cores, inputs rounded to 10 bits), fp16, bf16. Options: channels_last (default false), the layout of
    the activations; graphs (default false): the network is captured once and launched as one CUDA graph, which spares the host's
    work for each kernel; compile, "eager" (default) or "inductor".
    """

    api = 1
    suffix = ".safetensors"
    device_module = Path(__file__).with_name("device.py")
    needs = ("torch",)
    extra = "pip install --force-reinstall torch"  # the default wheel of x86 Linux is the CUDA one
    dtypes = ("fp32", "tf32", "fp16", "bf16")
    options = {"channels_last": False, "graphs": False, "compile": ("eager", "inductor")}

    def probe(self) -> str | None:
        import torch

        if torch.cuda.is_available():
            return None
        if torch.version.cuda is None:
            return f"this torch ({torch.__version__}) is built without CUDA. Install one that has it: {self.extra}"
        return "torch finds no NVIDIA GPU here (nvidia-smi lists those the driver knows)"

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import lower, write_torch

        out.write_bytes(write_torch(lower(module, *shapes)))
        return out
