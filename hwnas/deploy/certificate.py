"""The verdict on a file: does it keep its budget on its device?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..cost import METRICS
from ..search import Target
from .timing import MAX_PREEMPTED, Timing

FORMAT = 1  # of certificate.json
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


def judge(target: Target, timing: Timing, counted: Mapping[str, float]) -> tuple[Verdict, dict[str, Any]]:
    """(verdict, {metric: {budget, value, keeps}}): PASS when every limit is kept.

    Latency is kept when the upper 95 % confidence limit of its median is within the budget. counted: file_bytes,
    memory_bytes, macs, params of the file itself. A timing with over 20 % of samples preempted is INCONCLUSIVE, never PASS;
    a counted limit that is broken is a FAIL whatever the timing.
    """
    kept: dict[str, Any] = {}
    for name, field, limit in zip(target.metric_names, target.fields, target.limits):
        value = timing.upper_ms(0.5) if METRICS[name].measured else counted[field]
        kept[field] = {"budget": float(limit), "value": float(value), "keeps": bool(value <= limit)}
    if not all(k["keeps"] for field, k in kept.items() if field in counted):
        return "FAIL", kept
    if timing.preempted > MAX_PREEMPTED:
        return "INCONCLUSIVE", kept
    return ("PASS" if all(k["keeps"] for k in kept.values()) else "FAIL"), kept


def share_used(kept: Mapping[str, Mapping[str, Any]]) -> float:
    """Of what `judge` kept: the share of the fullest limit that is used, above 1 where one is broken."""
    return float(max(k["value"] / k["budget"] for k in kept.values()))
