"""Regularised evolution (Real et al. 2019, arXiv 1802.01548, algorithm 1): whoever is oldest dies, however good it is."""

from __future__ import annotations

import numpy as np

from ..space import Codes
from .evolution import Evolution
from .feasible import Feasible
from .fresh import Fresh
from .local import neighbours, two_changed
from .result import Found, Report, Score

AT_ONCE = 10  # a population brings forth a tenth of its size at once, as the paper's workers do, which wait for nobody


def regularised(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Children of tournaments among the youngest plan.population, plan.parents entrants each (the paper: 100 and 25), one gene changed.

    Two genes are changed where one alone gives nothing feasible and new, as below a tight limit, where one can only grow
    when another shrinks; where those give nothing either, a random architecture is born. At most plan.evaluations, none twice.
    """
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    codes = fresh(feasible.sample(4 * plan.population, rng), min(plan.population, plan.evaluations))
    accuracy = score(codes)
    while True:
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
        born = codes[:0]
        for _ in range(min(max(1, plan.population // AT_ONCE), plan.evaluations - len(codes))):
            alive = np.arange(max(0, len(codes) - plan.population), len(codes))
            entrants = rng.choice(alive, min(plan.parents, len(alive)), replace=False)
            born = np.concatenate([born, _child(codes[entrants[accuracy[entrants].argmax()]], space.sizes, fresh, rng)])
        if not len(born):
            return Found(codes, accuracy)
        codes, accuracy = np.concatenate([codes, born]), np.concatenate([accuracy, score(born)])


def _child(parent: np.ndarray, sizes: np.ndarray, fresh: Fresh, rng: np.random.Generator) -> Codes:
    """(1, genes), or (0, genes) where nothing new is left."""
    for draw in (lambda: rng.permutation(neighbours(parent, sizes)), lambda: two_changed(parent, sizes, rng)):
        if len(new := fresh(draw(), 1)):
            return new
    return fresh(fresh.feasible.sample(1000, rng), 1)
