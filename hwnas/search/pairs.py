"""Pairs: what an option of one gene is worth beside an option of another one, more than both are worth alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..space import Codes, Space


@dataclass(frozen=True)
class Pair:
    """Two genes of a chain: gain[a, b] is added where the first runs at its value a and the second at its value b."""

    first: np.ndarray  # (values, rows of `Space.members`) bool: the first gene runs at that value in the slot where it comes first
    second: np.ndarray  # the same of the second gene
    gain: np.ndarray  # (values of the first, values of the second)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(n,) what it adds to architectures whose rows (n, slots) these are."""
        one, two = (kinds[:, rows].max(2).astype(float) for kinds in (self.first, self.second))
        return np.einsum("an,ab,bn->n", one, self.gain, two)


class GenePairs:
    """The pairs of genes of a chain as features: one for each pair of their values, 1 where both run at those."""

    def __init__(self, space: Space):
        self.space = space
        self.kinds: dict[int, np.ndarray] = {}  # gene -> (values, rows) bool
        start = 0
        for slot in space.slots:
            sizes = [len(g.values) for g in slot.axes]
            digits = np.indices(sizes).reshape(len(sizes), -1)
            runs = np.array([bool(space.members[start + i]) for i in range(digits.shape[1])])
            for gene, digit in zip(slot.axes, digits):
                at = space.index[gene.name]
                if at not in self.kinds and len(gene.values) > 1:
                    self.kinds[at] = np.zeros((len(gene.values), len(space.members)), bool)
                    self.kinds[at][digit[runs], start + np.flatnonzero(runs)] = True
            start += digits.shape[1]

    @cached_property
    def names(self) -> list[tuple[int, int]]:
        """Every two genes."""
        return [(g, h) for g in self.kinds for h in self.kinds if g < h]

    def __call__(self, Z: Codes, pair: tuple[int, int]) -> np.ndarray:
        """(n, values x values) float."""
        rows = self.space.rows(Z)
        one, two = (self.kinds[gene][:, rows].max(2) for gene in pair)
        return np.einsum("an,bn->nab", one, two).reshape(len(Z), -1).astype(float)

    def fitted(self, pair: tuple[int, int], gain: np.ndarray) -> Pair:
        """A pair with its gains (values x values,)."""
        first, second = (self.kinds[gene] for gene in pair)
        return Pair(first, second, gain.reshape(len(first), len(second)))
