"""What a space can reach: the smallest and largest value of each metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cost import CostModel
from .descent import descend


@dataclass(frozen=True)
class Range:
    """The reachable values of one metric, and the codes (genes,) that reach them."""

    metric: str  # field of the cost model, with unit
    low: float
    high: float
    low_code: np.ndarray
    high_code: np.ndarray

    def at(self, share: float) -> float:
        """The value at a share of the range: 0 is the smallest, 1 the largest."""
        return self.low + share * (self.high - self.low)


def reachable(model: CostModel, metric: str, seed: int = 0, starts: int = 12) -> Range:
    """Steepest descent and ascent from the smallest, the largest and random codes, margin included.

    Exact where the metric falls and rises gene by gene, as it does for sums over a chain's layers at fixed widths;
    else the best of the starts. Blocks that the device cannot run (inf) are avoided.
    """
    space = model.space
    codes = np.concatenate([[space.smallest(), space.largest()], space.sample(starts, np.random.default_rng(seed))])

    def up(Z: np.ndarray) -> np.ndarray:
        return model.upper(Z, [metric])[:, 0]

    def down(Z: np.ndarray) -> np.ndarray:
        value = up(Z)
        return np.where(np.isfinite(value), -value, np.inf)

    low, lows = descend(space, up, codes)
    high, highs = descend(space, down, codes)
    i, j = int(lows.argmin()), int(highs.argmin())
    return Range(metric, float(lows[i]), float(-highs[j]), low[i], high[j])
