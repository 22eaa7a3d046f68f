"""The verdict on each budget, as a row of the report's first table."""

from __future__ import annotations

from typing import Any

from ..architecture import short_name
from ..cost import METRICS
from .findings import Outcome

TRACK = 1.2  # of a budget: how much a verdict's bar shows; page.css knows it, too
FIELDS = {m.field: m for m in METRICS.values()}
ms = METRICS["latency"].text


def verdict(o: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {"device": o.budget.device, "budget": o.budget_text, "limits": [], "verdict": "NOT DONE", "reason": ""}
    row |= dict.fromkeys(("test", "predicted", "bound", "inherited", "architecture"), "")
    if o.z is not None and o.table.model:
        row["architecture"] = short_name(o.table.model.space.decode(o.z))
    if o.search:
        row["inherited"] = f"{o.search['accuracy']:.2%}"
    if c := o.certificate:
        row |= {
            "verdict": c["verdict"],
            "reason": c.get("reason") or "",
            "validation": f"{c['accuracy']['search_validation']:.2%}",
            "inherited": f"{c['accuracy']['search_validation_inherited']:.2%}",  # of what was settled on: the search may have found another
            "test": f"{c['accuracy']['test']:.2%}",
            "file": c["certified_file"],
        }
        for field, limit in c["limits"].items():
            text = FIELDS[field].text
            bar = _limit(field, text(limit["value"]), text(limit["budget"]), limit["value"] / limit["budget"], bool(limit.get("soft")))
            if field == "latency_ms":
                bar["marks"] = [_of_track(float(c["predicted"][of]) / limit["budget"]) for of in ("latency_ms", "upper_ms")]
            row["limits"].append(bar)
        row |= {"predicted": ms(c["predicted"]["latency_ms"]), "bound": ms(c["predicted"]["upper_ms"])}
    elif o.target:
        row["limits"] = [_limit(f, "", FIELDS[f].text(float(v)), None) for f, v in zip(o.target.fields, o.target.limits)]
    return row


def _limit(field: str, value: str, budget: str, share: float | None, soft: bool = False) -> dict[str, Any]:
    """One limit as a bar: the budget stands at 100 / TRACK percent of its track; a soft one is over, never broken."""
    told: dict[str, Any] = {"metric": FIELDS[field].name, "value": value, "budget": budget, "share": share, "marks": []}
    return told | (
        {"used": f"{share:.0%}", "width": _of_track(share), "broken": share > 1 and not soft}
        if share is not None
        else {"used": "", "width": None}
    )


def _of_track(share: float) -> float:
    return round(100 * min(max(share, 0.0) / TRACK, 1.0), 2)


def headline(rows: list[dict[str, Any]]) -> str:
    kept, n = sum(r["verdict"] == "PASS" for r in rows), len(rows)
    if not n:
        return "No budget was given yet."
    said = f"{kept} of {n} budgets {'is' if kept == 1 else 'are'} kept, measured on the device."
    waiting = sum(r["verdict"] == "NOT DONE" for r in rows)
    return said + (f" {waiting} not done yet." if waiting else "")
