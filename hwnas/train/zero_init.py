"""Zero-initialised residual blocks."""

from __future__ import annotations

from torch import nn

from ..ops.mbconv import MBConv


def zero_init(net: nn.Module) -> None:
    """Sets the last BatchNorm of each residual block to 0, so that the blocks begin as identities.

    Goyal et al. 2017 (arXiv 1706.02677, sec. 5.1); BigNAS (sec. 3.2) needs it for deep networks. For fresh weights only.
    """
    for module in net.modules():
        if isinstance(module, MBConv) and module.residual:
            norm = module.down[1]
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.zeros_(norm.weight)
