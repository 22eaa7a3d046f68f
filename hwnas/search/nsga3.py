"""NSGA-III (Deb & Jain 2014): a front spread evenly over reference directions, for three objectives and more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np

from .evolution import Evolution
from .feasible import Feasible
from .nsga2 import generational, ranks
from .result import Found, Report, Score

FAR = 1e6  # weight of the other axes in the search for an axis' extreme point (eq. 4; there 1 / 1e-6)


def nsga3(
    feasible: Feasible,
    score: Score,
    plan: Evolution,
    seed: int,
    report: Report | None = None,
    objectives: Sequence[str] = (),
) -> Found:
    """As `nsga2`, but of the last front that is needed those survive whose reference directions have fewest, not the least crowded.

    Crowding distances say little in three dimensions; directions spread over the simplex do. There are as many of them as fit the
    population; parents are drawn at random, as in the paper.
    """
    count = len(objectives) or 2
    niches = Niches(directions(count, plan.population))

    def picked(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, len(values), n)

    return generational(feasible, score, plan, seed, report, objectives, picked, niches.survivors)


def directions(objectives: int, most: int) -> np.ndarray:
    """(n, objectives) points on the simplex, evenly spaced, as many as can be up to `most` (Das & Dennis 1998); at least the corners."""
    parts = 1
    while comb(parts + objectives, objectives - 1) <= most:
        parts += 1
    cuts = np.array(list(combinations(range(parts + objectives - 1), objectives - 1)))
    ends = np.hstack([np.full((len(cuts), 1), -1), cuts, np.full((len(cuts), 1), parts + objectives - 1)])
    return (np.diff(ends, axis=1) - 1) / parts


class Niches:
    """Which architecture stands for which direction (sec. IV C to E). Remembers the best value of each objective."""

    def __init__(self, lines: np.ndarray):
        self.lines = lines / np.linalg.norm(lines, axis=1, keepdims=True)  # (directions, objectives)
        self.ideal = np.full(lines.shape[1], np.inf)

    def survivors(self, values: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """(size,) indices into values (n, objectives)."""
        self.ideal = np.minimum(self.ideal, values.min(0))
        order = ranks(values)
        if len(values) <= size:
            return np.arange(len(values))
        last = np.sort(order)[size - 1]
        kept, open_ = np.flatnonzero(order < last).tolist(), np.flatnonzero(order == last)
        niche, distance = self.associate(values, order <= last)
        crowd = np.bincount(niche[kept], minlength=len(self.lines)) if kept else np.zeros(len(self.lines), int)
        while len(kept) < size:
            mine = np.unique(niche[open_])
            least = rng.choice(mine[crowd[mine] == crowd[mine].min()])
            there = open_[niche[open_] == least]
            chosen = int(there[distance[there].argmin()] if crowd[least] == 0 else rng.choice(there))
            kept.append(chosen)
            crowd[least] += 1
            open_ = open_[open_ != chosen]
        return np.array(kept)

    def associate(self, values: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest direction (n,), and the distance from its line (n,), in objectives scaled by those of `among` (n,) bool."""
        moved = values - self.ideal
        scaled = moved / self._intercepts(moved[among])
        along = scaled @ self.lines.T
        distance = np.sqrt(np.maximum((scaled**2).sum(1)[:, None] - along**2, 0.0))
        return distance.argmin(1), distance.min(1)

    @staticmethod
    def _intercepts(moved: np.ndarray) -> np.ndarray:
        """Where the plane through the extreme points cuts each axis; the largest values where there is no such plane."""
        n = moved.shape[1]
        weights = np.where(np.eye(n) > 0, 1.0, FAR)
        extreme = moved[(moved[None] * weights[:, None]).max(2).argmin(1)]
        widest = np.maximum(moved.max(0), 1e-12)
        if abs(np.linalg.det(extreme / widest)) < 1e-9:
            return np.asarray(widest)
        plane = np.linalg.solve(extreme, np.ones(n))
        cut = 1 / np.where(np.abs(plane) > 1e-12, plane, np.inf)
        return np.asarray(cut if ((cut > 1e-9 * widest) & (cut <= widest * (1 + 1e-9))).all() else widest)
