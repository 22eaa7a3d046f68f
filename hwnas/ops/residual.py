"""The basic block of ResNets (He et al. 2016, fig. 2 and 3)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..block import Block
from .conv import conv_bn


class Residual(nn.Module):
    """Two 3 x 3 convolutions and the input added, ReLU."""

    def __init__(self, b: Block):
        super().__init__()
        self.first = conv_bn(b.cin, b.cout, b.kernel, b.stride, act="relu")
        self.second = conv_bn(b.cout, b.cout, b.kernel)
        self.shortcut = self.make_shortcut(b)

    def make_shortcut(self, b: Block) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class ResidualDown(Residual):
    """The first block of a stage: a 1x1 convolution takes the input to the new shape (option B of the paper)."""

    def make_shortcut(self, b: Block) -> nn.Module:
        return conv_bn(b.cin, b.cout, 1, b.stride)
