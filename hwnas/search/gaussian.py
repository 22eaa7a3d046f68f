"""GaussianProcess: regression with an honest uncertainty, for up to some thousand points."""

from __future__ import annotations

import numpy as np

LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)  # of the kernel, in root-mean-square distances of the points
NOISES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # variance of the noise, in units of that of the signal


class GaussianProcess:
    """A squared-exponential kernel; length, noise and amplitude have the largest marginal likelihood (Rasmussen & Williams 2006, ch. 5).

    One eigendecomposition for each length serves all noises, and the best amplitude has a closed form.
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> GaussianProcess:
        """X (n, features), y (n,): returns self."""
        self._mean, self._scale = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1.0)
        self._level = float(y.mean())
        self._X = (X - self._mean) / self._scale
        centred, n = y - self._level, len(y)
        unit = 2 * max(1, int((X.std(0) > 0).sum()))  # mean squared distance
        distance, best = squared_distances(self._X, self._X), np.inf
        for length in LENGTHS:
            values, Q = np.linalg.eigh(np.exp(-distance / (2 * length**2 * unit)))
            along = (Q.T @ centred) ** 2
            for noise in NOISES:
                spectrum = np.maximum(values, 0) + noise
                amplitude = max(float((along / spectrum).mean()), 1e-12)
                loss = n * np.log(amplitude) + np.log(spectrum).sum()  # -2 log likelihood, but for a constant
                if loss < best:
                    best, self._two, self._noise, self._amplitude = loss, 2 * length**2 * unit, noise, amplitude
                    self._weights, self._root = Q @ ((Q.T @ centred) / spectrum), Q / np.sqrt(spectrum)
        return self

    def predict(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X (m, features) -> mean and standard deviation of y there, noise included, both (m,)."""
        K = np.exp(-squared_distances((X - self._mean) / self._scale, self._X) / self._two)
        known = ((K @ self._root) ** 2).sum(1)
        return self._level + K @ self._weights, np.sqrt(self._amplitude * (1 + self._noise - np.minimum(known, 1.0)))

    @property
    def prior(self) -> float:
        """The standard deviation where nothing is known."""
        return float(np.sqrt(self._amplitude * (1 + self._noise)))


def squared_distances(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A (n, d), B (m, d) -> (n, m)."""
    return np.asarray(np.maximum((A**2).sum(1)[:, None] + (B**2).sum(1) - 2 * A @ B.T, 0.0))
