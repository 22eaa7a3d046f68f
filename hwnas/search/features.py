"""Features: what a score is fitted on, as a sum over the slots of an architecture."""

from __future__ import annotations

from itertools import product

import numpy as np

from ..space import Codes, Space


class Features:
    """Codes -> (n, features): how many running slots have each (gene, value), and how many run at all.

    As a sum over rows, it never sees genes of what does not run, and a linear fit on it is a gain for each row, as exact
    search wants it.
    """

    def __init__(self, space: Space):
        self.space = space
        first = np.concatenate([[0], np.cumsum(space.sizes)])
        self.by_row = np.zeros((len(space.members), first[-1] + len(space.slots)), np.float32)  # (rows, features)
        row = 0
        for i, slot in enumerate(space.slots):
            same: dict[tuple[int, ...], int] = {}  # blocks -> the first row that runs them: a gene may have two values for one thing
            columns = [first[space.index[g.name]] for g in slot.axes]
            for values in product(*(range(len(g.values)) for g in slot.axes)):
                if (before := same.setdefault(space.members[row], row)) < row:
                    self.by_row[row] = self.by_row[before]
                elif space.members[row]:
                    self.by_row[row, [c + v for c, v in zip(columns, values)]] = 1
                    self.by_row[row, first[-1] + i] = 1
                row += 1

    def __call__(self, Z: Codes) -> np.ndarray:
        out = np.zeros((len(Z), self.by_row.shape[1]), np.float32)
        for rows in self.space.rows(Z).T:
            out += self.by_row[rows]
        return out
