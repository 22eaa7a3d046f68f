"""Zero-initialised residual blocks."""

from __future__ import annotations

from torch import nn

from ..ops.mbconv import MBConv
from ..ops.residual import Residual


def zero_init(net: nn.Module) -> None:
    """Sets the last BatchNorm of each residual block to 0, so that the blocks begin as identities, or as their shortcut.

    Goyal et al. 2017 (arXiv 1706.02677, sec. 5.1); BigNAS (sec. 3.2) needs it for deep networks. For fresh weights only.
    """
    for module in net.modules():
        if isinstance(module, Residual) or (isinstance(module, MBConv) and module.residual):
            norm = (module.second if isinstance(module, Residual) else module.down)[1]
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.zeros_(norm.weight)
