"""Steepest descent on codes: the smallest value of a cheap function, one gene at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..space import Codes, Space


def descend(space: Space, value: Callable[[Codes], np.ndarray], starts: Codes, steps: int = 400) -> tuple[Codes, np.ndarray]:
    """Each start (n, genes) moved by its best single-gene change until none helps: (codes (n, genes), values (n,)).

    value: (m, genes) -> (m,); it is called on all starts' neighbours at once.
    """
    genes = np.repeat(np.arange(len(space.sizes)), space.sizes)
    options = np.concatenate([np.arange(n) for n in space.sizes])
    Z, best = starts.copy(), value(starts)
    moving = np.arange(len(Z))
    for _ in range(steps):
        if not len(moving):
            break
        near = np.repeat(Z[moving][:, None], len(genes), 1)  # (moving, changes, genes)
        near[:, np.arange(len(genes)), genes] = options
        values = value(near.reshape(-1, Z.shape[1])).reshape(len(moving), -1)
        change = values.argmin(1)
        found = values[np.arange(len(moving)), change]
        better = found < best[moving]
        Z[moving[better]] = near[np.flatnonzero(better), change[better]]
        best[moving[better]] = found[better]
        moving = moving[better]
    return Z, best
