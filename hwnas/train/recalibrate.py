"""BatchNorm recalibration: statistics that belong to one architecture."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recalibrate(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets the running statistics of every BatchNorm to the plain average over some training batches (n, c, h, w).

    A supernet's own statistics are a mixture over all architectures and fit none of them. Only BatchNorm is in training
    mode meanwhile, so dropout stays out of it; afterwards all of net is in evaluation mode.
    """
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [m.momentum for m in norms]
    net.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the cumulative average
        norm.train()
    for x in batches:
        net(x)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        norm.eval()
