"""Isomorphic architectures: equal up to the names of their nodes."""

from __future__ import annotations

import numpy as np

from ..liveness import alive
from ..space import Codes, Space


def isomorphic_keys(space: Space, Z: Codes) -> list[int]:
    """(n,) equal for codes Z (n, genes) whose networks are the same when nodes are renamed and parts of a concatenation swapped.

    PNAS (Liu et al. 2018, sec. 3.1) and NASNet count such cells once. A node's name is the sorted list of what is written to
    it and from which node, recursively; the network's, the output's name and those of all live nodes: without these two
    equal nodes could not be told from one that is used twice. (Colour refinement: enough for directed acyclic graphs of
    this kind, though no proof for every graph.)
    """
    raw = space.raw_rows(Z)
    live, rows = alive(space, raw)
    content = space._identity[rows[:, : len(space.slots)]]
    return [_key(space, on, ids) for on, ids in zip(live, content)]


def _key(space: Space, live: np.ndarray, content: np.ndarray) -> int:
    written: dict[str, list[int]] = {}
    names: dict[str, int] = {"x": 0}

    def name(node: str) -> int:
        if node not in names:
            parts = [name(p) for p in space.cats[node]] if node in space.cats else written.get(node, [])
            names[node] = hash((node in space.cats, *sorted(parts)))
        return names[node]

    for slot, on, block in zip(space.slots, live, content):  # slots stand in the order they run: what they read is complete
        if on:
            written.setdefault(slot.writes, []).append(hash((int(block), name(slot.reads))))
    nodes = [name(slot.writes) for slot, on in zip(space.slots, live) if on]
    return hash((name(space.output), *sorted(nodes)))
