"""NSGA-II (Deb et al. 2002): a Pareto front of accuracy and costs, vectorised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .evolution import Evolution
from .feasible import Feasible
from .fresh import Fresh
from .result import Found, Report, Score

DRAWS = 20  # rounds of variation before random feasible codes fill up a generation


def nsga2(
    feasible: Feasible,
    score: Score,
    plan: Evolution,
    seed: int,
    report: Report | None = None,
    fields: Sequence[str] = (),
) -> Found:
    """Largest accuracy and smallest fields of the cost model (none: the first limit's), upper bounds; `pareto` gives the front.

    Binary tournaments by rank and crowding, uniform crossover, mutation of one gene in the mean, elitist survival, as in the
    paper. Unlike there, what breaks a limit is not ranked last but never evaluated: here a limit costs microseconds to
    check, a score seconds. No architecture is evaluated twice. `plan.parents` and `plan.mutate_p` have no use.
    """
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    fields = list(fields or feasible.target.fields[:1])
    alive = fresh(feasible.sample(2 * plan.population, rng), plan.population)
    codes, accuracy = alive, score(alive)
    values, order, crowd = _objectives(feasible, alive, accuracy, fields), np.zeros(0), np.zeros(0)
    for generation in range(plan.generations):
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
        if generation == plan.generations - 1:
            break
        order, crowd = ranks(values), crowding(values)
        new, n = alive[:0], 2 * plan.population
        for _ in range(DRAWS):
            if len(new) == plan.population:
                break
            a, b, c, d = rng.integers(0, len(alive), (4, n))
            X, Y = alive[_winners(a, b, order, crowd)], alive[_winners(c, d, order, crowd)]
            children = space.mutate(space.cross(X, Y, rng), rng, 1 / max(1, int((space.sizes > 1).sum())))
            new = np.concatenate([new, fresh(children, plan.population - len(new))])
        if missing := plan.population - len(new):
            new = np.concatenate([new, fresh(feasible.sample(plan.population, rng), missing)])
        if not len(new):
            break
        found = score(new)
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, found])
        alive, values = np.concatenate([alive, new]), np.concatenate([values, _objectives(feasible, new, found, fields)])
        kept = survivors(values, plan.population)
        alive, values = alive[kept], values[kept]
    return Found(codes, accuracy)


def pareto(values: np.ndarray) -> np.ndarray:
    """(n,) bool: rows of values (n, objectives), all to be small, that no other row dominates. Of equal rows all are in."""
    order = np.lexsort(values.T[::-1])
    on = np.zeros(len(values), bool)
    front = values[:0]
    for i in order:  # sorted, so that only an earlier one can dominate
        v = values[i]
        if not ((front <= v).all(1) & (front < v).any(1)).any():
            on[i] = True
            front = np.concatenate([front, v[None]])
    return on


def ranks(values: np.ndarray) -> np.ndarray:
    """(n,) int: 0 for the front of values (n, objectives), 1 for the front of the others, and so on (sec. III A)."""
    below = (values[:, None] <= values[None]).all(2)
    dominates = np.asarray(below & ~below.T)
    count, out, rank = dominates.sum(0), np.full(len(values), -1), 0
    while (now := np.flatnonzero((count == 0) & (out < 0))).size:
        out[now], count, rank = rank, count - dominates[now].sum(0), rank + 1
    return out


def crowding(values: np.ndarray) -> np.ndarray:
    """(n,) how far apart the neighbours of each are on its own front, each objective scaled to its range there (sec. III B)."""
    out, order = np.zeros(len(values)), ranks(values)
    for rank in range(int(order.max(initial=-1)) + 1):
        at = np.flatnonzero(order == rank)
        for column in values[at].T:
            line = at[np.argsort(column, kind="stable")]
            v = np.sort(column)
            out[line[[0, -1]]] = np.inf
            if v[-1] > v[0]:
                out[line[1:-1]] += (v[2:] - v[:-2]) / (v[-1] - v[0])
    return out


def survivors(values: np.ndarray, size: int) -> np.ndarray:
    """The `size` best rows of values: by front, and of the last front that is needed the least crowded."""
    return np.lexsort((-crowding(values), ranks(values)))[:size]


def _winners(a: np.ndarray, b: np.ndarray, order: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    better = (order[a] < order[b]) | ((order[a] == order[b]) & (crowd[a] >= crowd[b]))
    return np.where(better, a, b)


def _objectives(feasible: Feasible, Z: np.ndarray, accuracy: np.ndarray, fields: Sequence[str]) -> np.ndarray:
    return np.column_stack([-accuracy, feasible.model.upper(Z, fields)])
