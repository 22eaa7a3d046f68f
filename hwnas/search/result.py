"""Found: what a search brings home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..space import Codes
from .feasible import Feasible

Score = Callable[[Codes], np.ndarray]  # Z (n, genes) -> accuracy (n,)
Report = Callable[[int, int, float], None]  # evaluations done, to do, best accuracy so far

AT_ONCE = 50  # architectures of a random search: enough for many workers


@dataclass(frozen=True)
class Found:
    """codes (n, genes) in the order of evaluation, their accuracies (n,), and the best of them."""

    codes: Codes
    accuracy: np.ndarray
    note: str = ""  # what the method has to say of it

    @property
    def best(self) -> np.ndarray:
        """(genes,) the code of the highest accuracy; the first of equals."""
        return self.codes[self.accuracy.argmax()]

    @property
    def best_accuracy(self) -> float:
        return float(self.accuracy.max())


def random_search(feasible: Feasible, score: Score, evaluations: int, seed: int, report: Report | None = None) -> Found:
    """The best of `evaluations` random feasible codes: what every method must beat."""
    Z = feasible.sample(evaluations, np.random.default_rng(seed))
    accuracy = np.zeros(0)
    for i in range(0, len(Z), AT_ONCE):
        accuracy = np.concatenate([accuracy, score(Z[i : i + AT_ONCE])])
        if report:
            report(len(accuracy), len(Z), float(accuracy.max()))
    return Found(Z, accuracy)
