"""Device side: the lowered program in PyTorch on the first CUDA device, launched kernel by kernel or as one CUDA graph."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import torch
from hwnas_cpu import device as cpu

API = 1
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WARMUPS = 3  # runs before a capture, as torch's documentation asks for: workspaces must be there before


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
    on_cpu = False

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        dtype = options.get("dtype", "fp32")
        torch.backends.cudnn.benchmark = True  # shapes never change here
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"  # dtype fp32 means fp32
        self.dtype = DTYPES[dtype]
        self.start, self.end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self.energy = _EnergyMeter(str(torch.cuda.get_device_properties(0).uuid))
        self.graph: torch.cuda.CUDAGraph | None = None
        super().__init__(path, options)
        if options.get("graphs", False):
            self.put([np.zeros(shape, np.float32) for shape in self.shapes])
            self._capture()

    def put(self, xs: list[np.ndarray]) -> None:
        if self.graph is None:
            super().put(xs)
            return
        for held, x in zip(self.xs, xs):  # a graph reads where it was captured
            held.copy_(torch.from_numpy(x))

    def run(self) -> None:
        self._launch()
        torch.cuda.synchronize()

    def timed(self, loops: int) -> tuple[int, None]:
        """Time on the GPU between two events around the loop; inferences are queued, as a busy GPU has them."""
        self.start.record()
        for _ in range(loops):
            self._launch()
        self.end.record()
        self.end.synchronize()
        return max(1, round(self.start.elapsed_time(self.end) * 1e6)), None

    def counters(self) -> dict[str, float]:
        return self.energy.read()

    def close(self) -> None:
        self.graph = None
        super().close()

    def _launch(self) -> None:
        if self.graph is not None:
            self.graph.replay()
        else:
            super().run()

    def _capture(self) -> None:
        """One graph of one inference; its input and output stay where they are now."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                super().run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            super().run()
        self.graph = graph


class _EnergyMeter:
    """What the GPU has drawn since its driver was loaded, by NVML (Volta and later); nothing where NVML does not tell."""

    def __init__(self, uuid: str):
        self.handle = ctypes.c_void_p()
        try:
            self.nvml = ctypes.CDLL("libnvidia-ml.so.1")
            name = uuid if uuid.startswith("GPU-") else "GPU-" + uuid
            bad = self.nvml.nvmlInit_v2() or self.nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(self.handle))
        except (OSError, AttributeError):
            bad = True
        self.works = not bad

    def read(self) -> dict[str, float]:
        drawn = ctypes.c_ulonglong()
        if not self.works or self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle, ctypes.byref(drawn)):
            return {}
        return {"energy_mj": float(drawn.value)}
