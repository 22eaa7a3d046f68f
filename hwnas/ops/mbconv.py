"""The inverted residual of MobileNetV2 / V3 (Sandler et al. 2018, Howard et al. 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from ..block import Block
from .conv import conv_bn


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al. 2018) with a hard sigmoid; ratio = channels / squeezed channels."""

    def __init__(self, channels: int, ratio: int):
        super().__init__()
        squeezed = max(channels // ratio, 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class MBConv(nn.Module):
    """1x1 expansion, depthwise convolution, optional squeeze-and-excitation, 1x1 projection, residual where shapes allow."""

    def __init__(self, b: Block):
        super().__init__()
        hidden = b.cin * b.expand
        self.up = conv_bn(b.cin, hidden, act=b.act) if b.expand > 1 else nn.Identity()
        self.depthwise = conv_bn(hidden, hidden, b.kernel, b.stride, groups=hidden, act=b.act)
        self.se = SqueezeExcite(hidden, b.se) if b.se else nn.Identity()
        self.down = conv_bn(hidden, b.cout)
        self.residual = b.residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(self.se(self.depthwise(self.up(x))))
        return x + y if self.residual else y
