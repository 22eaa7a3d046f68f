"""Quietness: how far a table's machine could be trusted while it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from ..table import Table

REJECTED_LIMIT, DRIFT_LIMIT, NOISE_LIMIT = 0.10, 0.05, 0.05


@dataclass(frozen=True)
class Quietness:
    """What to say at the end of a measurement; `quiet` is the verdict, `reasons` why it is not."""

    rejected: float  # share of repeats in which something else had the core
    drift: float  # largest distance of the sentinel's level in a round from its median
    noise: float  # how far the rounds of a block are apart, the median over blocks
    noisiest: tuple[tuple[str, float], ...]  # the five keys with most of it
    failed: int  # keys without a value

    @staticmethod
    def of(table: Table) -> Quietness:
        """The quietness of all rows of a table."""
        samples = [s for key in table.keys for s in table.samples(key) if s.error is None]
        repeats = sum(len(s.wall_ns) for s in samples)
        noise = sorted(table.noise().items(), key=lambda item: -item[1])
        return Quietness(
            rejected=sum(s.rejected for s in samples) / max(repeats, 1),
            drift=max((abs(level - 1) for level in table.drift().values()), default=0.0),
            noise=noise[len(noise) // 2][1] if noise else 0.0,
            noisiest=tuple(noise[:5]),
            failed=len(table.failed),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Empty on a quiet machine."""
        return tuple(
            text
            for bad, text in (
                (self.rejected > REJECTED_LIMIT, f"{self.rejected:.0%} of repeats were preempted: other programs want the core"),
                (
                    self.drift > DRIFT_LIMIT,
                    f"the sentinel block drifted by {self.drift:.0%}: the clock frequency changes, or memory is shared",
                ),
                (self.noise > NOISE_LIMIT, f"the rounds of a typical block are {self.noise:.0%} apart"),
            )
            if bad
        )

    @property
    def quiet(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        figures = f"{self.rejected:.1%} of repeats preempted, sentinel within {self.drift:.1%}, rounds {self.noise:.1%} apart"
        return f"quiet: {figures}" if self.quiet else f"noisy: {'; '.join(self.reasons)}. CPU time was used where there is one"
