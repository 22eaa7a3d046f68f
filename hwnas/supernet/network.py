"""One architecture as a plain module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from ..block import Block
from ..liveness import alive
from ..ops import build
from ..slot import Slot
from ..space import Space
from .graph import Graph, Wire

Make = Callable[[Slot, tuple[int, ...], Block], nn.Module]


class Sum(nn.ModuleList):
    """Several modules on one input, added: a slot whose gene picks more than one operator."""

    def forward(self, x: Tensor) -> Tensor:
        y = self[0](x)
        for module in self[1:]:
            y = y + module(x)
        return y


def network(space: Space, z: np.ndarray, make: Make | None = None) -> nn.Module:
    """Architecture z (genes,) with fresh weights; its input is (n, channels, *space.input_size(z)).

    make(slot, option indices, block): where the modules come from instead (a supernet's weights). Dead parts are gone;
    a chain of blocks is an nn.Sequential named by slots. Of a user's own model it is that model, fixed, with its weights.
    """
    if space.own is not None:
        return space.own.fixed(space.decode(z))
    values = {g: int(v) for g, v in zip(space.genes, z)}
    live = alive(space, space.raw_rows(z[None]))[0][0]
    wires, modules = [], OrderedDict[str, nn.Module]()
    for slot, on in zip(space.slots, live):
        options = slot.chosen(values)
        if not on or options is None and slot.off == "none":
            continue
        found = [(o, b) for o in options or [] if (b := slot.at(o))]
        made = [make(slot, o, b) if make else build(b) for o, b in found]
        module = nn.Identity() if options is None else made[0] if len(made) == 1 else Sum(made)
        wires.append(Wire(slot.name, slot.reads, slot.writes, found[0][1].cin if found else 0))
        modules[slot.name] = module
    if not space.joins and wires[0].reads == "x" and all(a.writes == b.reads for a, b in zip(wires, wires[1:])):
        return nn.Sequential(OrderedDict((name, m) for name, m in modules.items() if not isinstance(m, nn.Identity)))
    return Graph(wires, modules, space.cats, space.output)
