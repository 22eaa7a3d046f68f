"""Device side: the lowered program in eager PyTorch, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hwnas.lower import read_torch

API = 1


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "torch", "version": torch.__version__, "kernels": torch.backends.cpu.get_cpu_capability()}


class Session:
    device = "cpu"
    channels_last = True

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        torch.set_num_threads(options["threads"])
        self.module = read_torch(path, options.get("channels_last", self.channels_last), self.device)
        program = self.module.program
        self.shapes = [program.shapes[name] for name in program.inputs]

    def put(self, xs: list[np.ndarray]) -> None:
        layout = torch.channels_last if self.module.channels_last else torch.contiguous_format
        tensors = [torch.from_numpy(x).to(self.device) for x in xs]
        self.xs = [x.contiguous(memory_format=layout) if x.ndim == 4 else x for x in tensors]

    def run(self) -> None:
        with torch.inference_mode():
            self.y = self.module(*self.xs)

    def get(self) -> np.ndarray:
        return self.y.cpu().contiguous().numpy()

    def close(self) -> None:
        del self.module
