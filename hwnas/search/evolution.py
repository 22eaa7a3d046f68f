"""Evolution of SPOS (Guo et al. 2020, algorithm 1), vectorised: constraints are checked before anything is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..space import Codes
from .feasible import Feasible
from .fresh import Fresh
from .result import Found, Report, Score

DRAWS = 60  # rounds of mutation before random feasible codes fill up a generation
ALIKE = 0.1  # where fewer crossovers are new and feasible, the parents are alike, and mutation does more for less
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


def evolve(
    feasible: Feasible,
    score: Score,
    plan: Evolution,
    seed: int,
    report: Report | None = None,
    seeds: Codes | None = None,
    known: Found | None = None,
) -> Found:
    """Half of each generation are mutations of the parents, half crossovers; no architecture is evaluated twice.

    seeds (n, genes): the first to be evaluated, where they are feasible; known: evaluated before, the first parents come from
    there. Where crossovers of parents that have become alike
    give nothing new, mutations take their place; where those find nothing either, stronger ones, and at last random codes.
    Ends early when the feasible set has no new architecture left.
    """
    space, rng = feasible.model.space, np.random.default_rng(seed)
    fresh = Fresh(feasible)
    nursery = _Nursery(plan, fresh, rng)
    codes, accuracy = np.empty((plan.evaluations, len(space.genes)), np.int64), np.empty(plan.evaluations)
    best, worth = codes[:0], accuracy[:0]  # the parents, and what they scored
    if known:
        fresh(known.codes, len(known.codes))
        order = np.argsort(-known.accuracy, kind="stable")[: plan.parents]
        best, worth = known.codes[order], known.accuracy[order]
    done, first = 0, fresh(codes[:0] if seeds is None else seeds, plan.population)
    for generation in range(plan.generations):
        new = codes[:0] if generation else first
        if len(best) and len(new) < plan.population:
            new = np.concatenate([new, nursery(best, plan.population - len(new))])
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


class _Nursery:
    """Draws the next generation. Remembers how many of its draws are of use, so that it draws no more than are needed."""

    def __init__(self, plan: Evolution, fresh: Fresh, rng: np.random.Generator):
        self.plan, self.fresh, self.rng, self.space = plan, fresh, rng, fresh.feasible.model.space
        self.mutants, self.children = 0.5, 0.5  # shares of the last draws that were new and feasible

    def __call__(self, parents: Codes, size: int) -> Codes:
        """Up to `size` new feasible architectures; fewer where DRAWS rounds do not find them."""
        p = self.plan.mutate_p
        half = size - size // 2
        n = self._enough(half, self.children) if self.children > ALIKE else half
        children = self.fresh(self.space.cross(self._pick(parents, n), self._pick(parents, n), self.rng), half)
        self.children, new, missing = _share(len(children), half, n), [children], size - len(children)
        for _ in range(DRAWS):
            if not missing or p > 1:
                break
            n = self._enough(missing, self.mutants)
            found = self.fresh(self.space.mutate(self._pick(parents, n), self.rng, p), missing)
            self.mutants, new, missing = _share(len(found), missing, n), [*new, found], missing - len(found)
            if self.mutants < POOR:
                p *= 1.5
        return np.concatenate(new)

    def _enough(self, wanted: int, share: float) -> int:
        """How many to draw for so many to be of use."""
        return int(np.clip(wanted / max(share, 0.01), wanted, 4 * self.plan.population))

    def _pick(self, parents: Codes, n: int) -> Codes:
        return parents[self.rng.integers(0, len(parents), n)]


def _share(found: int, wanted: int, drawn: int) -> float:
    """Of the draws, those of use; as only what is wanted is taken, somewhat more than it when all was found."""
    return found / drawn if found < wanted else 1.1 * found / drawn
