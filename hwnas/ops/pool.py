"""Pooling, padded so that stride s turns size n into ceil(n / s); an even kernel wants an even size."""

from __future__ import annotations

from torch import nn

from ..block import Block


def max_pool(b: Block) -> nn.Module:
    return nn.MaxPool2d(b.kernel, b.stride, (b.kernel - 1) // 2)


def avg_pool(b: Block) -> nn.Module:
    return nn.AvgPool2d(b.kernel, b.stride, (b.kernel - 1) // 2, count_include_pad=False)
