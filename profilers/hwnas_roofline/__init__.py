"""An estimate from a datasheet, for a board that is not at hand."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device
from hwnas.errors import HwnasError

FIGURES = ("peak_gops", "bandwidth_gb_s", "launch_us")


class Profiler(profiler.Profiler):
    """Measures nothing: a node takes what its operations or its bytes need at the datasheet's peak, the longer of both, plus a launch.

    The roofline model of Williams, Waterman and Patterson (2009), node by node. Options, all to be given: peak_gops, 10^9 operations a
    second at the device's dtype, a multiply-accumulate counted as two; bandwidth_gb_s, of memory, 10^9 bytes a second; launch_us, what a
    node costs beside its work (may be 0). Real devices reach a part of their peak, which differs from one block to the next: so
    tables, searches and certificates say that it is an estimate, and no certificate passes on it.
    """

    api = 1
    suffix = ".safetensors"
    device_module = Path(__file__).with_name("device.py")
    needs = ("torch",)
    extra = "pip install hwnas"
    estimate = True
    options = {"peak_gops": 0.0, "bandwidth_gb_s": 0.0, "launch_us": 0.0}

    def check(self, device: Device) -> None:
        for name in FIGURES:
            value = device.options.get(name)
            if value is None:
                raise HwnasError(f"device {device.name!r}: runtime roofline needs {name} under [options]: take it from the datasheet")
            if value < 0 or (value == 0 and name != "launch_us"):
                raise HwnasError(f"device {device.name!r}: options.{name} = {value!r}: expected a number above zero")

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import lower, write_torch

        out.write_bytes(write_torch(lower(module, *shapes)))
        return out
