"""Job: what there is to measure under a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..block import Block
from ..ops import build, input_shapes


@dataclass(frozen=True)
class Job:
    """A module, made when it is needed, and the NCHW shapes of its inputs, batch included."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(block: Block, batch: int = 1) -> Job:
        """The job of a block on a device of that batch size."""
        return Job(lambda: build(block), input_shapes(block, batch))
