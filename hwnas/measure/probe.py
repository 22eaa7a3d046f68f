"""probe: what a device is, and whether it keeps its speed; a few seconds of the sentinel block."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..device import Device
from ..errors import HwnasError
from ..profiler import load_profiler
from ..transports.transport import Transport
from .connection import Worker
from .job import Job
from .measure import SENTINEL_BLOCK
from .plan import Plan

THROTTLED = 0.05  # slower by so much within the time of a probe


@dataclass(frozen=True)
class Probe:
    """What a device said of itself, and the times of the sentinel block on it."""

    host: dict[str, Any]
    runtime: dict[str, Any]
    before: dict[str, Any]  # load, temperature, frequency: the conditions before the sentinel ran
    after: dict[str, Any]
    latency_ms: float  # of the sentinel block
    slowdown: float  # median of the last fifth of the repeats against that of the first fifth, minus 1
    seconds: float  # in which it was timed

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of it makes measurements doubtful, each with what helps."""
        governor, turbo = self.host.get("governor"), self.host.get("turbo")
        hot, last = self.before.get("temperature_c"), self.after.get("temperature_c")
        heat = f" (it went from {hot:.0f} to {last:.0f} C)" if hot is not None and last is not None else ""
        return tuple(
            text
            for wrong, text in (
                (
                    governor not in (None, "performance"),
                    f"governor {governor}: its clock frequency changes; set it to performance, if you may",
                ),
                (turbo is True, "turbo is on: the clock frequency depends on heat; turn it off, if you may"),
                (
                    self.slowdown > THROTTLED,
                    f"it slowed down by {self.slowdown:.0%} within {self.seconds:.0f} s{heat}: cool it, or slow it down",
                ),
                (self.before.get("load_average", 0) > 1, f"load average {self.before.get('load_average')}: other programs run there"),
            )
            if wrong
        )

    def to_dict(self) -> dict[str, Any]:
        facts = {"host": self.host, "runtime": self.runtime, "conditions": self.before, "conditions_after": self.after}
        return {
            **facts,
            "sentinel_ms": self.latency_ms,
            "slowdown": self.slowdown,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }


def probe(device: Device, seconds: float = 5.0, transport: Transport | None = None) -> Probe:
    """Starts the device's worker, asks what it is and times the sentinel block for so long. Raises HwnasError if that fails."""
    profiler = load_profiler(device.runtime)
    plan = Plan(min_repeat_s=0.02, repeats=10, min_total_s=seconds, warmup_s=0.1, rounds=1, patience_s=0.0, time_limit_s=60 + 4 * seconds)
    job = Job.of(SENTINEL_BLOCK, device.batch)
    with Worker(device, profiler, transport) as worker, tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        facts = worker.facts()
        sample = worker.time(job.file(profiler, device, Path(folder)), plan)
        if sample.error is not None:
            raise HwnasError(f"device {device.name!r} does not run the sentinel block: {sample.error}")
        after = worker.conditions()
    times = sample.times_ms()
    part = max(1, len(times) // 5)
    return Probe(
        host=facts["host"],
        runtime=facts["runtime"],
        before=facts.get("conditions", {}),
        after=after,
        latency_ms=sample.latency_ms(),
        slowdown=float(np.median(times[-part:]) / np.median(times[:part]) - 1),
        seconds=float(sample.wall_ms @ [s.count for s in sample.summaries] if sample.summaries else sum(sample.wall_ns) / 1e6) / 1e3,
    )
