"""Evolution of SPOS (Guo et al. 2020, algorithm 1), vectorised: constraints are checked before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..space import Codes, Space
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
        new = codes[:0]
        if generation:
            parents = codes[np.argsort(-accuracy, kind="stable")[: plan.parents]]
            mutants = partial(_mutants, space, parents, 2 * plan.population, rng, plan.mutate_p)
            children = partial(_children, space, parents, 2 * plan.population, rng)
            new = _fill(new, plan.population // 2, mutants, feasible, seen)
            new = _fill(new, plan.population, children, feasible, seen)
        if missing := plan.population - len(new):
            new = np.concatenate([new, _unseen(feasible.sample(plan.population, rng), feasible, seen, missing)])
        if not len(new):
            break
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, score(new)])
        if report:
            report(len(accuracy), plan.evaluations, float(accuracy.max()))
    return Found(codes, accuracy)


def _mutants(space: Space, parents: Codes, n: int, rng: np.random.Generator, p: float) -> Codes:
    return space.mutate(parents[rng.integers(0, len(parents), n)], rng, p)


def _children(space: Space, parents: Codes, n: int, rng: np.random.Generator) -> Codes:
    mother, father = rng.integers(0, len(parents), (2, n))
    return space.cross(parents[mother], parents[father], rng)


def _fill(new: Codes, size: int, draw: Callable[[], Codes], feasible: Feasible, seen: set[bytes]) -> Codes:
    """new with feasible, unseen architectures of draw() added until there are `size`; fewer where DRAWS rounds do not find them."""
    for _ in range(DRAWS):
        if len(new) >= size:
            break
        new = np.concatenate([new, _unseen(draw(), feasible, seen, size - len(new))])
    return new


def _unseen(Z: Codes, feasible: Feasible, seen: set[bytes], most: int) -> Codes:
    """Up to `most` feasible architectures of Z that were not seen, now marked as seen."""
    Z = Z[feasible(Z)]
    taken: list[int] = []
    for i, key in enumerate(feasible.model.space.keys(Z)):
        if len(taken) == most:
            break
        if key not in seen:
            seen.add(key)
            taken.append(i)
    return Z[taken]
