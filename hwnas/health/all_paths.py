"""How far an architecture's predictions are from those of the whole supernet: Bender's explanation of why one-shot models rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..gates import Gate, Gates, path, softmax
from ..space import Codes, Space
from ..supernet import Supernet
from ..train import Alpha
from ..train.judge import frozen_statistics


def all_paths(space: Space, share: bool, summed: bool) -> tuple[str, Gates]:
    """(what it is, in words; its gates): the network that architectures are compared with.

    Every path on and summed, where the supernet was trained so (one-shot); the largest network, where options slice one set
    of weights (it is what they learn to imitate); else the mean over all options. Widths and resolution are the largest.
    """
    if share:
        return "the largest network", path(space, space.largest())
    held = path(space, space.largest())
    if summed:
        return "all paths on", {g.name: held[g.name] if g.context else Gate(tuple(range(len(g.options)))) for g in space.genes}
    return "the mean of all paths", Alpha(space, space.largest(), init=0.0).gates(softmax)


@torch.no_grad()
def kl_to_all_paths(net: Supernet, Z: Codes, batches: Sequence[Tensor], whole: Gates) -> np.ndarray:
    """(n,) nats: KL(p || q) + KL(q || p), mean over training images, p of all paths and q of architecture Z (n, genes).

    Bender et al. 2018, sec. 4.4: paths that matter little for accuracy can be zeroed out without changing predictions, and
    training makes the supernet rely on the good ones. batches: x (n, c, h, w) each; BatchNorm normalises with a batch's own
    statistics, as in the paper, and keeps its running ones. Afterwards net is in evaluation mode.
    """
    net.eval()
    for module in net.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    with frozen_statistics(net):
        expected = [net(x, whole).float().log_softmax(1) for x in batches]
        found = []
        for z in Z:
            gates = path(net.space, z)
            found.append(np.mean([_symmetrised(p, net(x, gates).float().log_softmax(1)) for x, p in zip(batches, expected)]))
    net.eval()
    return np.array(found, float)


def _symmetrised(log_p: Tensor, log_q: Tensor) -> float:
    """sum of (p - q) (log p - log q), which is KL(p || q) + KL(q || p), mean over images."""
    return float(((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1).mean())
