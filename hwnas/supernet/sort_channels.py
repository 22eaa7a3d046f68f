"""sort_channels: the most important hidden channels first, so that those which narrow networks keep are the best ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops.mbconv import MBConv, SqueezeExcite


@torch.no_grad()
def sort_channels(net: nn.Module) -> None:
    """Orders the hidden channels of every MBConv by the L1 norm of the projection's weights that read them, largest first.

    Once-for-all (Cai et al. 2020, sec. 3.2, "elastic width"). A permutation of hidden channels leaves the function of the
    largest network as it is; narrower ones change. Optimizers that remember something for each weight must forget it.
    """
    for module in net.modules():
        if isinstance(module, MBConv) and isinstance(module.up, nn.Sequential):
            down = module.down[0]
            assert isinstance(down, nn.Conv2d)
            order = down.weight.abs().sum((0, 2, 3)).argsort(descending=True, stable=True)
            for part in (module.up, module.depthwise):
                for t in (*part.parameters(), *part.buffers()):
                    _permute(t, order, 0)
            _permute(down.weight, order, 1)
            if isinstance(module.se, SqueezeExcite):
                squeeze, widen = module.se.gate[1], module.se.gate[3]
                assert isinstance(squeeze, nn.Conv2d) and isinstance(widen, nn.Conv2d) and widen.bias is not None
                _permute(squeeze.weight, order, 1)
                _permute(widen.weight, order, 0)
                _permute(widen.bias, order, 0)


def _permute(t: Tensor, order: Tensor, axis: int) -> None:
    if t.ndim > axis:  # BatchNorm counts its batches in a scalar
        t.copy_(t.index_select(axis, order))
