"""Elastic: one set of weights that many blocks share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..block import Block
from ..ops import build


class _Slice(NamedTuple):
    """Where a tensor of a small block lies in the largest: `getattr(owner, leaf)[cut]`; cut None is all of it."""

    name: str
    owner: nn.Module
    leaf: str
    cut: tuple[slice, ...] | None


class Elastic(nn.Module):
    """The largest of the blocks as a plain module; a smaller one is its own static module run on slices of those weights.

    Channels are cut from the front, kernels from the centre (once-for-all, Cai et al. 2020, sec. 3.2).
    """

    def __init__(self, blocks: Iterable[Block]):
        super().__init__()
        self.largest = Block.hull(blocks)
        self.full = build(self.largest)
        self._shells: dict[Block, tuple[nn.Module, list[_Slice]]] = {}

    def forward(self, x: Tensor, block: Block) -> Tensor:
        """x (n, cin, h, w), with the cin of `block`; weights know no resolution, so any h and w will do."""
        if self._sized(block) == self.largest:
            return self.full(x)
        shell, slices = self._shell(block)
        if shell.training != self.training:
            shell.train(self.training)
        return functional_call(shell, self._weights(slices), (x,))

    def static(self, block: Block) -> nn.Module:
        """An ordinary module of `block` with copies of its weights."""
        module = build(block)
        module.load_state_dict({k: t.detach().clone() for k, t in self._weights(self._shell(block)[1]).items()})
        return module.to(next((p.device for p in self.full.parameters()), torch.device("cpu"))).train(self.training)

    def _sized(self, block: Block) -> Block:
        return replace(block, height=self.largest.height, width=self.largest.width)

    def _shell(self, block: Block) -> tuple[nn.Module, list[_Slice]]:
        """The block's module without weights, and where each of its tensors lies in the largest."""
        block = self._sized(block)
        if block not in self._shells:
            with torch.device("meta"):
                shell = build(block)
            slices = []
            for name, small in (*shell.named_parameters(), *shell.named_buffers()):
                path, _, leaf = name.rpartition(".")
                owner = self.full.get_submodule(path)
                shape = getattr(owner, leaf).shape
                cut = tuple(_centre(n, k) if axis > 1 else slice(0, k) for axis, (n, k) in enumerate(zip(shape, small.shape)))
                slices.append(_Slice(name, owner, leaf, cut if shape != small.shape else None))
            self._shells[block] = shell, slices
        return self._shells[block]

    @staticmethod
    def _weights(slices: list[_Slice]) -> dict[str, Tensor]:
        # read at every call: under functional_call the owners' tensors are somebody else's
        return {s.name: t if s.cut is None else t[s.cut] for s in slices for t in (getattr(s.owner, s.leaf),)}


def _centre(n: int, k: int) -> slice:
    return slice((n - k) // 2, (n - k) // 2 + k)
