"""Dead-code elimination on codes: which slots of each architecture reach the output, vectorised over many codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .space import Space


def alive(space: Space, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What really runs: (live (n, slots) bool, rows (n, slots + joins) int with the dead ones sent to the empty row).

    rows (n, slots): raw rows of the slots. One pass forward from the input, one backward from the output; the slot
    that writes the output always runs, since a network whose cells are cut still gives an answer.
    """
    n, empty_row = len(rows), len(space.members) - 1
    breaks = space.breaks
    none, every = np.zeros(n, bool), np.ones(n, bool)

    reached, live = {"x": every}, np.empty((len(space.slots), n), bool)
    for i, slot in enumerate(space.slots):
        parts = space.cats.get(slot.reads, (slot.reads,))
        source = np.logical_or.reduce([reached.get(p, none) for p in parts]) if slot.writes != space.output else every
        live[i] = source & ~breaks[rows[:, i]]
        reached[slot.writes] = reached.get(slot.writes, none) | live[i]

    needed = {space.output: every}
    for i, slot in reversed([*enumerate(space.slots)]):
        live[i] &= needed.get(slot.writes, none)
        for node in {slot.reads, *slot.also, *space.cats.get(slot.reads, ())}:
            needed[node] = needed.get(node, none) | live[i]

    columns = [np.where(live[i], rows[:, i], empty_row) for i in range(len(space.slots))]
    start = len(breaks)
    for node, by_count in space.joins:
        if node in space.cats:
            count = np.sum([reached.get(p, none) for p in space.cats[node]], axis=0) * needed.get(node, none)
        else:
            count = np.sum([live[i] for i, s in enumerate(space.slots) if s.writes == node], axis=0)
        columns.append(start + count)
        start += len(by_count)
    return live.T, np.stack(columns, 1)
