"""Exhaustive search: every architecture that keeps the budget, where they can be counted."""

from __future__ import annotations

import numpy as np

from ..errors import HwnasError
from ..space import Codes, Space
from .evolution import Evolution
from .feasible import Feasible
from .fresh import Fresh
from .result import Found, Report, Score

MOST = 1_000_000  # codes that are listed
CHUNK = 50_000


def exhaustive(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Scores all that is feasible; plan and seed change nothing. Raises HwnasError for a space of more than a million codes."""
    space, fresh = feasible.model.space, Fresh(feasible)
    total = float(np.prod(space.sizes.astype(float)))
    if total > MOST:
        raise HwnasError(
            f"method exhaustive: space {space.name!r} has {total:.3g} codes, more than {MOST:,}: take a smaller space or another --method"
        )
    parts = [fresh(all_codes(space, start, min(start + CHUNK, int(total))), CHUNK) for start in range(0, int(total), CHUNK)]
    Z = np.concatenate(parts)
    if not len(Z):
        feasible.sample(1, np.random.default_rng(seed))  # says which limit binds
    accuracy = np.zeros(0)
    for start in range(0, len(Z), plan.population):
        accuracy = np.concatenate([accuracy, score(Z[start : start + plan.population])])
        if report:
            report(len(accuracy), len(Z), float(accuracy.max()))
    return Found(Z, accuracy)


def all_codes(space: Space, start: int, stop: int) -> Codes:
    """(stop - start, genes): codes number start to stop, the last gene fastest."""
    return np.stack(np.unravel_index(np.arange(start, stop), tuple(space.sizes)), 1).astype(np.int64)
