"""Where an architecture's milliseconds go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..block import Block
from ..cost import CostModel


@dataclass(frozen=True)
class Part:
    """One slot, or what a network costs beside its blocks."""

    name: str
    blocks: tuple[Block, ...]
    latency_ms: float
    predicted: bool = False  # by the block predictor: at least one of its blocks was never measured


def parts_of(model: CostModel, z: np.ndarray) -> list[Part]:
    """Architecture z (genes,): one part a slot in running order, sums and concatenations, and last what is no block's own.

    They add up to `model.cost(z)`.
    """
    space, table = model.space, model.tables["latency_ms"]
    names = [s.name for s in space.slots] + [f"join at {node}" for node, _ in space.joins]
    parts = []
    for name, row in zip(names, space.rows(z[None])[0]):
        if members := space.members[row]:
            blocks = tuple(space.blocks[i] for i in members)
            parts.append(Part(name, blocks, float(table[list(members)].sum()), any(b in model.predicted for b in blocks)))
    rest = float(model.cost(z[None], ["latency_ms"])[0, 0]) - sum(p.latency_ms for p in parts)
    return [*parts, Part("the call itself", (), rest)]
