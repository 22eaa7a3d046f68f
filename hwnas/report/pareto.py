"""Which architectures no other one beats."""

from __future__ import annotations

import numpy as np


def pareto_front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """cost, accuracy (n,) -> indices of the front, by rising cost: none is both cheaper and at least as accurate.

    What costs inf or is not a number is on no front.
    """
    order = np.lexsort((-accuracy, cost))
    order = order[np.isfinite(cost[order]) & np.isfinite(accuracy[order])]
    if not len(order):
        return order
    best = np.maximum.accumulate(accuracy[order])
    better = np.append(True, best[1:] > best[:-1])
    return order[better]
