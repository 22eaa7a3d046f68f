"""Scorer: what a search asks how good an architecture is."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..space import Codes


class Scorer(Protocol):
    """Anything that gives architectures an accuracy: inherited weights, a surrogate, or really training."""

    def score(self, Z: Codes) -> np.ndarray:
        """Z (n, genes) -> search-validation accuracy (n,) float64, in [0, 1]."""
        ...
