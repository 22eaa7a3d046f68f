"""NSGA-II (Deb et al. 2002): a Pareto front of two or three objectives, vectorised."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    objectives: Sequence[str] = (),
) -> Found:
    """A front of `objectives`: "accuracy", made large, and fields of the cost model, whose upper bounds are made small.

    None named: accuracy and the first limit's field. `pareto` gives the front of what was found. Binary tournaments by rank and crowding,
    uniform crossover, mutation of one gene in the mean, elitist survival, as in the paper. Unlike there, what breaks a limit is not ranked
    last but never evaluated: here a limit costs microseconds to check, a score seconds. No architecture is evaluated twice. `plan.parents`
    and `plan.mutate_p` have no use.
    """

    def picked(values: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        (a, b), order, crowd = rng.integers(0, len(values), (2, n)), ranks(values), crowding(values)
        better = (order[a] < order[b]) | ((order[a] == order[b]) & (crowd[a] >= crowd[b]))
        return np.where(better, a, b)

    return generational(feasible, score, plan, seed, report, objectives, picked, lambda values, size, rng: survivors(values, size))


Pick = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]  # values (n, objectives), how many, rng -> indices


def generational(
    feasible: Feasible,
    score: Score,
    plan: Evolution,
    seed: int,
    report: Report | None,
    objectives: Sequence[str],
    pick: Pick,
    survive: Pick,
) -> Found:
    """The loop that NSGA-II and III share; pick: the parents of as many children, with repetition; survive: those that live on."""
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    names = list(objectives or ("accuracy", *feasible.target.fields[:1]))
    alive = fresh(feasible.sample(2 * plan.population, rng), plan.population)
    codes, accuracy = alive, score(alive)
    values = objective_values(feasible, alive, accuracy, names)
    for generation in range(plan.generations):
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
        if generation == plan.generations - 1:
            break
        new, n = alive[:0], 2 * plan.population
        for _ in range(DRAWS):
            if len(new) == plan.population:
                break
            X, Y = alive[pick(values, n, rng)], alive[pick(values, n, rng)]
            children = space.mutate(space.cross(X, Y, rng), rng, 1 / max(1, int((space.sizes > 1).sum())))
            new = np.concatenate([new, fresh(children, plan.population - len(new))])
        if missing := plan.population - len(new):
            new = np.concatenate([new, fresh(feasible.sample(plan.population, rng), missing)])
        if not len(new):
            break
        found = score(new)
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, found])
        alive, values = np.concatenate([alive, new]), np.concatenate([values, objective_values(feasible, new, found, names)])
        kept = survive(values, plan.population, rng)
        alive, values = alive[kept], values[kept]
    return Found(codes, accuracy)


def objective_values(feasible: Feasible, Z: np.ndarray, accuracy: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(n, names) all to be made small: -accuracy, and upper bounds of the cost model's fields."""
    fields = [name for name in names if name != "accuracy"]
    upper = dict(zip(fields, feasible.model.upper(Z, fields).T)) if fields else {}
    return np.column_stack([-accuracy if name == "accuracy" else upper[name] for name in names])


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
