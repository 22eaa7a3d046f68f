"""Fresh: which codes of a search are worth an evaluation, because they are feasible and were not seen."""

from __future__ import annotations

import numpy as np

from ..space import Codes
from .feasible import Feasible


class Fresh:
    """Remembers every architecture that it let pass, so that none is evaluated twice."""

    def __init__(self, feasible: Feasible):
        self.feasible = feasible
        self._seen: set[int] = set()

    def __call__(self, Z: Codes, most: int) -> Codes:
        """The first `most` feasible architectures of Z (n, genes) that were not seen; from now on they are."""
        space = self.feasible.model.space
        taken: list[int] = []
        rows, seen = space.rows(Z), self._seen
        keeps = np.flatnonzero(self.feasible(Z, rows))
        for i, one in zip(keeps.tolist(), self.feasible.identity(Z[keeps], rows[keeps]).tolist()):
            if one not in seen:
                if len(taken) == most:
                    break
                seen.add(one)
                taken.append(i)
        return Z[taken]
