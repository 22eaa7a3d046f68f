"""Several networks of one architecture as one network that computes them side by side, several times as fast when they are small.

Convolutions become grouped ones, BatchNorm has the channels of all, so nothing is shared: gradients, statistics and updates are those
of each network alone, but for rounding. What a step of a small network costs is mostly the number of its operators, not their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.block import Block
from hwnas.ops import build
from hwnas.space import Space


def chains(space: Space, Z: np.ndarray, seeds: Sequence[int]) -> nn.Module:
    """Architectures Z (n, genes) of a chain of blocks, each with fresh weights by each seed: (b, k c, h, w) -> (b, k classes), k = n seeds.

    The seeds of an architecture are neighbours. At each place, those networks that have the same block there are computed together.
    """
    made: list[list[tuple[Block, nn.Module]]] = []
    for z in Z:
        for seed in seeds:
            torch.manual_seed(seed)
            made.append([(b, build(b)) for b in space.blocks_of(z)])
    return nn.Sequential(*(ByBlock([b for b, _ in place], [m for _, m in place]) for place in zip(*made)))


class ByBlock(nn.Module):
    """k networks' blocks at one place, (b, k c, h, w) -> (b, k d, ...)."""

    def __init__(self, blocks: Sequence[Block], modules: Sequence[nn.Module]):
        super().__init__()
        kinds = {b: [i for i, other in enumerate(blocks) if other == b] for b in dict.fromkeys(blocks)}
        self.parts = nn.ModuleList(side_by_side([modules[i] for i in of_kind]) for of_kind in kinds.values())
        self.index = [torch.tensor(of_kind) for of_kind in kinds.values()]
        self.back = torch.cat(self.index).argsort()

    def forward(self, x: Tensor) -> Tensor:
        if len(self.parts) == 1:
            y: Tensor = self.parts[0](x)
            return y
        k = len(self.back)
        each = x.unflatten(1, (k, -1))
        found = [part(each[:, i].flatten(1, 2)).unflatten(1, (len(i), -1)) for part, i in zip(self.parts, self.index)]
        return torch.cat(found, 1)[:, self.back].flatten(1, 2)


def side_by_side(nets: Sequence[nn.Module]) -> nn.Module:
    """k networks that read (n, c, h, w) -> one that reads (n, k c, h, w) and gives (n, k classes), each network's channels in a row.

    Knows convolutions, BatchNorm and linear layers; what else has weights is refused. Everything else must treat channels alike.
    """
    first = nets[0]
    if isinstance(first, nn.Conv2d):
        k = len(nets)
        merged: nn.Module = nn.Conv2d(
            k * first.in_channels,
            k * first.out_channels,
            first.kernel_size,  # type: ignore[arg-type]
            first.stride,  # type: ignore[arg-type]
            first.padding,  # type: ignore[arg-type]
            first.dilation,  # type: ignore[arg-type]
            k * first.groups,
            first.bias is not None,
        )
    elif isinstance(first, nn.BatchNorm2d):
        merged = nn.BatchNorm2d(len(nets) * first.num_features, first.eps, first.momentum, first.affine)
    elif isinstance(first, nn.Linear):
        return Linears(nets)
    elif list(first.parameters(recurse=False)):
        raise TypeError(f"{type(first).__name__}: has weights, and how to compute several side by side is not known")
    else:
        merged = deepcopy(first)
        for name, _ in first.named_children():
            setattr(merged, name, side_by_side([net.get_submodule(name) for net in nets]))
        return merged
    with torch.no_grad():
        for tensor, *others in zip(merged.state_dict().values(), *(net.state_dict().values() for net in nets)):
            if tensor.ndim:
                tensor.copy_(torch.cat(others))
    return merged


class Linears(nn.Module):
    """Linear layers (n, k features) -> (n, k classes)."""

    def __init__(self, nets: Sequence[nn.Module]):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([net.weight.detach() for net in nets]))  # type: ignore[operator]
        self.bias = nn.Parameter(torch.cat([net.bias.detach() for net in nets]))  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nkf,kcf->nkc", x.view(len(x), len(self.weight), -1), self.weight).flatten(1) + self.bias
