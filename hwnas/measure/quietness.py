"""Quietness: how far a table's machine could be trusted while it was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from ..table import Table

CONDITIONS = ("load_average", "temperature_c", "frequency_mhz")
REJECTED_LIMIT, DRIFT_LIMIT, ERROR_LIMIT = 0.10, 0.05, 0.025  # of the last, two make the 95 % interval
SLOWED_LIMIT = 0.50  # below it most rounds of a block have repeats that nobody slowed, and those count
QUARANTINE = 0.20  # a row next to sentinels this far off is measured again: so much is not divided out as drift
FREQUENCY_LIMIT, HOT_C = 0.05, 85.0


@dataclass(frozen=True)
class Quietness:
    """What to say at the end of a measurement; `quiet` is the verdict, `reasons` why it is not, `advice` what may help."""

    rejected: float  # share of repeats in which something else had the core
    drift: float  # largest distance of the sentinel's level in a round from its median
    error: float  # relative standard error of a block's latency, for want of rounds; the median over blocks
    noisiest: tuple[tuple[str, float], ...]  # the five keys with most of it
    failed: int  # keys without a value
    slowed: float = 0.0  # share of repeats in which somebody slowed the core: see Sample.slowed
    quarantined: int = 0  # rows measured while the machine was far off its usual speed, and again when they were repeated
    frequency_mhz: tuple[float, float] | None = None  # lowest and highest of the core's clock, where the system tells
    temperature_c: float | None = None  # highest
    load_average: float | None = None  # median; 1 is this measurement alone
    cores: int | None = None
    governor: str | None = None

    @staticmethod
    def of(table: Table) -> Quietness:
        """The quietness of all rows of a table."""
        samples = [s for key in table.keys for s in table.samples(key) if s.error is None]
        repeats = sum(len(s.wall_ns) for s in samples)
        errors = sorted(table.standard_error().items(), key=lambda item: -item[1])
        seen = {n: [s.conditions[n] for s in samples if s.conditions and n in s.conditions] for n in CONDITIONS}
        frequency, host = seen["frequency_mhz"], table.fingerprint.get("host", {})
        return Quietness(
            rejected=sum(s.rejected for s in samples) / max(repeats, 1),
            slowed=sum(int(s.slowed.sum()) for s in samples) / max(repeats, 1),
            drift=max((abs(level - 1) for level in table.drift().values()), default=0.0),
            error=errors[len(errors) // 2][1] if errors else 0.0,
            noisiest=tuple(errors[:5]),
            failed=len(table.failed),
            quarantined=len(table.drifted(QUARANTINE)),
            frequency_mhz=(min(frequency), max(frequency)) if frequency else None,
            temperature_c=max(seen["temperature_c"], default=None),
            load_average=median(seen["load_average"]) if seen["load_average"] else None,
            cores=host.get("cores"),
            governor=host.get("governor"),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Empty on a quiet machine."""
        low, high = self.frequency_mhz or (1.0, 1.0)
        crowd = f" (load average {self.load_average:g} on {self.cores} cores)" if self._crowded else ""
        return tuple(
            text
            for bad, text in (
                (self.rejected > REJECTED_LIMIT, f"{self.rejected:.0%} of repeats were preempted: other programs want the core{crowd}"),
                (self.slowed > SLOWED_LIMIT, f"{self.slowed:.0%} of repeats were slowed by somebody on the same core"),
                (
                    self.drift > DRIFT_LIMIT,
                    f"the sentinel block drifted by {self.drift:.0%}: the clock frequency changes, or memory is shared",
                ),
                (self.error > ERROR_LIMIT, f"a typical block is known within {2 * self.error:.0%} only: more rounds would help"),
                (high - low > FREQUENCY_LIMIT * high, f"the clock frequency went from {low:.0f} to {high:.0f} MHz"),
                ((self.temperature_c or 0.0) > HOT_C, f"it was {self.temperature_c or 0:.0f} C hot: it may have been throttled"),
                (self.quarantined > 0, f"{self.quarantined} rows were measured at over {QUARANTINE:.0%} off its usual speed, twice"),
            )
            if bad
        )

    @property
    def advice(self) -> tuple[str, ...]:
        """What would make the machine quieter, of what can be seen from here; empty where it is quiet."""
        unsteady = self.drift > DRIFT_LIMIT or self.frequency_mhz is not None and any("frequency went" in r for r in self.reasons)
        return tuple(
            text
            for fits, text in (
                (
                    unsteady and self.governor not in (None, "performance"),
                    f"the frequency governor is {self.governor}: `sudo cpupower frequency-set -g performance`",
                ),
                (self.rejected > REJECTED_LIMIT or self._crowded and not self.quiet, "end other programs, or profile when they are idle"),
                ((self.temperature_c or 0.0) > HOT_C, "cool the device, or let it rest between rounds"),
            )
            if fits
        )

    @property
    def _crowded(self) -> bool:
        return self.load_average is not None and self.cores is not None and self.load_average > self.cores

    @property
    def quiet(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        slowed = f"{self.slowed:.0%} slowed by somebody on the same core, " if self.slowed else ""
        known = f"a typical block known within {2 * self.error:.1%}"
        figures = f"{self.rejected:.1%} of repeats preempted, {slowed}sentinel within {self.drift:.1%}, {known}"
        return f"quiet: {figures}" if self.quiet else f"noisy: {'; '.join(self.reasons)}. CPU time was used where there is one"
