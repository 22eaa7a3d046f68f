"""A score as a sum of what each slot runs, and of the pairs of genes that matter beside it: what exact search optimises."""

from __future__ import annotations

import numpy as np

from ..errors import HwnasError
from ..space import Codes, Space
from .features import Features
from .pairs import GenePairs, Pair

RIDGES = (0.1, 1.0, 10.0, 100.0)
MOST = 8  # pairs
TRIED = 3  # pairs that explain most of what is left, before it is given up
BETTER = 0.95  # times the error without it: the best of some hundred pairs is a little better by chance


class Separable:
    """A ridge regression whose strength and pairs were chosen by leave-one-out errors, in closed form, pair after pair."""

    def __init__(self, space: Space, Z: Codes, y: np.ndarray, most: int = MOST):
        """Z (n, genes) of a chain scored y (n,); most: pairs. Raises HwnasError where these are too few, or all alike."""
        if len(y) < 4 or y.std() == 0:
            raise HwnasError(f"method exact: {len(y)} scores that differ are too few to fit: raise --generations or take another method")
        self.features, self.by_pair = Features(space), GenePairs(space)
        self.pairs: list[tuple[int, int]] = []
        self._y, self._X = y, self.features(Z).astype(float)
        centred = {p: _centred(self.by_pair(Z, p)) for p in self.by_pair.names}
        centred = {p: A for p, A in centred.items() if A.any()}
        kernel = (A := _centred(self._X)) @ A.T
        error, self.ridge, left = _leave_one_out(kernel, y)
        while len(self.pairs) < most:
            worth = {p: np.square(A.T @ left).sum() / np.square(A).sum() for p, A in centred.items() if p not in self.pairs}
            for pair in sorted(worth, key=lambda p: -worth[p])[:TRIED]:
                more = kernel + centred[pair] @ centred[pair].T
                if (found := _leave_one_out(more, y))[0] < BETTER * error:
                    (error, self.ridge, left), kernel = found, more
                    self.pairs.append(pair)
                    break
            else:
                break
        self._P = [self.by_pair(Z, p) for p in self.pairs]
        self.r2 = 1 - error / float(y.var())  # leave-one-out

    def fit(self, part: np.ndarray) -> tuple[np.ndarray, list[Pair]]:
        """((rows of `Space.members`,) gains, pairs), fitted on the scores at `part` (indices)."""
        A, y = _centred(np.hstack([self._X, *self._P])[part]), self._y[part]
        weights = A.T @ np.linalg.solve(A @ A.T + self.ridge * np.eye(len(A)), y - y.mean())
        own, *of_pairs = np.split(weights, np.cumsum([self._X.shape[1], *(P.shape[1] for P in self._P)])[:-1])
        return self.features.by_row @ own, [self.by_pair.fitted(p, w) for p, w in zip(self.pairs, of_pairs)]


def _centred(X: np.ndarray) -> np.ndarray:
    return X - X.mean(0)


def _leave_one_out(kernel: np.ndarray, y: np.ndarray) -> tuple[float, float, np.ndarray]:
    """(least mean square error, its ridge, (n,) the errors) of kernel ridge regression on centred features."""
    values, vectors = np.linalg.eigh(kernel)
    centred, best = y - y.mean(), (np.inf, 0.0, y)
    along = vectors.T @ centred
    for ridge in RIDGES:
        shrunk = values / (values + ridge)
        own = np.einsum("ij,j,ij->i", vectors, shrunk, vectors) + 1 / len(y)  # the hat matrix's diagonal
        errors = (centred - vectors @ (shrunk * along)) / np.maximum(1 - own, 1e-6)
        if (error := float(np.mean(errors**2))) < best[0]:
            best = (error, ridge, errors)
    return best
