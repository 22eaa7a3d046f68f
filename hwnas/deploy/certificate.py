"""The verdict on a file: does it keep its budget on its device?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ..cost import precision
from ..lower import Program
from ..lower.program import FLOAT_BYTES
from ..profiler import is_estimate
from ..search import Target
from .timing import MAX_PREEMPTED, Timing

FORMAT = 1  # of certificate.json
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


def counts(program: Program, dtype: str) -> dict[str, float]:
    """What is counted on a network rather than measured: memory_bytes (of activations, in the dtype), macs, params."""
    share = precision(dtype).activation / FLOAT_BYTES
    return {"memory_bytes": share * program.peak_bytes, "macs": program.macs, "params": program.params}


def judge(target: Target, timing: Timing, counted: Mapping[str, float]) -> tuple[Verdict, dict[str, Any]]:
    """`judge_limits` of a search's target."""
    return judge_limits(dict(zip(target.fields, map(float, target.limits))), timing, counted)


def judge_limits(limits: Mapping[str, float], timing: Timing, counted: Mapping[str, float]) -> tuple[Verdict, dict[str, Any]]:
    """(verdict, {metric: {budget, value, keeps}}): PASS when every limit is kept.

    Latency is kept when the upper 95 % confidence limit of its median is within the budget, energy and instructions when the process
    with most of it is. counted: file_bytes,
    memory_bytes, macs, params of the file itself. A timing that proves nothing (see `proves_nothing`) is INCONCLUSIVE, never PASS;
    a counted limit that is broken is a FAIL whatever the timing.
    """
    kept: dict[str, Any] = {}
    for field, limit in limits.items():
        value = counted[field] if field in counted else timing.upper(field)
        kept[field] = {"budget": limit, "value": float(value), "keeps": bool(value <= limit)}
    if not all(k["keeps"] for field, k in kept.items() if field in counted):
        return "FAIL", kept
    if proves_nothing(timing):
        return "INCONCLUSIVE", kept
    return ("PASS" if all(k["keeps"] for k in kept.values()) else "FAIL"), kept


def proves_nothing(timing: Timing) -> str | None:
    """Why a timing can neither pass nor fail a budget, or None where it can."""
    if is_estimate(timing.fingerprint):
        return "the times are an estimate from a datasheet: nothing was measured"
    if timing.preempted > MAX_PREEMPTED:
        return f"other programs had the core during {timing.preempted:.0%} of the inferences, at most {MAX_PREEMPTED:.0%} are allowed"
    return None


def share_used(kept: Mapping[str, Mapping[str, Any]]) -> float:
    """Of what `judge` kept: the share of the fullest limit that is used, above 1 where one is broken."""
    return float(max(k["value"] / k["budget"] for k in kept.values()))
