"""A reference runtime in NumPy: slow, right, and a complete example of a profiler that is not part of hwnas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from torch import nn

from hwnas import profiler
from hwnas.device import Device


class Profiler(profiler.Profiler):
    """Runs the lowered program, one NumPy expression a node; the file is an .npz with the program as JSON and its weights."""

    api = 1
    suffix = ".npz"
    device_module = Path(__file__).with_name("device.py")
    extra = "pip install numpy"

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        from hwnas.lower import lower

        program = lower(module, *shapes)
        nodes = [[n.op, n.inputs, n.output, n.attrs, list(n.weights)] for n in program.nodes]
        text = json.dumps({"inputs": program.inputs, "outputs": program.outputs, "shapes": program.shapes, "nodes": nodes})
        weights = {f"{n.output}.{name}": value.numpy() for n in program.nodes for name, value in n.weights.items()}
        with out.open("wb") as file:
            np.savez(file, program=np.frombuffer(text.encode(), np.uint8), **weights)
        return out
