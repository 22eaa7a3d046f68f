"""Stream: what a network takes on top because its weights do not stay in the cache, in which a block that is timed alone has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

SOFTNESS = 0.4  # a cache of 1 MB begins to lose weights where 0.6 MB are touched, and has lost all where 1.4 MB are
Numbers = TypeVar("Numbers", np.ndarray, Tensor)


@dataclass(frozen=True)
class Stream:
    """Milliseconds a byte of weights, for each of some caches that a processor might have.

    A weight is read again after all other weights and the activations in between were touched. Where these are more than the cache
    holds, it has to be fetched from the next one. How large the caches are, and what share of all activations counts (a runtime writes to
    the same memory over and over), nobody needs to know: a fit gives most of the time to the pairs that explain it.
    """

    caches_bytes: tuple[float, ...]
    shares: tuple[float, ...]  # of the activations that blocks read and write, all together
    ms_per_byte: tuple[float, ...]

    def ms(self, weight_bytes: np.ndarray, activation_bytes: np.ndarray) -> np.ndarray:
        """(n,) of networks with so many bytes of weights (n,), whose blocks read and write so many of activations (n,)."""
        per_byte = np.zeros(len(weight_bytes))
        for share, knots, values in self._lines:
            per_byte += np.interp(weight_bytes + share * activation_bytes, knots, values)
        return weight_bytes * per_byte

    def expected_ms(self, weight_bytes: Tensor, activation_bytes: Tensor) -> Tensor:
        """() the same, differentiable."""
        caches, shares, ms = (torch.tensor(v, dtype=weight_bytes.dtype) for v in (self.caches_bytes, self.shares, self.ms_per_byte))
        return (ms * _lost(weight_bytes, activation_bytes, caches, shares)).sum()

    @cached_property
    def _lines(self) -> list[tuple[float, np.ndarray, np.ndarray]]:
        """(share, bytes touched (knots,), ms a byte of weights (knots,)): caches of one share make one function, straight between knots."""
        out = []
        for share in sorted(set(self.shares)):
            alike = [(c, ms) for c, s, ms in zip(self.caches_bytes, self.shares, self.ms_per_byte) if s == share]
            knots = np.array(sorted({c * edge for c, _ in alike for edge in (1 - SOFTNESS, 1 + SOFTNESS)}))
            out.append((share, knots, sum((ms * _full(knots / c) for c, ms in alike), np.zeros(len(knots)))))
        return out

    def times(self, factor: float) -> Stream:
        """On a device that is so much slower."""
        return Stream(self.caches_bytes, self.shares, tuple(factor * s for s in self.ms_per_byte))


def lost(weight_bytes: np.ndarray, activation_bytes: np.ndarray, caches_bytes: Sequence[float], shares: Sequence[float]) -> np.ndarray:
    """(n, caches) bytes of weights that are fetched again in each inference, if the cache and the share were the one's."""
    return _lost(weight_bytes[:, None], activation_bytes[:, None], np.array(caches_bytes), np.array(shares))


def _lost(weight_bytes: Numbers, activation_bytes: Numbers, cache_bytes: Numbers, share: Numbers) -> Numbers:
    return weight_bytes * _full((weight_bytes + share * activation_bytes) / cache_bytes)


def _full(times_the_cache: Numbers) -> Numbers:
    """Share of the weights that is lost where so many times what the cache holds is touched."""
    return ((times_the_cache - 1) / (2 * SOFTNESS) + 0.5).clip(0.0, 1.0)
