"""A complete profiler of a toy runtime, which runs on any machine and misbehaves on demand.

Its files are JSON; the key "does" says what a run does: one of the functions in toy_device.py.
Run as a script, it profiles forty toy blocks into the table it is given, so that tests can kill it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from torch import nn

from hwnas import profiler
from hwnas.device import Device
from hwnas.measure import Job, Plan, Worker, measure
from hwnas.table import Table

DEVICE = Device(name="toy", runtime="toy", pin="off")
PLAN = Plan(min_repeat_s=0.0005, repeats=3, warmup_s=0.0, rounds=3, patience_s=0.0, time_limit_s=20.0)
JOBS = 40


class Toy(nn.Module):
    def __init__(self, does: str, size: int):
        super().__init__()
        self.does, self.size = does, size


class Profiler(profiler.Profiler):
    api = 1
    suffix = ".toy"
    device_module = Path(__file__).with_name("toy_device.py")

    def build(self, module: nn.Module, shapes: tuple[tuple[int, ...], ...], device: Device, out: Path) -> Path:
        does, size = getattr(module, "does", "work"), getattr(module, "size", 1)
        if does == "no file":
            raise RuntimeError("this one cannot be lowered")
        out.write_text(json.dumps({"does": does, "size": size, "shapes": shapes}))
        return out


def job(does: str = "work", size: int = 1) -> Job:
    return Job(lambda: Toy(does, size), ((2, 3, 4, 4),))


def jobs(count: int = JOBS) -> dict[str, Job]:
    return {f"block{i}": job(size=1 + i % 5) for i in range(count)}


if __name__ == "__main__":
    with Worker(DEVICE, Profiler()) as worker, Table.open(Path(sys.argv[1]), "toy", worker.fingerprint()) as table:
        measure(worker, jobs(), table, PLAN, lambda done, total, key, sample: print(done, total, flush=True))
