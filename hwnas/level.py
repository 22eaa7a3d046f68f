"""Level: how slow the machine was when each row of a table was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .sample import Clock, Sample

NEAREST = 3  # sentinels that say how fast the machine was when a row was measured: their median
STEADY = 0.25  # of the rows: if fewer were undisturbed, then the machine is the slowed one, and what it did in a rare moment is no measure


class Level:
    """(line of the file, its sample) -> how slow the machine was there; 1 is the median over the table's undisturbed rows.

    By the fixed computation beside the row itself, where there was one and nobody slowed it: rounds of a block were then up to 45 %
    nearer to each other than by sentinels. Else by the median of the three nearest sentinels: rounds of a block were 7.6 % apart
    instead of 13.6 (TFLite, 28 px, a shared machine), 5.9 instead of 8.9 (ONNX Runtime). For a row on a slowed core by such sentinels,
    since the fixed computation suffers more from a neighbour than networks do.

    steady: whether enough rows were measured on a core that nobody slowed for the others not to count.
    sentinels: [(line, time relative to the median of the undisturbed ones, slowed)], of all that did not fail.
    """

    def __init__(self, samples: Sequence[Sample], sentinels: Sequence[tuple[int, Sample]], clock: Clock, best_ns: int | None):
        """samples: of the keys; sentinels: (line, sample); best_ns: of the fixed computation, on this machine ever."""
        sentinels = [(line, s) for line, s in sentinels if s.error is None]
        every = [s for s in samples if s.error is None] + [s for _, s in sentinels]
        self._best_ns = best_ns
        self.steady = sum(not s.slowed_throughout for s in every) >= STEADY * len(every)

        times = [(line, s.latency_ms(clock), self.slowed(s)) for line, s in sentinels]
        usual = float(np.median([t for _, t, slowed in times if not slowed] or [t for _, t, _ in times])) if times else 1.0
        self.sentinels = [(line, t / usual, slowed) for line, t, slowed in times]

        beside = [own for s in every if (own := s.undisturbed_ns) is not None]
        self._usual_ns = float(np.median(beside)) if beside and self.steady else None
        near = {state: [s for s in self.sentinels if s[2] == state] or self.sentinels for state in (False, True)}
        self._lines = {state: np.array([line for line, _, _ in found]) for state, found in near.items()}
        self._levels = {state: np.array([level for _, level, _ in found]) for state, found in near.items()}

    def slowed(self, sample: Sample) -> bool:
        """Whether it is of a core that somebody slowed all the time, on a machine where that is the exception."""
        return self.steady and sample.against(self._best_ns).slowed_throughout

    def __call__(self, line: int, sample: Sample) -> float:
        own_ns = sample.against(self._best_ns).undisturbed_ns  # it may be one of before, as a file has it
        if self._usual_ns is not None and own_ns is not None:
            return own_ns / self._usual_ns
        state = self.slowed(sample)
        nearest = np.argsort(np.abs(self._lines[state] - line), kind="stable")[:NEAREST]
        return float(np.median(self._levels[state][nearest])) if len(nearest) else 1.0
