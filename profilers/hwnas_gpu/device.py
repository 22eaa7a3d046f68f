"""Device side: the lowered program in eager PyTorch, on the first CUDA device."""

from __future__ import annotations

from typing import Any

import torch
from hwnas_cpu import device as cpu

API = 1


def facts(options: dict[str, Any]) -> dict[str, Any]:
    if not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} (built for CUDA {torch.version.cuda}) finds no CUDA device")
    gpu = torch.cuda.get_device_properties(0)
    return {
        "name": "torch",
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "gpu": gpu.name,
        "gpu_memory_bytes": gpu.total_memory,
    }


class Session(cpu.Session):
    device = "cuda"
    channels_last = False

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        torch.backends.cudnn.benchmark = True  # shapes never change here
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # dtype fp32 means fp32
        super().__init__(path, options)
        self.start, self.end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def run(self) -> None:
        super().run()
        torch.cuda.synchronize()

    def timed(self, loops: int) -> tuple[int, None]:
        """Time on the GPU between two events around the loop; inferences are queued, as a busy GPU has them."""
        with torch.inference_mode():
            self.start.record()
            for _ in range(loops):
                self.module(*self.xs)
            self.end.record()
        self.end.synchronize()
        return max(1, round(self.start.elapsed_time(self.end) * 1e6)), None
