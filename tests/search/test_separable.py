"""hwnas/search/separable.py: finds the pairs that matter, and none where none does."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_spaces import chain_space

from hwnas.search.features import Features
from hwnas.search.pairs import GenePairs
from hwnas.search.separable import Separable
from hwnas.space import Codes

SPACE = chain_space(widths=((6, 8), (8, 10)), kernels=(3, 5), expands=(1, 2, 3), squeezes=(0,), acts=("relu",))
GENES = GenePairs(SPACE)
PAIRS = [tuple(sorted(map(SPACE.index.__getitem__, two))) for two in (("s1_l1_kernel", "s2_width"), ("s1_l1_expand", "s2_l1_kernel"))]


def _predicted(model: Separable, Z: Codes) -> np.ndarray:
    """Up to a constant."""
    gain, pairs = model.fit(np.arange(200))
    rows = SPACE.rows(Z)
    return gain[rows].sum(1) + sum(p(rows) for p in pairs)


def _scored(strength: float, noise: float, seed: int) -> tuple[Codes, np.ndarray]:
    """(400 architectures, a sum over options and what two pairs of genes add)."""
    rng, truth = np.random.default_rng(seed), np.random.default_rng(7)
    Z = SPACE.sample(400, rng)
    plain = Features(SPACE)(Z)
    y = plain @ truth.normal(size=plain.shape[1]) + rng.normal(0, noise, 400)
    return Z, y + sum(GENES(Z, p) @ truth.normal(0, strength, GENES(Z, p).shape[1]) for p in PAIRS)


@pytest.mark.parametrize("seed", range(3))
def test_the_pairs_that_matter_are_found_and_foretell_others(seed: int) -> None:
    Z, y = _scored(2.0, 0.05, seed)
    models = [Separable(SPACE, Z[:200], y[:200], most) for most in (8, 0)]
    assert set(PAIRS) <= set(models[0].pairs) and not models[1].pairs
    with_pairs, without = (np.corrcoef(_predicted(m, Z[200:]), y[200:])[0, 1] for m in models)
    assert 1 - with_pairs < 0.5 * (1 - without) and models[0].r2 > models[1].r2


@pytest.mark.parametrize("seed", range(3))
def test_noise_brings_hardly_worse_predictions(seed: int) -> None:
    Z, y = _scored(0.0, 2.0, seed)
    models = [Separable(SPACE, Z[:200], y[:200], most) for most in (8, 0)]
    with_pairs, without = (np.corrcoef(_predicted(m, Z[200:]), y[200:])[0, 1] for m in models)
    assert with_pairs > without - 0.05, models[0].pairs
