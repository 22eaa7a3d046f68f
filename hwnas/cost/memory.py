"""Peak activation memory of architectures: liveness of tensors over the graph, vectorised over codes."""

from __future__ import annotations

import numpy as np

from ..liveness import alive
from ..space import Codes, Space

CHUNK = 4096  # codes whose rows stay in the processor's cache


def peak_memory(space: Space, Z: Codes, peak: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Z (n, genes) -> (n,) bytes: the largest sum of tensors that are needed at one time, blocks run in the space's order.

    peak, out: (blocks,) bytes alive at most inside a block (its input and output counted), and of its output. Exact for
    chains. On a graph it is an estimate, 25 % below to 35 % above for most codes, at worst twice: it does not follow
    which tensor a runtime overwrites, and takes a skip connection for a copy.
    """
    by_row = np.zeros(len(space.members))
    out_by_row = np.zeros(len(space.members))
    for row, members in enumerate(space.members):
        ids = list(members)
        if ids:
            out_by_row[row] = out[ids[-1]]
            by_row[row] = peak[ids].max() + (out[ids[-1]] if len(ids) > 1 else 0)  # a sum keeps what it has so far
    if space.is_chain:
        most = np.zeros(len(Z))
        for start in range(0, len(Z), CHUNK):
            part = most[start : start + CHUNK]
            for row in space.rows(Z[start : start + CHUNK]).T:
                np.maximum(part, by_row[row], out=part)
        return most

    live, rows = alive(space, space.raw_rows(Z))
    later = _read_later(space, live)
    held: dict[str, np.ndarray] = {}  # node -> (n,) bytes it occupies
    most = np.zeros(len(Z))
    for i, slot in enumerate(space.slots):
        on = live[:, i]
        if slot.reads in space.cats and slot.reads not in held:
            whole = sum((held[p] for p in space.cats[slot.reads] if p in held), np.zeros(len(Z)))
            held[slot.reads] = whole
            most = np.maximum(most, on * sum(held.values(), np.zeros(len(Z))))
        others = sum((b for node, b in held.items() if node != slot.reads and node not in slot.also), np.zeros(len(Z)))
        most = np.maximum(most, on * (others + by_row[rows[:, i]]))
        written = on * out_by_row[rows[:, i]]
        before = held.get(slot.writes, np.zeros(len(Z)))
        most = np.maximum(most, (before > 0) * (sum(held.values(), np.zeros(len(Z))) + written))  # added where the sum lies
        held[slot.writes] = np.maximum(before, written)
        held = {node: b * later[i].get(node, False) for node, b in held.items()}
    return most


def _read_later(space: Space, live: np.ndarray) -> list[dict[str, np.ndarray]]:
    """For each slot: node -> (n,) bool, whether a live slot after it reads the node, itself or in a concatenation."""
    after: dict[str, np.ndarray] = {space.output: np.ones(len(live), bool)}
    out = []
    for i, slot in reversed([*enumerate(space.slots)]):
        out.append(dict(after))
        for node in {slot.reads, *slot.also, *space.cats.get(slot.reads, ())}:
            after[node] = after.get(node, np.zeros(len(live), bool)) | live[:, i]
    return out[::-1]
