"""Graph: runs modules between named nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Wire(NamedTuple):
    """A module by name, the node it reads, the node it writes, and the channels it takes."""

    name: str
    reads: str
    writes: str
    cin: int


class Graph(nn.Module):
    """Modules on wires, in order. A node sums what is written to it; a node in `cats` concatenates others.

    A module may give None: then its wire contributes nothing. Parts of a concatenation that nothing reached are zeros.
    """

    def __init__(self, wires: Sequence[Wire], modules: Mapping[str, nn.Module], cats: Mapping[str, tuple[str, ...]], output: str):
        super().__init__()
        self.wires, self.cats, self.output = tuple(wires), dict(cats), output
        self.slots = nn.ModuleDict(modules)

    def forward(self, x: Tensor) -> Tensor:
        nodes: dict[str, Tensor] = {"x": x}
        for wire in self.wires:
            if wire.reads in self.cats and wire.reads not in nodes:
                self._concatenate(nodes, wire.reads)
            source = nodes.get(wire.reads)
            if source is None and wire.writes == self.output:
                source = x.new_zeros(x.shape[0], wire.cin, 1, 1)  # every path is cut: only the classifier's bias is left
            y = None if source is None else self.slots[wire.name](source)
            if y is not None:
                nodes[wire.writes] = nodes[wire.writes] + y if wire.writes in nodes else y
        return nodes[self.output]

    def _concatenate(self, nodes: dict[str, Tensor], node: str) -> None:
        parts = [nodes.get(p) for p in self.cats[node]]
        like = next((p for p in parts if p is not None), None)
        if like is not None:
            nodes[node] = torch.cat([torch.zeros_like(like) if p is None else p for p in parts], 1)
