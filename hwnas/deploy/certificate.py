"""The verdict on a file: does it keep its budget on its device?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..cost import precision
from ..cost.bound import CONFIDENCE
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


@dataclass(frozen=True)
class Demand:
    """What a limit asks of a file: its value in the field's unit, with what probability, and whether it may be broken at a price."""

    budget: float
    confidence: float = CONFIDENCE
    soft: bool = False


def judge(target: Target, timing: Timing, counted: Mapping[str, float]) -> tuple[Verdict, dict[str, Any]]:
    """`judge_limits` of a search's target."""
    confidences = target.confidences
    demands = {
        field: Demand(float(limit), confidences.get(field, CONFIDENCE), not hard)
        for field, limit, hard in zip(target.fields, target.limits, target.hard)
    }
    return judge_limits(demands, timing, counted)


def judge_limits(demands: Mapping[str, Demand], timing: Timing, counted: Mapping[str, float]) -> tuple[Verdict, dict[str, Any]]:
    """(verdict, {field: {budget, value, keeps}}): PASS when every limit is kept; soft ones, marked so, are held
    against nothing.

    A quantile of latency (its median, its p95) is kept when its upper confidence limit is within the budget; energy, instructions and load
    time when the process with most of it is. counted: file_bytes, memory_bytes, macs, params of the file itself. A timing that proves
    nothing (see `proves_nothing`) is INCONCLUSIVE, never PASS; a counted limit that is broken is a FAIL whatever the timing.
    """
    kept: dict[str, Any] = {}
    for field, demand in demands.items():
        value = counted[field] if field in counted else timing.upper(field, demand.confidence)
        kept[field] = {"budget": demand.budget, "value": float(value), "keeps": bool(value <= demand.budget)}
        if demand.confidence != CONFIDENCE:
            kept[field]["confidence"] = demand.confidence
        if demand.soft:
            kept[field]["soft"] = True
    hard = {field: k["keeps"] for field, k in kept.items() if not k.get("soft")}
    if not all(keeps for field, keeps in hard.items() if field in counted):
        return "FAIL", kept
    if proves_nothing(timing):
        return "INCONCLUSIVE", kept
    return ("PASS" if all(hard.values()) else "FAIL"), kept


def proves_nothing(timing: Timing) -> str | None:
    """Why a timing can neither pass nor fail a budget, or None where it can."""
    if is_estimate(timing.fingerprint):
        return "the times are an estimate from a datasheet: nothing was measured"
    if timing.inferences < timing.asked:
        least = f"{timing.asked:,} are asked for, and the time limit allowed {timing.inferences:,} of {timing.percentile_ms(0.5):,.0f} ms"
        return f"too few inferences: {least}"
    if timing.preempted > MAX_PREEMPTED:
        return f"other programs had the core during {timing.preempted:.0%} of the inferences, at most {MAX_PREEMPTED:.0%} are allowed"
    return None


def share_used(kept: Mapping[str, Mapping[str, Any]]) -> float:
    """Of what `judge` kept: the share of the fullest hard limit that is used, above 1 where one is broken; 1 where all are soft."""
    return float(max((k["value"] / k["budget"] for k in kept.values() if not k.get("soft")), default=1.0))


def word(kept: Mapping[str, Any]) -> str:
    """How a limit fared, in a table."""
    return "kept" if kept["keeps"] else "over (soft)" if kept.get("soft") else "BROKEN"
