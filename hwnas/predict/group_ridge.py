"""GroupRidge: ridge regression in which every group of features has a penalty of its own, learned from related tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from .informative import most_informative

LOG_SPREAD = 2.0  # prior standard deviation of log variances around where they start: of the learned ones, and of a task's own
FLOOR, CEILING = 1e-6, 1e2  # of a variance, where targets are around 1
NOISE_FLOOR = 1e-4  # 1 %, squared: what a whole network's latency repeats within
FREEDOM, REWEIGHTINGS = 4.0, 5  # degrees of freedom of Student's t; it settles within so many


@dataclass(frozen=True)
class Task:
    """One regression: features groups [(rows, f), ...], targets y (rows,), and each row's noise relative to others, scale (rows,)."""

    groups: tuple[np.ndarray, ...]
    y: np.ndarray
    scale: np.ndarray

    @property
    def kernels(self) -> np.ndarray:
        """(groups + 1, rows, rows): what each variance is multiplied with in the covariance of y; the last one is the noise's."""
        return np.stack([*(F @ F.T for F in self.groups), np.diag(self.scale**2)])


class GroupRidge:
    """y = sum over groups of F_g w_g + noise, w_g ~ N(0, v_g), noise ~ N(0, v_noise scale^2): a Gaussian process whose kernel is a sum
    of linear ones (Rasmussen & Williams 2006, ch. 2), with the variances v of highest marginal likelihood (eq. 5.8).

    With ten rows the variances cannot be told from the task itself. So `learn` takes them from related tasks, and `fit` moves them from
    there as far as its own rows ask for: a log-normal prior around what was learned.
    """

    def __init__(self, variances: Sequence[float]):
        """variances: where to start, one for each group; what stays if nothing is learned."""
        self.variances = np.array([*variances, NOISE_FLOOR])  # the noise's comes last

    def learn(self, tasks: Sequence[Task]) -> GroupRidge:
        """The variances under which all the tasks together are likeliest."""
        self.variances = _likeliest([(t.kernels, t.y) for t in tasks], np.log(self.variances), LOG_SPREAD)
        return self

    def fit(self, task: Task) -> GroupRidge:
        """Posterior of the weights for one task; its own variances are in `fitted`."""
        kernels = task.kernels
        self.fitted = _likeliest([(kernels, task.y)], np.log(self.variances), LOG_SPREAD)
        self._factor = scipy.linalg.cho_factor(np.tensordot(self.fitted, kernels, 1), lower=True)
        self._groups, self._y = task.groups, task.y
        self._dual = scipy.linalg.cho_solve(self._factor, task.y)
        self.noise = float(self.fitted[-1])  # variance of a row of scale 1
        return self

    def fit_robust(self, task: Task) -> GroupRidge:
        """As `fit`, with noise of Student's t instead of the normal distribution: some measurements may be far off.

        By reweighting (Lange, Little & Taylor 1989): a row's noise grows with its residual. Residuals are left-out ones, because a row of
        high leverage pulls the fit towards itself.
        """
        scale = task.scale
        self.fit(task)
        for _ in range(REWEIGHTINGS):
            residual = (task.y - self.left_out) / task.scale
            scale = task.scale * np.sqrt((FREEDOM + residual**2 / self.fitted[-1]) / (FREEDOM + 1))
            self.fit(Task(task.groups, task.y, scale))
        self.noise *= FREEDOM / (FREEDOM - 2)  # the variance of t, of which `fitted` has the squared scale
        return self

    def predict(self, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(mean (n,), variance (n,) without noise) of rows with features groups [(n, f), ...]."""
        cross = sum(v * F @ G.T for v, F, G in zip(self.fitted, groups, self._groups))
        before = sum(v * (F**2).sum(1) for v, F in zip(self.fitted, groups))
        explained = (cross * scipy.linalg.cho_solve(self._factor, cross.T).T).sum(1)
        return cross @ self._dual, np.maximum(before - explained, 0)

    @property
    def weights(self) -> list[np.ndarray]:
        """[(f,), ...] the posterior mean of each group's weights."""
        return [v * F.T @ self._dual for v, F in zip(self.fitted, self._groups)]

    @property
    def left_out(self) -> np.ndarray:
        """(rows,) each of the task's targets predicted from the others, in closed form (Rasmussen & Williams, eq. 5.12)."""
        return self._y - self._dual / np.diag(scipy.linalg.cho_solve(self._factor, np.eye(len(self._y))))

    def choose(self, groups: Sequence[np.ndarray], scale: np.ndarray | None, k: int, given: Sequence[int] = ()) -> list[int]:
        """k rows to measure: those that lower the mean variance of all rows most; see `most_informative`.

        A row's variance counts relative to its scale (rows,) squared; without one, relative to what it is before anything is measured.
        """
        covariance = sum(v * F @ F.T for v, F in zip(self.variances, groups))
        if scale is None:
            before = np.sqrt(np.diag(covariance))
            scale = before / np.median(before)
        return most_informative(covariance / np.outer(scale, scale), np.full(len(scale), self.variances[-1]), k, given)


def _likeliest(tasks: Sequence[tuple[np.ndarray, np.ndarray]], start: np.ndarray, spread: float) -> np.ndarray:
    """The variances of highest summed log marginal likelihood, with a normal prior of that spread around `start` on their logs."""

    def loss(log_v: np.ndarray) -> tuple[float, np.ndarray]:
        v = np.exp(log_v)
        value, slope = 0.5 * ((log_v - start) ** 2).sum() / spread**2, (log_v - start) / spread**2
        for kernels, y in tasks:
            factor = scipy.linalg.cho_factor(np.tensordot(v, kernels, 1), lower=True)
            dual, inverse = scipy.linalg.cho_solve(factor, y), scipy.linalg.cho_solve(factor, np.eye(len(y)))
            value += 0.5 * y @ dual + np.log(np.diag(factor[0])).sum()
            slope = slope + 0.5 * v * (np.tensordot(kernels, inverse, 2) - dual @ kernels @ dual)
        return value, slope

    bounds = [(np.log(FLOOR), np.log(CEILING))] * (len(start) - 1) + [(np.log(NOISE_FLOOR), np.log(CEILING))]
    return np.exp(scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
