"""AccuracyModel: what each gene's value adds to the accuracy, fitted on the architectures that were scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from ..space import Codes, Space

PENALTIES = 10.0 ** np.arange(-2, 5)  # of the ridge; the one with the smallest leave-one-out error is taken
MIN_SCORES = 30  # with fewer nothing is fitted


@dataclass(frozen=True)
class AccuracyModel:
    """Ridge regression on one-hot genes; a gene that changes nothing in an architecture counts for nothing there.

    Additive: it does not know that one layer's kernel matters more when another is small. Its errors are leave-one-out,
    in closed form, and stand beside everything that is said with it.
    """

    space: Space
    mean: float
    weights: np.ndarray  # (columns,)
    centre: np.ndarray  # (columns,)
    scores: int  # how many it was fitted on
    error: float  # root mean square, of accuracies predicted by a fit without them
    spearman: float  # of those predictions

    @classmethod
    def fit(cls, space: Space, Z: Codes, accuracy: np.ndarray) -> AccuracyModel | None:
        """Z (n, genes), accuracy (n,). None where there are fewer than 30 scores, or all are the same."""
        if len(Z) < MIN_SCORES or np.ptp(accuracy) == 0:
            return None
        X = features(space, Z)
        mean, centre = float(accuracy.mean()), X.mean(0)
        y = accuracy - mean
        U, s, Vt = np.linalg.svd(X - centre, full_matrices=False)
        along = U.T @ y
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for penalty in PENALTIES:
            kept = s**2 / (s**2 + penalty)
            left_out = (y - U @ (kept * along)) / (1 - U**2 @ kept - 1 / len(y))
            error = float(np.sqrt(np.mean(left_out**2)))
            if best is None or error < best[0]:
                best = error, Vt.T @ (s / (s**2 + penalty) * along), left_out
        assert best is not None
        error, weights, left_out = best
        return cls(space, mean, weights, centre, len(Z), error, float(scipy.stats.spearmanr(y - left_out, y).statistic))

    def score(self, Z: Codes) -> np.ndarray:
        """Z (n, genes) -> (n,) accuracies; a Scorer that costs microseconds."""
        return self.mean + (features(self.space, Z) - self.centre) @ self.weights


def features(space: Space, Z: Codes) -> np.ndarray:
    """(n, sum of sizes) one-hot genes, all zero for a gene without effect in that architecture."""
    on, starts = active(space, Z), np.concatenate([[0], np.cumsum(space.sizes)[:-1]])
    X = np.zeros((len(Z), int(space.sizes.sum())))
    rows, genes = np.nonzero(on)
    X[rows, starts[genes] + Z[rows, genes]] = 1
    return X


def active(space: Space, Z: Codes) -> np.ndarray:
    """(n, genes) bool: whether another value of the gene would make another network."""
    own = np.array(space.keys(Z), object)
    out = np.zeros(Z.shape, bool)
    for g, size in enumerate(space.sizes):
        for step in range(1, int(size)):
            left = ~out[:, g]
            if not left.any():
                break
            other = Z[left].copy()
            other[:, g] = (other[:, g] + step) % size
            out[left, g] = np.array(space.keys(other), object) != own[left]
    return out
