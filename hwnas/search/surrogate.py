"""Search on a surrogate: a Gaussian process fitted on what was scored proposes what to score next."""

from __future__ import annotations

import warnings

import numpy as np

from ..space import Codes, Space
from .evolution import Evolution, evolve
from .feasible import Feasible
from .features import Features
from .fresh import Fresh
from .result import Found, Report, Score

LENGTHS, NOISES = (0.5, 1.0, 2.0, 4.0), (1e-4, 1e-2, 1e-1)  # in root-mean-square distances; as shares of the variance
FAR = 0.9  # of the prior's standard deviation: a prediction as unsure as this says nothing of the architecture
INNER = Evolution(100, 15, 25, 0.1)  # on the surrogate, where evaluations cost microseconds


class Surrogate:
    """Accuracy and its uncertainty as a Gaussian process of `Features`, its scales chosen by marginal likelihood."""

    def __init__(self, space: Space):
        self.features = Features(space)

    def fit(self, Z: Codes, accuracy: np.ndarray) -> Surrogate:
        """Z (n, genes), accuracy (n,): all that is known; returns self."""
        # here and not above: it takes a second, and most searches have no surrogate
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        X = self.features(Z).astype(float)
        self._mean, self._scale = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1.0)
        X, likelihood = (X - self._mean) / self._scale, -np.inf
        typical = np.sqrt(2 * max(1, int((X.std(0) > 0).sum())))
        for length in LENGTHS:
            for noise in NOISES:
                kernel = ConstantKernel(1.0) * RBF(length * typical) + WhiteKernel(noise)
                model = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    model.fit(X, accuracy)
                if model.log_marginal_likelihood_value_ > likelihood:
                    likelihood, self._model = model.log_marginal_likelihood_value_, model
        self._prior = float(np.std(accuracy)) or 1.0
        return self

    def predict(self, Z: Codes) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the accuracy, both (n,)."""
        mean, deviation = self._model.predict((self.features(Z) - self._mean) / self._scale, return_std=True)
        return mean, deviation

    def extrapolates(self, Z: Codes) -> np.ndarray:
        """(n,) bool: about as unsure as with no data at all; such a prediction is a guess."""
        return self.predict(Z)[1] > FAR * self._prior


def surrogate_search(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Bayesian optimisation: a fifth of the evaluations at random, then batches of the best upper confidence bounds.

    After each batch the process is fitted again, so it learns where the search goes. Candidates come from an evolution on
    the surrogate (mean + deviation, then less and less of it); each is really scored, and the best real score wins.
    """
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    start = max(10, plan.evaluations // 5)
    batch = max(4, plan.evaluations // 25)
    codes = fresh(feasible.sample(4 * start, rng), min(start, plan.evaluations))
    start, accuracy, far = len(codes), score(codes), 0
    while len(codes) < plan.evaluations:
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
        model, wanted = Surrogate(space).fit(codes, accuracy), min(batch, plan.evaluations - len(codes))
        bold = 1 - len(codes) / plan.evaluations  # explores at first, and ends on what is likely best

        def promise(Z: Codes) -> np.ndarray:
            mean, deviation = model.predict(Z)  # noqa: B023
            return mean + 2 * bold * deviation  # noqa: B023

        parents = codes[np.argsort(-accuracy, kind="stable")[: INNER.parents]]
        inner = evolve(feasible, promise, INNER, int(rng.integers(2**32)), seeds=parents)
        new = fresh(inner.codes[np.argsort(-inner.accuracy, kind="stable")], wanted)
        if len(new) < wanted:
            new = np.concatenate([new, fresh(feasible.sample(plan.population, rng), wanted - len(new))])
        if not len(new):
            break
        far += int(model.extrapolates(new).sum())
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, score(new)])
    if report:
        report(len(codes), plan.evaluations, float(accuracy.max()))
    return Found(codes, accuracy, f"{far} of {len(codes) - start} proposals lay where the surrogate extrapolates")
