"""The choice blocks of SPOS on ShuffleNetV2 (Guo et al. 2020, appendix; Ma et al. 2018, fig. 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..block import Block
from ..errors import HwnasError
from .conv import conv_bn


class Shuffle(nn.Module):
    """Half of the channels pass, half go through a branch; at stride 2 all go through both. Then the halves are shuffled.

    The branch: 1x1, depthwise k x k, 1x1 convolution. Hidden channels: half of cout, as in the authors' code.
    """

    def __init__(self, b: Block):
        super().__init__()
        passed = b.cin if b.stride > 1 else b.cin // 2
        if b.cout % 2 or b.cout <= passed or b.stride == 1 and b.cin != b.cout:
            raise HwnasError(f"block {b}: wants an even cout, equal to cin at stride 1 and above it at stride 2")
        self.passes = conv_bn(b.cin, b.cin, b.kernel, b.stride, b.cin) if b.stride > 1 else nn.Identity()
        self.mixes = conv_bn(b.cin, b.cin, act="relu") if b.stride > 1 else nn.Identity()
        self.branch = self.make_branch(passed, b.cout // 2, b.cout - passed, b)
        self.halve = b.stride == 1

    def make_branch(self, cin: int, hidden: int, cout: int, b: Block) -> nn.Module:
        depthwise = conv_bn(hidden, hidden, b.kernel, b.stride, hidden)
        return nn.Sequential(conv_bn(cin, hidden, act="relu"), depthwise, conv_bn(hidden, cout, act="relu"))

    def forward(self, x: Tensor) -> Tensor:
        passing, branching = x.chunk(2, 1) if self.halve else (x, x)
        y = torch.cat([self.mixes(self.passes(passing)), self.branch(branching)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Xception(Shuffle):
    """The branch: three times depthwise 3 x 3 and 1x1 convolution; the stride is in the first."""

    def make_branch(self, cin: int, hidden: int, cout: int, b: Block) -> nn.Module:
        layers: list[nn.Module] = []
        for c, wide, stride in ((cin, hidden, b.stride), (hidden, hidden, 1), (hidden, cout, 1)):
            layers += [conv_bn(c, c, b.kernel, stride, c), conv_bn(c, wide, act="relu")]
        return nn.Sequential(*layers)
