"""Supernet: the weights of every architecture of a space in one module."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from ..gates import Gates
from ..space import Space
from .choice import Choice, State
from .graph import Graph, Wire
from .mixed import Mixed
from .network import network
from .resize import resize


class Supernet(nn.Module):
    """`Supernet(space)(x, gates)`: x (n, c, h, w) in [0, 1] -> (n, classes).

    share: whether all options of a slot slice one set of weights (once-for-all, BigNAS) or each has its own (SPOS,
    DARTS). Width, resolution and depth always share. body: the user's own model, which the space was made from; its own
    forward runs, on its own weights (None: a copy of the one that the space keeps).
    """

    def __init__(self, space: Space, share: bool = False, body: nn.Module | None = None):
        super().__init__()
        self.space, self.share, self.state = space, share, State()
        self.body: nn.Module
        if space.own is not None:
            self.body = space.own.checked(body) if body is not None else space.own.copy()
        else:
            wires = [Wire(s.name, s.reads, s.writes, next(b.cin for b in s.blocks if b)) for s in space.slots]
            self.body = Graph(wires, {s.name: Mixed(s, share) for s in space.slots}, space.cats, space.output)
        for module in self.body.modules():
            if isinstance(module, Choice):
                module.state = self.state

    @property
    def mixed(self) -> dict[str, Mixed]:
        """Slot name -> the modules of that slot; a user's own model has none."""
        return {m.slot.name: m for m in self.body.modules() if isinstance(m, Mixed)}

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        if gene := self.space.resolution:
            size = int(gene.options[gates[gene.name].picks[0]])
            x = resize(x, (size, size))
        self.state.gates = gates
        return self.body(x)


def fix(net: Supernet, z: np.ndarray) -> nn.Module:
    """Architecture z (genes,) as a plain module with copies of the supernet's weights: see `network`."""
    if net.space.own is not None:
        return net.space.own.fixed(net.space.decode(z), net.body).train(net.training)
    mixed = net.mixed
    return network(net.space, z, lambda slot, options, block: mixed[slot.name].static(options)).train(net.training)
