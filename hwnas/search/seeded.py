"""Exact search on a fitted score: the optimum of a separable model of the scores seeds the evolution."""

from __future__ import annotations

import numpy as np

from ..cost import CostModel
from ..cost.facts import facts
from ..errors import HwnasError
from .evolution import Evolution, evolve
from .exact import optimum
from .feasible import Feasible
from .features import Features
from .result import Found, Report, Score, random_search

RIDGES = (0.1, 1.0, 10.0, 100.0)
OPTIMA = 10  # of as many fits, each on a resampled part of what was scored


def exact(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Scores some at random, fits a separable model, evaluates its proved optima, and evolves from the best with what is left.

    A third of the evaluations are random. A model is a ridge regression whose strength is chosen by leave-one-out errors;
    beside the one on all scores, nine on resampled scores give other optima. `Found.note` says how well the model fits:
    a proof holds for the model, not for accuracy itself. Raises HwnasError where the space is no chain.
    """
    space, rng = feasible.model.space, np.random.default_rng(seed)
    if not space.is_chain:
        raise HwnasError(f"method exact: space {space.name!r} has joins or cut paths, so cost is no sum over slots: take another --method")
    features = Features(space)
    first = random_search(feasible, score, max(plan.population // 2, plan.evaluations // 3), seed)
    X, y = features(first.codes), first.accuracy
    if report:
        report(len(y), plan.evaluations, first.best_accuracy)
    ridge, fit = _choose(X, y)
    costs, limits, allowed = _rows(feasible)
    found, gap = [], 0.0
    for k in range(OPTIMA):
        part = rng.integers(0, len(y), len(y)) if k else np.arange(len(y))
        best = optimum(space, features.by_row @ _solve(X[part], y[part], ridge), costs, limits, allowed=allowed)
        gap = max(gap, best.gap)
        found.append(best.code)
    left = max(1, plan.evaluations - len(y))
    size = min(plan.population, left)
    later = Evolution(size, left // size, plan.parents, plan.mutate_p)

    def told(done: int, total: int, best: float) -> None:
        if report:
            report(len(y) + done, plan.evaluations, max(best, first.best_accuracy))

    evolved = evolve(feasible, score, later, seed, told, np.array(found), first)
    note = f"{len({tuple(z) for z in found})} optima of a separable fit (leave-one-out R2 {fit:.2f}), proved to a gap of {gap:.2g}"
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


def _solve(X: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """(features,) ridge regression on centred data."""
    A = X - X.mean(0)
    return A.T @ np.linalg.solve(A @ A.T + ridge * np.eye(len(A)), y - y.mean())


def _choose(X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The ridge with the smallest leave-one-out error, and its R2; errors in closed form."""
    if len(y) < 4 or y.std() == 0:
        raise HwnasError(f"method exact: {len(y)} scores that differ are too few to fit: raise --generations or take another method")
    A, best = X - X.mean(0), (np.inf, 0.0)
    for ridge in RIDGES:
        hat = A @ A.T @ np.linalg.inv(A @ A.T + ridge * np.eye(len(A))) + 1 / len(A)
        error = float(np.mean(((y - y.mean() - (hat - 1 / len(A)) @ (y - y.mean())) / np.maximum(1 - np.diag(hat), 1e-6)) ** 2))
        best = min(best, (error, ridge))
    return best[1], 1 - best[0] / float(y.var())
