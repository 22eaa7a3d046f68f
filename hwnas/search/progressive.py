"""PNAS: progressive search, from small architectures to large ones (Liu et al. 2018, arXiv 1712.00559)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..space import Codes, Space
from .feasible import Feasible
from .isomorphic import isomorphic_keys
from .result import Found, Report, Score

RIDGE = 1.0


@dataclass(frozen=True)
class Progressive:
    """K of algorithm 1, and what bounds the enumeration where the paper's cells have less."""

    beam: int = 32  # K: architectures evaluated at each level
    first: int = 64  # of the first level, at most; the paper evaluates all its 136 one-block cells
    expansions: int = 4096  # children ranked by the surrogate at each level, at most; more are sampled


def progressive(feasible: Feasible, score: Score, plan: Progressive, seed: int, report: Report | None = None) -> Found:
    """Beam search: all one-block architectures, then the best K with one block more, and so on; a surrogate picks the K.

    A level is the genes of one block: of a node on a cell space, of a layer on a chain. Later genes stand at their first
    value, so that every level's architectures are whole networks (the rest of a cell is `none`, depth is shortest). None of
    those evaluated is over a limit; `fill` is not asked of them, as small ones come first.
    """
    space = feasible.model.space
    beam = Beam(space, plan, seed, feasible.keeps, feasible.near(space.smallest()))
    codes, accuracy = np.zeros((0, len(beam.space.genes)), np.int64), np.zeros(0)
    total = plan.first + plan.beam * (len(beam.levels) - 1)
    while not beam.done:
        Z = beam.propose()
        found = score(Z)
        beam.learn(Z, found)
        codes, accuracy = np.concatenate([codes, Z]), np.concatenate([accuracy, found])
        if report:
            report(len(codes), total, float(accuracy.max()))
    return Found(codes, accuracy)


class Beam:
    """The state of algorithm 1: `propose` a level's architectures, have them evaluated, `learn` from that; until `done`.

    start (genes,): what the first level grows from; it has to be within. None: the smallest architecture.
    """

    def __init__(self, space: Space, plan: Progressive, seed: int, within: Callable[[Codes], np.ndarray], start: np.ndarray | None = None):
        self.space, self.plan, self.seed, self.within = space, plan, seed, within
        self.levels = levels(space)
        self.level = 0
        self.codes = (space.smallest() if start is None else start)[None]  # those of the last level
        self.seen, self.accuracy = np.zeros((0, len(space.genes)), np.int64), np.zeros(0)

    @property
    def done(self) -> bool:
        return self.level == len(self.levels)

    def propose(self) -> Codes:
        """Z (k, genes): children of the last level by one block; no two isomorphic, the most promising ones."""
        plan, rng = self.plan, np.random.default_rng([self.seed, self.level])
        Z = children(self.space, self.codes, self.levels[self.level], plan.expansions, rng)
        Z = Z[self.within(Z)] if self.within(Z).any() else self.codes
        keys = isomorphic_keys(self.space, Z)
        Z = Z[[keys.index(k) for k in dict.fromkeys(keys)]]
        if not len(self.seen):
            return Z if len(Z) <= plan.first else Z[rng.choice(len(Z), plan.first, replace=False)]
        return Z[np.argsort(-self.predict(Z), kind="stable")[: plan.beam]]

    def learn(self, Z: Codes, accuracy: np.ndarray) -> None:
        """Accuracy (k,) of what was proposed: the surrogate sees it, and the next level begins."""
        self.seen, self.accuracy = np.concatenate([self.seen, Z]), np.concatenate([self.accuracy, accuracy])
        self.codes, self.level = Z, self.level + 1

    def predict(self, Z: Codes) -> np.ndarray:
        """(n,) accuracy by ridge regression on the one-hot codes of all that was evaluated (the paper: an ensemble of MLPs).

        Additive in the genes, so that it can speak of blocks more than it has seen: trees and nearest neighbours cannot.
        """
        X, mean = _one_hot(self.space, self.seen), self.accuracy.mean()
        w = np.linalg.solve(X.T @ X + RIDGE * np.eye(X.shape[1]), X.T @ (self.accuracy - mean))
        return mean + _one_hot(self.space, Z) @ w


def levels(space: Space) -> list[list[int]]:
    """Genes (their columns) in blocks, in the order of the network: those that first decide about slots into the same node."""
    found: dict[str, list[int]] = {}
    placed: set[int] = set()
    for slot in space.slots:
        new = [i for g in slot.axes if (i := space.index[g.name]) not in placed and len(g.values) > 1]
        if new:
            found.setdefault(slot.writes, []).extend(new)
            placed |= set(new)
    return list(found.values())


def children(space: Space, parents: Codes, genes: list[int], most: int, rng: np.random.Generator) -> Codes:
    """Z: each parent (n, genes) with every combination of values of the given genes; a random part where they are over `most`."""
    sizes = [int(space.sizes[g]) for g in genes]
    if len(parents) * float(np.prod(sizes, dtype=float)) <= most:
        values = np.array(list(product(*map(range, sizes))), np.int64)
        Z = np.repeat(parents, len(values), 0)
        Z[:, genes] = np.tile(values, (len(parents), 1))
        return Z
    Z = parents[rng.integers(0, len(parents), most)]
    Z[:, genes] = rng.integers(0, sizes, (most, len(genes)))
    return Z


def _one_hot(space: Space, Z: Codes) -> np.ndarray:
    X = np.zeros((len(Z), int(space.sizes.sum())))
    np.put_along_axis(X, np.concatenate([[0], np.cumsum(space.sizes)[:-1]]) + Z, 1.0, 1)
    return X
