"""Fidelity: how well predicted latencies agree with measured ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import scipy


@dataclass(frozen=True)
class Fidelity:
    """Errors of n networks, as fractions of the measured value."""

    networks: int
    mape: float  # mean of |predicted - measured| / measured
    median: float
    worst: float
    bias: float  # mean of (predicted - measured) / measured
    within_5: float  # share of networks within 5 %
    within_10: float
    spearman: float

    @classmethod
    def of(cls, predicted_ms: np.ndarray, measured_ms: np.ndarray) -> Fidelity:
        """predicted_ms, measured_ms (n,)."""
        error = predicted_ms / measured_ms - 1
        size = np.abs(error)
        rank = float(scipy.stats.spearmanr(predicted_ms, measured_ms).statistic) if len(error) > 2 else float("nan")
        return cls(
            len(error),
            float(size.mean()),
            float(np.median(size)),
            float(size.max()),
            float(error.mean()),
            float((size <= 0.05).mean()),
            float((size <= 0.10).mean()),
            rank,
        )

    def to_dict(self) -> dict[str, float]:
        return {k: round(v, 5) for k, v in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.networks} networks: mean error {self.mape:.1%}, median {self.median:.1%}, worst {self.worst:.1%}, "
            f"bias {self.bias:+.1%}, {self.within_5:.0%} within 5 %, {self.within_10:.0%} within 10 %, rank correlation {self.spearman:.3f}"
        )
