"""Mixed: the modules of one slot, run as gates say."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from ..block import Block
from ..gates import Gate
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
        """x (n, c, h, w) -> the same kind of tensor; None where nothing is computed.

        A slot that is on with weight w gives w times its blocks; where it passes its input on when off, plus (1 - w) x.
        """
        switch = self._switch()
        if switch is None:
            return x if self.slot.off == "skip" else None
        on, idle = switch
        gates = [self.gate(g) for g in self.slot.genes]
        combinations = list(product(*(g.picks for g in gates)))
        frozen = combinations if idle else [c for c in combinations if any(o in g.frozen for o, g in zip(c, gates))]
        weights = None if all(g.weights is None for g in gates) else _outer(gates)
        if on is not None and self.slot.off == "none":
            weights, on = on * (_outer(gates) if weights is None else weights), None
        y = self.mix(self._run, combinations, weights, x, frozen=frozen)
        if on is None:
            return y
        return (1 - on) * x if y is None else x + on * (y - x)

    def static(self, options: tuple[int, ...]) -> nn.Module:
        """The block at these option indices, as a plain module with copies of its weights."""
        block = self.slot.at(options)
        assert block is not None, "nothing runs there"
        return self.elastic(options).static(block)

    def elastic(self, options: tuple[int, ...]) -> Elastic:
        """The weights that the block at these option indices slices."""
        found = self.elastics[self.owner[options]]
        assert isinstance(found, Elastic)
        return found

    def _run(self, options: tuple[int, ...], x: Tensor) -> Tensor | None:
        block = self.slot.at(options)
        return None if block is None else self.elastics[self.owner[options]](x, block)

    def _switch(self) -> tuple[Tensor | None, bool] | None:
        """How far the slot is on: (weight (1,) or None for fully, whether without a graph); None when it is off."""
        weight: Tensor | None = None
        idle = False
        for gene, option in self.slot.when:
            picks, weights, frozen = self.gate(gene)
            if option not in picks:
                return None
            idle |= option in frozen
            if weights is not None:
                on = weights[picks.index(option)].view(1)
                weight = on if weight is None else weight * on
        return weight, idle


def _outer(gates: list[Gate]) -> Tensor:
    """The product of the gates' weights, for every combination of their picks, the last gate fastest."""
    total = torch.ones(1)
    for picks, weights, _ in gates:
        w = torch.ones(len(picks)) if weights is None else weights
        total = torch.outer(total.to(w), w).flatten()
    return total
