"""Transfer: the latencies of a whole space on a new device, from other devices' latencies and some ten measurements on the new one."""

from __future__ import annotations

import numpy as np

from ..errors import HwnasError
from .group_ridge import GroupRidge, Task

PRIOR = (1.0, 0.1, 1e-3, 1e-3, 1e-3)  # mean, devices, roughness, options, pairs: about what is learned; for a single source device
CANDIDATES = 600  # architectures among which those to measure are chosen
LEARN_ROWS = 100  # of each source device, when it plays the new one
LANDMARKS = 400  # architectures that span the smooth functions of a code
ROBUST = 30  # measurements from which on outliers among them can be told; with fewer, one says what no other does
SMOOTHING = 0.01  # noise of one source latency, as a variance relative to the mean


class Transfer:
    """Latencies of devices are alike: the new one's is a combination of the others', and of what the architecture's code says itself.

    Both parts are linear in features, so the model is a ridge with one penalty for each group of features (`GroupRidge`): the mean of the
    source devices, each of them, what smoothing took from them, the options of the genes, pairs of options. How far each group is to be
    trusted is learned by letting every source device play the new one, with the others as its sources; nothing is tuned on the new device
    beyond its own measurements. Source latencies are smoothed first (a second-order function of the code, by ridge): a single measurement
    is noisy, and thousands of them are not.

        transfer = Transfer(codes, source_ms)           # codes (n, genes) int, source_ms (n, devices)
        rows = transfer.choose(10)                      # measure these: the rest is then known best
        latency_ms, deviation_ms = transfer.fit(rows, measured_ms).predict()
    """

    def __init__(self, codes: np.ndarray, source_ms: np.ndarray, seed: int = 0):
        """codes (n, genes) int: more columns that describe the architecture do no harm (`space.canonical(codes)` beside them says what is
        dead code). source_ms (n, devices) > 0, NaN where a device has not measured an architecture. Raises HwnasError for anything else.
        """
        codes, source_ms = np.asarray(codes), np.asarray(source_ms, float)
        if codes.ndim != 2 or source_ms.ndim != 2 or len(codes) != len(source_ms):
            raise HwnasError(f"transfer: codes {codes.shape} and source_ms {source_ms.shape}: expected (n, genes) and (n, devices)")
        if not source_ms.shape[1] or not (source_ms[~np.isnan(source_ms)] > 0).all():
            raise HwnasError("transfer: source_ms must hold at least one device, and latencies above zero (NaN: not measured)")
        if (np.isfinite(source_ms).sum(0) < min(10, len(codes))).any():
            raise HwnasError("transfer: a source device has fewer than 10 latencies")
        rng = np.random.default_rng(seed)
        self._codes = _one_hot(codes)
        self._pairs = _second_order(self._codes, rng)
        relative = source_ms / np.nanmean(source_ms, 0)
        self._smooth = np.stack([_smoothed(self._pairs, y) for y in relative.T], 1)
        self._rough = np.nan_to_num(relative - self._smooth)
        self._groups = self._features(np.arange(source_ms.shape[1]))
        self._scale = self._level(np.arange(source_ms.shape[1]))
        self._ridge = GroupRidge(PRIOR)
        if source_ms.shape[1] > 1:
            self._ridge.learn([self._pretend(relative, d, rng) for d in range(source_ms.shape[1])])

    def choose(self, k: int, seed: int = 0) -> np.ndarray:
        """(k,) rows to measure on the new device: after them the mean relative variance over all rows is lowest (greedy)."""
        if not 1 <= k <= len(self._codes):
            raise HwnasError(f"transfer: cannot choose {k} of {len(self._codes)} architectures")
        pool = np.random.default_rng(seed).choice(len(self._codes), min(len(self._codes), max(CANDIDATES, 2 * k)), replace=False)
        return pool[self._ridge.choose([F[pool] for F in self._groups], self._scale[pool], k)]

    def fit(self, rows: np.ndarray, latency_ms: np.ndarray) -> Transfer:
        """rows (k,) of codes, measured on the new device at latency_ms (k,)."""
        rows, latency_ms = np.asarray(rows), np.asarray(latency_ms, float)
        if len(rows) < 2 or rows.shape != latency_ms.shape or not (np.isfinite(latency_ms) & (latency_ms > 0)).all():
            raise HwnasError(f"transfer: {len(rows)} rows and latencies {latency_ms.shape}: expected two or more of both, above zero")
        self._unit_ms = float(np.median(latency_ms / self._scale[rows]))
        task = Task(tuple(F[rows] for F in self._groups), latency_ms / self._unit_ms, self._scale[rows])
        if len(rows) < ROBUST:
            self._ridge.fit(task)
        else:
            self._ridge.fit_robust(task)
        return self

    def predict(self) -> tuple[np.ndarray, np.ndarray]:
        """(latency_ms (n,), its standard deviation in ms (n,), measuring noise included) of all architectures on the new device."""
        mean, variance = self._ridge.predict(self._groups)
        noise = self._ridge.noise * self._scale**2
        return self._unit_ms * np.maximum(mean, 0.1 * self._scale), self._unit_ms * np.sqrt(variance + noise)

    def _features(self, sources: np.ndarray) -> list[np.ndarray]:
        """[(n, f), ...] with the source devices of these columns."""
        smooth, rough = self._smooth[:, sources], self._rough[:, sources]
        return [smooth.mean(1, keepdims=True), _centred(smooth), _centred(rough), _centred(self._codes), _centred(self._pairs)]

    def _level(self, sources: np.ndarray) -> np.ndarray:
        """(n,) about how long each takes, mean 1: noise is proportional to it."""
        return np.maximum(self._smooth[:, sources].mean(1), 0.1)

    def _pretend(self, relative: np.ndarray, device: int, rng: np.random.Generator) -> Task:
        """One of the source devices as the new one, some of its architectures measured."""
        others = np.delete(np.arange(relative.shape[1]), device)
        known = np.flatnonzero(np.isfinite(relative[:, device]))
        rows = rng.choice(known, min(LEARN_ROWS, len(known)), replace=False)
        return Task(tuple(F[rows] for F in self._features(others)), relative[rows, device], self._level(others)[rows])


def _centred(X: np.ndarray) -> np.ndarray:
    """Columns of mean 0, the whole of variance 1 a row, so that one variance means the same in every group."""
    X = X - X.mean(0)
    return X / (np.sqrt((X**2).sum(1).mean()) + 1e-12)


def _one_hot(codes: np.ndarray) -> np.ndarray:
    """(n, options of all genes) 0 / 1 over sqrt(genes): the inner product of two rows is the share of genes they agree in."""
    columns = [column == option for column in codes.T for option in np.unique(column)]
    return np.stack(columns, 1) / np.sqrt(codes.shape[1])


def _second_order(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, landmarks) features whose inner products are about (share of genes in common)^2: functions of pairs of genes.

    Nystroem's approximation (Williams & Seeger 2001); exact once there are as many landmarks as pairs of options.
    """
    landmarks = codes[rng.choice(len(codes), min(LANDMARKS, len(codes)), replace=False)]
    values, vectors = np.linalg.eigh((landmarks @ landmarks.T) ** 2)
    kept = values > 1e-9 * values[-1]
    return (codes @ landmarks.T) ** 2 @ (vectors[:, kept] / np.sqrt(values[kept]))


def _smoothed(features: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n,) ridge of y (n,), NaN where unknown, on the features."""
    known = np.isfinite(y)
    X, mean = features[known], y[known].mean()
    return mean + features @ np.linalg.solve(X.T @ X + SMOOTHING * np.eye(X.shape[1]), X.T @ (y[known] - mean))
