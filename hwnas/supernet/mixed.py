"""Mixed: the modules of one slot, run as gates say."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from ..block import Block
from ..slot import Slot
from .choice import Choice
from .elastic import Elastic


class Mixed(Choice):
    """A slot's blocks. Context genes (width, resolution) always slice one weight; `share` says whether the others do, too."""

    def __init__(self, slot: Slot, share: bool):
        super().__init__()
        self.slot = slot
        self.owner: dict[tuple[int, ...], int] = {}  # option indices -> which of self.elastics holds the weights
        groups: dict[tuple[object, ...], list[Block]] = {}
        for options, block in zip(product(*(range(len(g.options)) for g in slot.genes)), slot.blocks):
            if block is not None:
                own = () if share else tuple(o for g, o in zip(slot.genes, options) if not g.context)
                key = (block.op, block.stride, block.inputs, own)
                groups.setdefault(key, []).append(block)
                self.owner[options] = list(groups).index(key)
        self.elastics = nn.ModuleList(Elastic(blocks) for blocks in groups.values())

    def forward(self, x: Tensor) -> Tensor | None:
        """x (n, c, h, w) -> the same kind of tensor; None where nothing is computed."""
        combinations, weights = self._picked()
        if combinations is None:
            return x if self.slot.off == "skip" else None
        return self.mix(self._run, combinations, weights, x)

    def static(self, options: tuple[int, ...]) -> nn.Module:
        """The block at these option indices, as a plain module with copies of its weights."""
        block = self.slot.at(options)
        assert block is not None, "nothing runs there"
        return self.elastics[self.owner[options]].static(block)  # type: ignore[operator]

    def _run(self, options: tuple[int, ...], x: Tensor) -> Tensor | None:
        block = self.slot.at(options)
        return None if block is None else self.elastics[self.owner[options]](x, block)

    def _picked(self) -> tuple[list[tuple[int, ...]] | None, Tensor | None]:
        """The product of the genes' picks and the product of their weights; (None, None) when the slot is inactive."""
        weights: Tensor | None = None
        for gene, option in self.slot.when:
            picks, w = self.gate(gene)
            if option not in picks:
                return None, None
            if w is not None:
                on = w[picks.index(option)].view(1)
                weights = on if weights is None else weights * on
        gates = [self.gate(g) for g in self.slot.genes]
        if weights is None and all(w is None for _, w in gates):
            return list(product(*(p for p, _ in gates))), None
        for picks, w in gates:
            w = torch.ones(len(picks)) if w is None else w
            weights = w if weights is None else torch.outer(weights, w.to(weights)).flatten()
        return list(product(*(p for p, _ in gates))), weights
