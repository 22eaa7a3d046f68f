"""Where several tensors become one: what a node of the graph costs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..block import Block


class Add(nn.Module):
    def __init__(self, b: Block):
        super().__init__()

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        for x in others:
            first = first + x
        return first


class Concat(nn.Module):
    """Concatenation over channels."""

    def __init__(self, b: Block):
        super().__init__()

    def forward(self, *xs: Tensor) -> Tensor:
        return torch.cat(xs, 1)
