"""Evolution of SPOS (Guo et al. 2020, algorithm 1), vectorised: constraints are checked before anything is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..space import Codes
from .feasible import Feasible
from .result import Found, Report, Score

DRAWS = 60  # rounds of mutation or crossover before random feasible codes fill up a generation


@dataclass(frozen=True)
class Evolution:
    """The paper's settings."""

    population: int = 50
    generations: int = 20
    parents: int = 10  # the best so far, from all generations
    mutate_p: float = 0.1  # probability that a gene is redrawn

    @property
    def evaluations(self) -> int:
        return self.population * self.generations


def evolve(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Half of each generation are mutations of the parents, half crossovers; no architecture is evaluated twice.

    Ends early when the feasible set has no new architecture left.
    """
    space, rng = feasible.model.space, np.random.default_rng(seed)
    seen: set[bytes] = set()
    codes, accuracy = np.zeros((0, len(space.genes)), np.int64), np.zeros(0)
    for generation in range(plan.generations):
        new: list[np.ndarray] = []
        if generation:
            parents = codes[np.argsort(-accuracy, kind="stable")[: plan.parents]]
            half = plan.population // 2
            for _ in range(DRAWS):
                mutants = space.mutate(_pick(parents, rng), rng, plan.mutate_p)
                new += _take(half - len(new), mutants, feasible, seen)
            for _ in range(DRAWS):
                children = space.cross(_pick(parents, rng), _pick(parents, rng), rng)
                new += _take(plan.population - len(new), children, feasible, seen)
        if missing := plan.population - len(new):
            new += _take(missing, feasible.sample(plan.population, rng), feasible, seen)
        if not new:
            break
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, score(np.array(new))])
        if report:
            report(len(accuracy), plan.evaluations, float(accuracy.max()))
    return Found(codes, accuracy)


def _pick(parents: Codes, rng: np.random.Generator, n: int = 256) -> Codes:
    return parents[rng.integers(0, len(parents), n)]


def _take(most: int, Z: Codes, feasible: Feasible, seen: set[bytes]) -> list[np.ndarray]:
    """Up to `most` feasible architectures of Z that were not seen, now marked as seen."""
    taken: list[np.ndarray] = []
    if most <= 0:
        return taken
    Z = Z[feasible(Z)]
    for z, key in zip(Z, feasible.model.space.keys(Z)):
        if len(taken) < most and key not in seen:
            seen.add(key)
            taken.append(z)
    return taken
