"""Convolutions, the stem and the classifier head."""

from __future__ import annotations

from torch import nn

from ..block import Block
from ..errors import did_you_mean

ACTS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish}


def conv_bn(cin: int, cout: int, kernel: int = 1, stride: int = 1, groups: int = 1, dilation: int = 1, act: str = "") -> nn.Sequential:
    """Convolution without bias, BatchNorm, activation; padded so that stride s turns size n into ceil(n / s)."""
    padding = dilation * (kernel - 1) // 2
    layers = [nn.Conv2d(cin, cout, kernel, stride, padding, dilation, groups, bias=False), nn.BatchNorm2d(cout)]
    if act and act not in ACTS:
        raise did_you_mean("act", act, ACTS)
    return nn.Sequential(*layers, *([ACTS[act]()] if act else []))


def conv(b: Block) -> nn.Module:
    return conv_bn(b.cin, b.cout, b.kernel, b.stride, act=b.act)


def stem(b: Block) -> nn.Module:
    """Standardises each input channel (a BatchNorm without scale: the data's own mean and variance), then convolves.

    So an exported file takes pixels in [0, 1] and carries its preprocessing with it.
    """
    return nn.Sequential(nn.BatchNorm2d(b.cin, affine=False), *conv_bn(b.cin, b.cout, b.kernel, b.stride, act=b.act))


class Head(nn.Sequential):
    """Global average pooling and a linear classifier; with expand > 1 a 1x1 convolution widens the features first."""

    def __init__(self, b: Block):
        wide = b.cin * b.expand
        layers = [conv_bn(b.cin, wide, act=b.act)] if b.expand > 1 else []
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, b.cout))
