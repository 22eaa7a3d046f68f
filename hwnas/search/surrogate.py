"""Search on a surrogate: a model with uncertainty, fitted on what was scored, proposes what to score next."""

from __future__ import annotations

import numpy as np

from ..space import Codes, Space
from .ensemble import Ensemble
from .evolution import Evolution, evolve
from .exhaustive import all_codes
from .feasible import Feasible
from .features import Features
from .fresh import Fresh
from .gaussian import GaussianProcess
from .result import Found, Report, Score

LARGE = 1000  # scores; with more, a Gaussian process takes longer (n^3) than what it saves
FAR = 0.9  # of the prior's standard deviation: a prediction as unsure as this says nothing of the architecture
SMALL = 20_000  # codes of a space in which each is looked at, rather than those that an evolution comes by
LIKELY = 1000  # of those, how many more than were scored get an uncertainty, by their means
INNER = Evolution(100, 15, 25, 0.1)  # on the surrogate, where evaluations cost microseconds


class Surrogate:
    """Accuracy and its uncertainty, as a function of `Features`: a Gaussian process, or an ensemble where there are many scores."""

    def __init__(self, space: Space, seed: int = 0):
        self.features = Features(space)
        self._process = GaussianProcess()
        self._ensemble: Ensemble | None = None
        self._seed = seed

    def fit(self, Z: Codes, accuracy: np.ndarray) -> Surrogate:
        """Z (n, genes), accuracy (n,): all that is known, what was known before first; returns self."""
        X = self.features(Z).astype(float)
        if len(X) > LARGE:
            self._ensemble = self._ensemble or Ensemble(X.shape[1], self._seed)
            self._model: Ensemble | GaussianProcess = self._ensemble.fit(X, accuracy)
        else:
            self._model = self._process.fit(X, accuracy)
        return self

    def predict(self, Z: Codes) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the accuracy, both (n,)."""
        return self._model.predict(self.features(Z).astype(float))

    def mean(self, Z: Codes) -> np.ndarray:
        """(n,) the first of what `predict` gives."""
        return self._model.mean(self.features(Z).astype(float))

    def extrapolates(self, Z: Codes) -> np.ndarray:
        """(n,) bool: about as unsure as with no data at all; such a prediction is a guess."""
        return self.predict(Z)[1] > FAR * self._model.prior


def surrogate_search(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Bayesian optimisation: a fifth of the evaluations at random, then batches of the best upper confidence bounds.

    After each batch the process is fitted again, so it learns where the search goes. Candidates come from an evolution on
    the surrogate (mean + deviation, then less and less of it), in a small space from all its codes; each is really scored, and the best
    real score wins.
    """
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    pool = _pool(feasible)
    start = max(10, plan.evaluations // 5)
    batch = max(4, plan.evaluations // 25)
    codes = fresh(feasible.sample(4 * start, rng), min(start, plan.evaluations))
    start, accuracy, far, model = len(codes), score(codes), 0, Surrogate(space, seed)
    while len(codes) < plan.evaluations:
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
        wanted = min(batch, plan.evaluations - len(codes))
        model.fit(codes, accuracy)
        bold = 1 - len(codes) / plan.evaluations  # explores at first, and ends on what is likely best

        def promise(Z: Codes) -> np.ndarray:
            mean, deviation = model.predict(Z)
            return mean + 2 * bold * deviation  # noqa: B023

        if pool is None:
            parents = codes[np.argsort(-accuracy, kind="stable")[: INNER.parents]]
            inner = evolve(feasible, promise, INNER, int(rng.integers(2**32)), seeds=parents)
            likely, worth = inner.codes, inner.accuracy
        else:
            likely = pool[np.argsort(-model.mean(pool), kind="stable")[: len(codes) + LIKELY]]
            worth = promise(likely)
        new = fresh(likely[np.argsort(-worth, kind="stable")], wanted)
        if len(new) < wanted:
            new = np.concatenate([new, fresh(feasible.sample(plan.population, rng), wanted - len(new))])
        if not len(new):
            break
        far += int(model.extrapolates(new).sum())
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, score(new)])
    if report:
        report(len(codes), plan.evaluations, float(accuracy.max()))
    return Found(codes, accuracy, f"{far} of {len(codes) - start} proposals lay where the surrogate extrapolates")


def _pool(feasible: Feasible) -> Codes | None:
    """Every feasible code of a small space; None for a large one."""
    space = feasible.model.space
    total = float(np.prod(space.sizes.astype(float)))
    if total > SMALL:
        return None
    Z = all_codes(space, 0, int(total))
    return Z[feasible(Z)]
