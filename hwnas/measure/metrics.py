"""What a table knows beside latency, key by key."""

from __future__ import annotations

from statistics import median

import numpy as np

from ..sample import Sample
from ..table import Table

# Fields that a device may tell, in the order in which they are shown. Only what adds up over blocks can serve a budget: energy
# and instructions do. The others do not: a network's p95 is below the sum of its blocks' (they are not slow at one time), most
# of loading is done once per file, and a process has one peak of memory.
ADDITIVE = ("energy_mj", "instructions")
FIELDS = ("p95_ms", "first_run_ms", "load_ms", "peak_rss_bytes", *ADDITIVE)


def metrics_of(table: Table) -> dict[str, dict[str, float]]:
    """Field -> key -> median over rounds, of the fields in FIELDS that any row has.

    p95_ms is over all repeats of all rounds; a repeat is the mean of its loop's inferences, so it says how steady the machine was, and
    is the percentile of single inferences only where the plan loops none (min_repeat_s = 0).
    """
    found: dict[str, dict[str, float]] = {}
    for key in table.keys:
        samples = [s for s in table.samples(key) if s.error is None]
        for field in FIELDS:
            values = [v for s in samples if (v := _value(s, field)) is not None]
            if field == "p95_ms" and samples:
                values = [float(np.percentile(np.concatenate([s.times_ms() for s in samples]), 95))]
            if values:
                found.setdefault(field, {})[key] = float(median(values))
    return {field: found[field] for field in FIELDS if field in found}


def _value(sample: Sample, field: str) -> float | None:
    if field == "p95_ms":
        return None
    if field == "load_ms":
        return None if sample.load_s is None else 1000 * sample.load_s
    value: float | None = getattr(sample, field)
    return value
