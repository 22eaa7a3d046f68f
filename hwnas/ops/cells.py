"""Operators of the cell spaces: NAS-Bench-201, DARTS, Bender's one-shot cell."""

from __future__ import annotations

from torch import nn

from ..block import Block
from .conv import conv_bn


def relu_conv(b: Block) -> nn.Module:
    """ReLU, convolution, BatchNorm (the order of the cell papers)."""
    return nn.Sequential(nn.ReLU(), *conv_bn(b.cin, b.cout, b.kernel, b.stride))


def _depthwise_pointwise(b: Block, cout: int, stride: int, dilation: int) -> list[nn.Module]:
    padding = dilation * (b.kernel - 1) // 2
    depthwise = nn.Conv2d(b.cin, b.cin, b.kernel, stride, padding, dilation, groups=b.cin, bias=False)
    return [nn.ReLU(), depthwise, *conv_bn(b.cin, cout)]


def separable(b: Block) -> nn.Module:
    """Depthwise + pointwise convolution, applied twice; the stride is in the first."""
    return nn.Sequential(*_depthwise_pointwise(b, b.cin, b.stride, 1), *_depthwise_pointwise(b, b.cout, 1, 1))


def dilated_separable(b: Block) -> nn.Module:
    """Depthwise (dilation 2) + pointwise convolution, once."""
    return nn.Sequential(*_depthwise_pointwise(b, b.cout, b.stride, 2))


def conv_pair(b: Block) -> nn.Module:
    """1 x k then k x 1 convolution."""
    half = b.kernel // 2
    first = nn.Conv2d(b.cin, b.cout, (1, b.kernel), (1, b.stride), (0, half), bias=False)
    second = nn.Conv2d(b.cout, b.cout, (b.kernel, 1), (b.stride, 1), (half, 0), bias=False)
    return nn.Sequential(nn.ReLU(), first, second, nn.BatchNorm2d(b.cout))


def skip(b: Block) -> nn.Module:
    """The input itself, or ReLU, 1x1 convolution, BatchNorm where the shape changes."""
    return nn.Identity() if b.residual else relu_conv(b)
