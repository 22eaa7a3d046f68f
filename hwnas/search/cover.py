"""Cover: the fewest models that serve every device of a fleet."""

from __future__ import annotations

import numpy as np
import scipy

from ..errors import HwnasError


def cover(serves: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """(budgets,) which candidate serves each budget: the fewest distinct ones, and of those the most accurate in the mean.

    serves (candidates, budgets) bool: may it serve there; accuracy (candidates,) in [0, 1]. Minimum set cover, solved as a
    mixed-integer program to the optimum. Raises HwnasError for a budget that no candidate serves.
    """
    if not (served := serves.any(0)).all():
        raise HwnasError(f"cover: no model serves budget number {int(np.flatnonzero(~served)[0]) + 1}")
    by_pattern: dict[bytes, int] = {}  # of candidates that serve the same budgets only the most accurate matters
    for i in np.argsort(-accuracy, kind="stable"):
        by_pattern.setdefault(serves[i].tobytes(), int(i))
    kept = np.array(sorted(by_pattern.values()))
    serves, accuracy = serves[kept], accuracy[kept]
    n, budgets = serves.shape
    model, budget = np.nonzero(serves)  # one variable for each pair that may be: model serves budget
    pairs = np.arange(len(model))
    loss = (accuracy.max() - accuracy[model]) / (budgets + 1)  # in sum below 1, so that one model fewer is always better
    once = scipy.sparse.coo_array((np.ones(len(pairs)), (budget, n + pairs)), shape=(budgets, n + len(pairs)))
    only = scipy.sparse.coo_array(
        (np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))]), (np.tile(pairs, 2), np.concatenate([n + pairs, model]))),
        shape=(len(pairs), n + len(pairs)),
    )
    found = scipy.optimize.milp(
        np.concatenate([np.ones(n), loss]),
        integrality=np.concatenate([np.ones(n), np.zeros(len(pairs))]),
        bounds=scipy.optimize.Bounds(0, 1),
        constraints=[scipy.optimize.LinearConstraint(once.tocsr(), 1, 1), scipy.optimize.LinearConstraint(only.tocsr(), -np.inf, 0)],
        options={"mip_rel_gap": 0.0},
    )
    chosen = found.x[:n] > 0.5
    best = np.where(serves & chosen[:, None], accuracy[:, None], -np.inf).argmax(0)
    return kept[best]
