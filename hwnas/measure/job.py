"""Job: what there is to measure under a key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..block import Block
from ..device import Device
from ..ops import build, input_shapes
from ..profiler import Profiler
from .as_trained import as_trained


@dataclass(frozen=True)
class Job:
    """A module, made when it is needed, and the NCHW shapes of its inputs, batch included."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(block: Block, batch: int = 1) -> Job:
        """The job of a block on a device of that batch size."""
        return Job(lambda: build(block), input_shapes(block, batch))

    def module(self) -> nn.Module:
        """In evaluation mode, with the same weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return as_trained(self.make().eval())

    def file(self, profiler: Profiler, device: Device, folder: Path) -> Path:
        """Its file in folder, named by its content: the same weights are the same file, and it is sent to a board once."""
        new = profiler.build(self.module(), self.shapes, device, folder / f"new{profiler.suffix}")
        return new.replace(folder / f"{hashlib.sha256(new.read_bytes()).hexdigest()[:20]}{profiler.suffix}")
