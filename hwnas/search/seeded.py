"""Exact search on a fitted score: the proved optimum of a model of the scores seeds the evolution."""

from __future__ import annotations

import numpy as np

from ..cost import CostModel
from ..cost.facts import facts
from ..errors import HwnasError
from .evolution import Evolution, evolve
from .exact import optimum
from .feasible import Feasible
from .result import Found, Report, Score, random_search
from .separable import Separable

OPTIMA = 10  # of as many fits, each on a resampled part of what was scored
LIMIT_S = 5.0  # for each of them: what is found by then is good enough to begin from, and its gap is told


def exact(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Scores some at random, fits `Separable`, evaluates its proved optima, and evolves from the best with what is left.

    A third of the evaluations are random. Beside the model on all scores, nine on resampled scores give other optima.
    `Found.note` says how well the model fits: a proof holds for the model, not for accuracy itself. Raises HwnasError where
    the space is no chain.
    """
    space, rng = feasible.model.space, np.random.default_rng(seed)
    if not space.is_chain:
        raise HwnasError(f"method exact: space {space.name!r} has joins or cut paths, so cost is no sum over slots: take another --method")
    first = random_search(feasible, score, max(plan.population // 2, plan.evaluations // 3), seed)
    y = first.accuracy
    if report:
        report(len(y), plan.evaluations, first.best_accuracy)
    model = Separable(space, first.codes, y)
    costs, limits, allowed = _rows(feasible)
    found, gap = [], 0.0
    for k in range(OPTIMA):
        gain, pairs = model.fit(rng.integers(0, len(y), len(y)) if k else np.arange(len(y)))
        best = optimum(space, gain, costs, limits, pairs=pairs, allowed=allowed, limit_s=LIMIT_S)
        gap = max(gap, best.gap)
        found.append(best.code)
    left = max(1, plan.evaluations - len(y))
    size = min(plan.population, left)
    later = Evolution(size, left // size, plan.parents, plan.mutate_p)

    def told(done: int, total: int, best: float) -> None:
        if report:
            report(len(y) + done, plan.evaluations, max(best, first.best_accuracy))

    evolved = evolve(feasible, score, later, seed, told, np.array(found), first)
    fit = f"a sum over slots and {len(model.pairs)} pairs of genes (leave-one-out R2 {model.r2:.2f})"
    note = f"{len({tuple(z) for z in found})} optima of {fit}, proved to a gap of {gap:.2g}"
    return Found(np.concatenate([first.codes, evolved.codes]), np.concatenate([y, evolved.accuracy]), note)


def _rows(feasible: Feasible) -> tuple[list[np.ndarray], list[float], np.ndarray]:
    """Limits as exact search takes them: sums over rows, without base and margin; memory as rows that are not allowed."""
    model, costs, limits = feasible.model, [], []
    allowed = np.ones(len(model.space.members), bool)
    if "latency_ms" in model.tables:  # also where the budget names something else
        allowed &= np.isfinite(model.by_row("latency_ms"))
    for field, limit in zip(np.array(feasible.target.fields)[feasible.hard], feasible.limits[feasible.hard]):
        if field == "memory_bytes":  # on a chain the largest of its rows
            allowed &= row_memory(model) <= limit
        else:
            costs.append(model.by_row(field))
            limits.append(limit / (1 + model.margin.get(field, 0.0)) - model.base.get(field, 0.0))
    return costs, limits, allowed


def row_memory(model: CostModel) -> np.ndarray:
    """(rows,) bytes alive at most while a row of a chain runs."""
    counts = [facts(b) for b in model.space.blocks]
    out = np.zeros(len(model.space.members))
    for row, ids in enumerate(model.space.members):
        if ids:
            out[row] = max(counts[i].memory_bytes for i in ids) + (counts[ids[-1]].out_bytes if len(ids) > 1 else 0)
    return out
