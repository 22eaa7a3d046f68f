"""Supernet: the weights of every architecture of a space in one module."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from ..gates import Gates
from ..space import Space
from .choice import State
from .graph import Graph, Wire
from .mixed import Mixed
from .network import network
from .resize import resize


class Supernet(nn.Module):
    """`Supernet(space)(x, gates)`: x (n, c, h, w) in [0, 1] -> (n, classes).

    share: whether all options of a slot slice one set of weights (once-for-all, BigNAS) or each has its own (SPOS,
    DARTS). Width, resolution and depth always share.
    """

    def __init__(self, space: Space, share: bool = False):
        super().__init__()
        self.space, self.share, self.state = space, share, State()
        wires = [Wire(s.name, s.reads, s.writes, next(b.cin for b in s.blocks if b)) for s in space.slots]
        self.body = Graph(wires, {s.name: Mixed(s, share) for s in space.slots}, space.cats, space.output)
        for module in self.mixed.values():
            module.state = self.state

    @property
    def mixed(self) -> dict[str, Mixed]:
        """Slot name -> the modules of that slot."""
        return {name: m for name, m in self.body.slots.items() if isinstance(m, Mixed)}

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        if gene := self.space.resolution:
            size = int(gene.options[gates[gene.name].picks[0]])
            x = resize(x, (size, size))
        self.state.gates = gates
        return self.body(x)


def fix(net: Supernet, z: np.ndarray) -> nn.Module:
    """Architecture z (genes,) as a plain module with copies of the supernet's weights: see `network`."""
    mixed = net.mixed
    return network(net.space, z, lambda slot, options, block: mixed[slot.name].static(options)).train(net.training)
