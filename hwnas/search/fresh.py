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
        rows = space.rows(Z)
        keeps = np.flatnonzero(self.feasible(Z, rows))
        for i, hashed in zip(keeps.tolist(), self.feasible.identity(Z[keeps], rows[keeps]).tolist()):
            if len(taken) == most:
                break
            if hashed not in self._seen:
                self._seen.add(hashed)
                taken.append(i)
        return Z[taken]
