"""Device side: the lowered program in PyTorch on the CPU, eager or compiled."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import torch

from hwnas.lower import read_torch

API = 1
ALLOCATES = True


def facts(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "torch", "version": torch.__version__, "kernels": torch.backends.cpu.get_cpu_capability()}


class Session:
    device = "cpu"
    channels_last = True
    dtype = torch.float32

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        torch.set_num_threads(options["threads"])
        runner = read_torch(path, options.get("channels_last", self.channels_last), self.device).to(self.dtype).eval()
        program = runner.program
        self.shapes = [program.shapes[name] for name in program.inputs]
        self.layout = torch.channels_last if runner.channels_last else torch.contiguous_format
        self.module: Callable[..., Any] = runner
        if options.get("compile", "eager") == "inductor":
            self.module = compiled(runner)
            self.put([np.zeros(shape, np.float32) for shape in self.shapes])
            self.run()  # compiles now, so that it counts as loading

    def put(self, xs: list[np.ndarray]) -> None:
        tensors = [torch.from_numpy(x).to(self.device, self.dtype) for x in xs]
        self.xs = [x.to(memory_format=self.layout) if x.ndim == 4 else x for x in tensors]

    def run(self) -> None:
        with torch.inference_mode():
            self.y = self.module(*self.xs)

    def get(self) -> np.ndarray:
        return self.y.float().cpu().contiguous().numpy()

    def close(self) -> None:
        del self.module


def compiled(runner: torch.nn.Module) -> Callable[..., Any]:
    """torch.compile for one shape with the weights as constants, so that it can fold and lay them out anew."""
    import torch._inductor.config as inductor

    torch._dynamo.reset()  # all blocks share the code of one forward, whose recompilations are limited
    inductor.freezing = True
    inductor.compile_threads = 1  # no processes beside this one
    return torch.compile(runner, backend="inductor", fullgraph=True, dynamic=False)
