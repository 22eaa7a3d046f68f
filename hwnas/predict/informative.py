"""Which rows to measure, of many that are told about by each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def most_informative(covariance: np.ndarray, noise: np.ndarray, k: int, given: Sequence[int] = ()) -> list[int]:
    """k of n rows: each next one lowers the mean variance of all rows most (I-optimal design, greedy; Atkinson & Donev 1992, ch. 10).

    covariance (n, n) of the rows before anything is measured, noise (n,) the variance of measuring each; given: rows that are measured
    anyway. It needs no targets. O(n^2 k). Unlike rows that are far from all others (D-optimal, k-center), these stand for many.
    """
    covariance, chosen = covariance.copy(), list[int]()
    for following in [*given, *[None] * k]:
        if following is None:
            gain = np.einsum("ij,ij->j", covariance, covariance) / (np.diag(covariance) + noise)
            gain[chosen] = -1
            following = int(gain.argmax())
        chosen.append(following)
        column = covariance[:, following].copy()
        covariance -= np.outer(column, column / (column[following] + noise[following]))
    return chosen[len(given) :]
