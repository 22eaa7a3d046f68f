"""Local search (White, Nolen & Savani 2021, arXiv 2005.02960): climb by single genes, begin anew at each summit."""

from __future__ import annotations

import numpy as np

from ..space import Codes
from .evolution import Evolution
from .feasible import Feasible
from .fresh import Fresh
from .result import Found, Report, Score

BATCH = 10  # neighbours evaluated at once


def local_search(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """From the best of a few random codes to the first better neighbour, until none is better; then from a new start.

    Neighbours differ in one gene, or in two where one alone leads nowhere feasible and new: below a tight limit, one gene
    can only grow when another shrinks. At most plan.evaluations architectures, none twice.
    """
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    codes, accuracy = np.zeros((0, len(space.genes)), np.int64), np.zeros(0)
    here, height, near = codes[:0], -np.inf, codes[:0]  # where it stands, and neighbours that were not tried
    while (left := plan.evaluations - len(codes)) > 0:
        if not len(here):
            new = fresh(feasible.sample(4 * BATCH, rng), min(BATCH, left))
        else:
            new = fresh(near, min(BATCH, left))
            near = near[len(near) if not len(new) else int(np.flatnonzero((near == new[-1]).all(1))[0]) + 1 :]
        if not len(new):
            if not len(here):
                break  # nothing new is left
            here, height = codes[:0], -np.inf
            continue
        found = score(new)
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, found])
        if found.max() > height:
            here, height = new[[found.argmax()]], float(found.max())
            one, two = neighbours(here[0], space.sizes), two_changed(here[0], space.sizes, rng)
            near = np.concatenate([rng.permutation(one), two])
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
    return Found(codes, accuracy)


def neighbours(z: np.ndarray, sizes: np.ndarray) -> Codes:
    """(m, genes): every code that differs from z (genes,) in one gene."""
    genes = np.repeat(np.arange(len(sizes)), sizes)
    options = np.concatenate([np.arange(n) for n in sizes])
    changed = z[genes] != options
    Z = np.repeat(z[None], changed.sum(), 0)
    Z[np.arange(len(Z)), genes[changed]] = options[changed]
    return Z


def two_changed(z: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, most: int = 1000) -> Codes:
    """Up to `most` random codes that differ from z in two genes."""
    free = np.flatnonzero(sizes > 1)
    Z = np.repeat(z[None], most, 0)
    if len(free) > 1:
        for i in range(most):
            for g in rng.choice(free, 2, replace=False):
                Z[i, g] = (z[g] + rng.integers(1, sizes[g])) % sizes[g]
    return Z
