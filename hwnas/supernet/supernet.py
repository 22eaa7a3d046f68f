"""Supernet: the weights of every architecture of a space in one module."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from torch import Tensor, nn

from ..gates import Gates, path
from ..liveness import alive
from ..space import Space
from .choice import State
from .graph import Graph, Wire
from .mixed import Mixed
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
        for module in self.mixed():
            module.state = self.state

    def mixed(self) -> list[Mixed]:
        """The modules of the slots, in order."""
        return [m for m in self.body.slots.values() if isinstance(m, Mixed)]

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        if gene := self.space.resolution:
            size = int(gene.options[gates[gene.name].picks[0]])
            x = resize(x, (size, size))
        self.state.gates = gates
        return self.body(x)


def fix(net: Supernet, z: np.ndarray) -> nn.Module:
    """One architecture z (genes,) as a plain module with copies of the weights; its input has `space.input_size(z)`.

    Dead parts are gone; a chain of blocks becomes an nn.Sequential of them.
    """
    space = net.space
    net.state.gates = path(space, z)
    live = alive(space, space._raw_rows(z[None]))[0][0]
    wires, modules = [], {}
    for wire, mixed, on in zip(net.body.wires, net.mixed(), live):
        module = mixed.fixed() if on else None
        if module is not None:
            wires.append(wire)
            modules[wire.name] = module
    if all(a.writes == b.reads for a, b in zip(wires, wires[1:])) and not space.joins:
        chain = OrderedDict((name, m) for name, m in modules.items() if not isinstance(m, nn.Identity))
        return nn.Sequential(chain).train(net.training)
    return Graph(wires, modules, space.cats, space.output).train(net.training)
