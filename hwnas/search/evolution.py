"""Evolution of SPOS (Guo et al. 2020, algorithm 1), vectorised: constraints are checked before anything is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..space import Codes
from .feasible import Feasible
from .fresh import Fresh
from .result import Found, Report, Score

DRAWS = 60  # rounds of mutation before random feasible codes fill up a generation
POOR = 0.002  # a round that turns fewer of its draws into new feasible architectures is followed by a stronger one


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


def evolve(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None, seeds: Codes | None = None) -> Found:
    """Half of each generation are mutations of the parents, half crossovers; no architecture is evaluated twice.

    seeds (n, genes): the first to be evaluated, where they are feasible. Where crossovers of parents that have become alike
    give nothing new, mutations take their place; where those find nothing either, stronger ones, and at last random codes.
    Ends early when the feasible set has no new architecture left.
    """
    space, rng = feasible.model.space, np.random.default_rng(seed)
    fresh = Fresh(feasible)
    codes, accuracy = np.empty((plan.evaluations, len(space.genes)), np.int64), np.empty(plan.evaluations)
    best, worth = codes[:0], accuracy[:0]  # the parents, and what they scored
    done, new = 0, fresh(codes[:0] if seeds is None else seeds, plan.population)
    for generation in range(plan.generations):
        if generation:
            new = _offspring(best, plan, fresh, rng)
        if missing := plan.population - len(new):
            new = np.concatenate([new, fresh(feasible.sample(plan.population, rng), missing)])
        if not len(new):
            break
        codes[done : done + len(new)] = new
        accuracy[done : done + len(new)] = found = score(new)
        best, worth, done = np.concatenate([best, new]), np.concatenate([worth, found]), done + len(new)
        order = np.argsort(-worth, kind="stable")[: plan.parents]
        best, worth = best[order], worth[order]
        if report:
            report(done, plan.evaluations, float(worth[0]))
    return Found(codes[:done], accuracy[:done])


def _offspring(parents: Codes, plan: Evolution, fresh: Fresh, rng: np.random.Generator) -> Codes:
    """Up to `population` new feasible architectures; fewer where DRAWS rounds do not find them."""
    space, n = fresh.feasible.model.space, 2 * plan.population
    mutants = fresh(space.mutate(_pick(parents, n, rng), rng, plan.mutate_p), plan.population // 2)
    children = fresh(space.cross(_pick(parents, n, rng), _pick(parents, n, rng), rng), plan.population - len(mutants))
    new, p = [mutants, children], plan.mutate_p
    missing = plan.population - len(mutants) - len(children)
    for _ in range(DRAWS):
        if not missing or p > 1:
            break
        found = fresh(space.mutate(_pick(parents, n, rng), rng, p), missing)
        new, missing = [*new, found], missing - len(found)
        if len(found) < POOR * n:
            p *= 1.5
    return np.concatenate(new)


def _pick(parents: Codes, n: int, rng: np.random.Generator) -> Codes:
    return parents[rng.integers(0, len(parents), n)]
