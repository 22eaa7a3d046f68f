"""Timing: how long a whole model takes on its device, by rules that do not leave samples out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from ..cost import FIELDS
from ..cost.bound import CONFIDENCE
from ..device import Device
from ..errors import HwnasError
from ..measure import Plan, Transport, Worker
from ..profiler import load_profiler
from ..sample import EXTRA, Sample

CALM_ENOUGH = 64  # inferences that nobody slowed: with fewer, what they took says nothing
MAX_PREEMPTED = 0.20  # above this share of disturbed samples a timing proves nothing


@dataclass(frozen=True)
class Rules:
    """How much is measured before anything is claimed."""

    samples: int = 1024  # at least, over all processes; every single inference is one, and all of them count
    processes: int = 3  # fresh ones, one after the other
    total_s: float = 3.0  # at least, over all processes


RULES = {"default": Rules(), "mlperf": Rules(total_s=60.0)}  # MLPerf Mobile: >= 1,024 samples and >= 60 s


@dataclass(frozen=True)
class Timing:
    """Wall times of single inferences in one or more fresh processes."""

    samples: tuple[Sample, ...]  # one for each process
    fingerprint: dict[str, Any]
    conditions: dict[str, Any]
    asked: int = 0  # inferences, at least; slow files meet a time limit before

    @property
    def inferences(self) -> int:
        return sum(s.inferences for s in self.samples)

    @property
    def wall_ms(self) -> np.ndarray:
        """(n,) every inference, preempted ones too."""
        return np.concatenate([s.wall_ms for s in self.samples])

    @property
    def summaries_only(self) -> bool:
        """Whether the device told averages of many inferences only, so that nothing is known of the single ones."""
        return any(s.summaries for s in self.samples)

    @property
    def preempted(self) -> float:
        """Share of inferences in which something else had the core."""
        return float(np.concatenate([s.preempted for s in self.samples]).mean())

    @property
    def slowed(self) -> float:
        """Share of inferences during which somebody slowed the core; they count like all others."""
        return float(np.concatenate([s.slowed for s in self._together]).mean())

    @property
    def calm(self) -> Timing:
        """The inferences that nobody slowed, where there are CALM_ENOUGH; else all. What a file owes to a neighbour is no part of it, but
        who asks for a promise asks for all: no verdict rests on this."""
        kept = tuple(s.calm for s in self._together if not s.slowed_throughout)
        return replace(self, samples=kept) if sum(len(s.wall_ns) for s in kept) >= CALM_ENOUGH else self

    @property
    def _together(self) -> list[Sample]:
        """Each process's sample, held against the best that any of them saw."""
        best_ns = min((s.best_ns for s in self.samples if s.best_ns is not None), default=None)
        return [s.against(best_ns) for s in self.samples]

    def percentile_ms(self, q: float) -> float:
        return float(np.percentile(self.wall_ms, 100 * q))

    def upper_ms(self, q: float = 0.5, confidence: float = CONFIDENCE) -> float:
        """Upper confidence limit of a quantile: an order statistic, with no assumption on how times are distributed."""
        ordered = np.sort(self.wall_ms)
        rank = int(scipy.stats.binom.ppf(confidence, len(ordered), q)) + 1
        return float(ordered[min(rank, len(ordered)) - 1])

    def upper(self, field: str, confidence: float = CONFIDENCE) -> float:
        """What a budget of a measured metric is held against: `upper_ms` of its quantile, or the most of any process.

        Raises HwnasError for a metric that the device did not tell.
        """
        quantile = FIELDS[field].quantile
        if quantile is not None:
            if quantile > 0.5 and self.summaries_only:
                raise HwnasError(f"the device tells averages of many inferences only, so {field} of this file cannot be known")
            return self.upper_ms(quantile, confidence)
        if field == "load_ms":
            told = [1000 * s.load_s for s in self.samples if s.load_s is not None]
        else:
            told = [value for s in self.samples if (value := getattr(s, field)) is not None]
        if len(told) < len(self.samples):
            raise HwnasError(f"the device did not tell {field} of this file: run it as when it was profiled (energy needs root on Linux)")
        return float(max(told))

    def to_dict(self) -> dict[str, Any]:
        wall, single = self.wall_ms, not self.summaries_only
        return {
            "p50_ms": round(self.percentile_ms(0.5), 6),
            "p90_ms": round(self.percentile_ms(0.9), 6) if single else None,
            "p95_ms": round(self.percentile_ms(0.95), 6) if single else None,
            "p50_upper_ms": round(self.upper_ms(0.5), 6),
            "samples": len(wall),
            "sample_is": "one inference" if single else "the average of one invocation of the device's program",
            "inferences": self.inferences,
            "preempted": int(round(self.preempted * len(wall))),
            "slowed": int(round(self.slowed * len(wall))),
            "processes": [
                {"samples": len(s.wall_ns), "p50_ms": float(np.median(s.wall_ms))}
                | {field: told for field in EXTRA if (told := getattr(s, field)) is not None}
                for s in self.samples
            ],
        }


def time_file(device: Device, file: Path, rules: Rules, transport: Transport | None = None) -> Timing:
    """Times a file on its device in fresh processes. Raises HwnasError if it does not run there."""
    share = 1 / rules.processes
    plan = Plan.single_shot(int(np.ceil(rules.samples * share)), rules.total_s * share)
    samples, fingerprint, conditions = [], {}, {}
    for _ in range(rules.processes):
        with Worker(device, load_profiler(device.runtime), transport) as worker:
            sample = worker.time(file, plan)
            if sample.error is not None:
                raise HwnasError(f"device {device.name!r}: {file.name} does not run there: {sample.error}")
            samples.append(sample)
            fingerprint, conditions = worker.fingerprint(), worker.facts().get("conditions", {})
    return Timing(tuple(samples), fingerprint, conditions, rules.samples)
