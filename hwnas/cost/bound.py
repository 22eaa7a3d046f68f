"""Bound: how far above its estimate a metric may lie, at any probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import HwnasError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bound:
    """What was seen on networks that the estimate had not seen. (Split conformal prediction: Vovk et al. 2005.)

    excess: measured / estimated - 1, (networks,) for each kind of them (random ones, those that a search picked): the bound has to cover
    the worst kind. term: what it takes on top, as for a device whose speed wanders from day to day.
    """

    excess: tuple[np.ndarray, ...]
    term: float = 0.0

    def margin(self, confidence: float = CONFIDENCE) -> float:
        """measured <= estimated x (1 + margin) with this probability. Raises HwnasError where too few networks were measured to say."""
        return max(conformal(e, confidence) for e in self.excess) + self.term


def conformal(excess: np.ndarray, confidence: float = CONFIDENCE) -> float:
    """The one-sided conformal quantile of excess (n,), at least 0.

    Raises HwnasError where n cannot give it: n measured networks tell of n / (n + 1) at most.
    """
    rank = int(np.ceil((len(excess) + 1) * confidence - 1e-9))
    if rank > len(excess):
        least, n = int(np.ceil(confidence / (1 - confidence) - 1e-9)), len(excess)
        raise HwnasError(
            f"a bound that holds with {100 * confidence:g} % takes {least} measured networks, the table has {n}, enough for "
            f"{100 * n / (n + 1):.3g} %: profile more (`hwnas profile --networks {least}`), or ask for less"
        )
    return float(max(np.sort(excess)[rank - 1], 0.0))
