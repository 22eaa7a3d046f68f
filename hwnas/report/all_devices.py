"""All devices at once: every winner on every device, and the fewest models that serve every budget."""

from __future__ import annotations

from typing import Any

from ..architecture import short_name
from ..cost import METRICS
from .findings import Findings

ms = METRICS["latency"].text


def cross(findings: Findings) -> dict[str, Any] | None:
    """Every winner on every device: measured where it was certified or `hwnas fleet` timed it, else predicted.

    None for less than two winners or devices.
    """
    winners = [o for o in findings.outcomes if o.z is not None]
    tables = [t for t in findings.tables if t.model and "latency_ms" in t.model.metrics]
    if len(winners) < 2 or len(tables) < 2:
        return None
    rows = []
    for o in winners:
        cells = []
        for t in tables:
            assert t.model is not None and o.z is not None
            timed = o.certificate if o.table is t and o.certificate else findings.timed.get((t.device, tuple(map(int, o.z))))
            certified = float(timed["measured"]["p50_ms"]) if timed else None
            predicted = float(t.model.cost(o.z[None], ["latency_ms"])[0, 0])
            text = ms(certified if certified is not None else predicted)
            cells.append({"text": text, "measured": certified is not None, "own": o.table is t})
        rows.append({"title": o.title, "cells": cells})
    return {"devices": [t.device for t in tables], "rows": rows}


def cover(findings: Findings) -> dict[str, Any] | None:
    """The fewest models that serve every budget: {within, said, budgets, models: [{name, accuracy, cells}]}."""
    if not (f := findings.fleet):
        return None
    models = []
    for m in f["models"]:
        cells = [{"loss": points(-f["loss"][k])} if k in m["serves"] else None for k in range(len(f["budgets"]))]
        models.append({"name": short_name(m["choices"]), "accuracy": f"{m['accuracy']:.2%}", "cells": cells})
    serves = "1 model serves" if len(models) == 1 else f"{len(models)} models serve"
    worst = points(max(*f["loss"], 0.0)).lstrip("+")
    said = f"{serves} {len(f['budgets'])} budgets; none falls more than {worst} points behind its own winner."
    return {
        "within": f"{f['within']:.2%}",
        "said": said,
        "budgets": [f"{x['device']} {x['budget']}" for x in f["budgets"]],
        "models": models,
    }


def points(difference: float) -> str:
    """A difference of accuracies in percentage points."""
    return f"{100 * difference + 0.0:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")
