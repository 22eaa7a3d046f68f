"""judge: how well an architecture does on held-out data, quickly, while the supernet is still in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..gates import Gates
from .run import Run


@torch.no_grad()
def judge(run: Run, gates: Gates, batch: Callable[[int], tuple[Any, Any]], number: int, batches: int = 1) -> float:
    """Mean run.reward (accuracy, unless the caller said otherwise) over minibatches number x batches and on of `batch`.

    batch: run.arch_batch, where images were held out from the weights for the architecture; else run.valid_batch.

    BatchNorm normalises with the minibatch's own statistics, as in ENAS' released code: the supernet's running ones
    fit no architecture. Those are kept as they were.
    """
    with frozen_statistics(run.net):
        total = 0.0
        for k in range(number * batches, (number + 1) * batches):
            x, y = batch(k)
            total += run.reward(run.forward(x, gates), y)
    return total / batches


class frozen_statistics:
    """Within it, BatchNorm in training mode leaves its running statistics alone."""

    def __init__(self, net: torch.nn.Module):
        self._norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm) and m.track_running_stats]

    def __enter__(self) -> None:
        self._before = [[b.clone() for b in m.buffers(recurse=False)] for m in self._norms]

    def __exit__(self, *error: object) -> None:
        for norm, before in zip(self._norms, self._before):
            for buffer, value in zip(norm.buffers(recurse=False), before):
                buffer.copy_(value)
