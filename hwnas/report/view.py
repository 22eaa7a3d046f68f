"""View: the findings in the words and figures of the page; the template only lays them out."""

from __future__ import annotations

from typing import Any

import numpy as np
import tomli_w

from ..architecture import short_name
from ..cost import METRICS, CostModel
from .accuracy_model import AccuracyModel
from .all_devices import cover, cross, points
from .charts import Chart, agreement_chart, curve_chart, drop_chart, front_chart, progress_chart, trade_chart
from .findings import Findings, Outcome, Scores, Table
from .parts import parts_of
from .picture import block_text, picture
from .trades import Trade, trades
from .verdicts import headline, verdict

FEW_TRADES, MANY_PARTS = 6, 40
ms = METRICS["latency"].text


class View:
    """What the template reads. Charts are collected by id, and go into the page as one block of JSON."""

    def __init__(self, findings: Findings):
        self.findings, self.charts = findings, dict[str, Chart]()
        self._models = dict[int, AccuracyModel | None]()
        self.name, self.space, self.experiment = findings.path.name, findings.space, findings.experiment
        self.experiment_text = tomli_w.dumps(findings.experiment.model_dump())
        self.verdicts = [verdict(o) for o in findings.outcomes]
        self.headline = headline(self.verdicts)
        self.outcomes = [self._outcome(i, o) for i, o in enumerate(findings.outcomes)]
        self.tables = [self._table(i, t) for i, t in enumerate(findings.tables)]
        self.cross, self.fleet = cross(findings), cover(findings)
        curves = findings.curves
        made = {
            "loss": curve_chart(curves, "loss", "loss"),
            "accuracy": curve_chart(curves, "accuracy", "accuracy on its batches, %", 100),
            "validation": curve_chart(curves, "valid_accuracy", "search-validation accuracy, %", 100),
        }
        self.curves = {k: self._chart(f"curve-{k}", c) for k, c in made.items() if c}
        self.health = [
            {**h, "chart": self._chart(f"drop-{i}", drop_chart(h["drop_rates"])) if h.get("drop_rates") else None}
            for i, h in enumerate(findings.health)
        ]
        self.missing = [*findings.missing, *(f"{o.title}: {m}" for o in findings.outcomes for m in o.missing)]

    def _chart(self, name: str, chart: Chart) -> str:
        self.charts[name] = chart
        return name

    def accuracy_model(self, scores: Scores | None) -> AccuracyModel | None:
        """Fitted once for all budgets that share a supernet."""
        if scores is None:
            return None
        key = hash((scores.codes.tobytes(), scores.accuracy.tobytes()))
        if key not in self._models:
            self._models[key] = AccuracyModel.fit(self.findings.space, scores.codes, scores.accuracy)
        return self._models[key]

    def _outcome(self, i: int, o: Outcome) -> dict[str, Any]:
        view: dict[str, Any] = {"id": f"budget-{i + 1}", "device": o.budget.device, "budget": o.budget_text, "missing": o.missing}
        several = sum(other.budget.device == o.budget.device for other in self.findings.outcomes) > 1
        view["link"] = f"{o.budget.device} {o.budget.name}" if several else o.budget.device
        view |= {"verdict": self.verdicts[i]["verdict"], "trades": None, "parts": None, "front": None, "progress": None}
        model, target, z, scores = o.table.model, o.target, o.z, o.scores
        if model and target and scores and any(f in model.metrics for f in target.fields):
            chart, rows = front_chart(o, scores)
            view["front"] = {"chart": self._chart(f"front-{i}", chart), "rows": rows, "scores": len(scores.codes)}
        if o.search and o.search.get("history"):
            best, random = max(o.search["history"]), o.search["random_accuracy"]
            view["progress"] = {"chart": self._chart(f"progress-{i}", progress_chart(o.search)), "evaluations": o.search["evaluations"]}
            view["progress"] |= {"best": f"{best:.2%}", "random": f"{random:.2%}"}
            view["progress"]["elsewhere"] = f"{o.search['accuracy']:.2%}" if o.search["accuracy"] > best else ""
        if z is not None:
            view["choices"] = self.findings.space.decode(z)
            view["architecture"] = short_name(view["choices"])
        if model and z is not None and "latency_ms" in model.metrics:
            view |= winner_view(model, z, o.title)
        if model and target and z is not None and "latency_ms" in model.metrics:
            accuracy = self.accuracy_model(scores)
            found = trades(model, target, z, scores.by_code if scores else {}, accuracy)
            view["trades"] = _trades(found) if found else None
            if any(t.accuracy is not None for t in found):
                view["trade_chart"] = self._chart(f"trades-{i}", trade_chart(found))
            view["model"] = accuracy
        view["rounds"] = (o.certificate or {}).get("rounds", [])
        return view

    def _table(self, i: int, t: Table) -> dict[str, Any]:
        mine = [o for o in self.findings.outcomes if o.table is t and o.certificate]
        certified = [
            (o.title, float(o.certificate["predicted"]["latency_ms"]), float(o.certificate["measured"]["p50_ms"]))
            for o in mine
            if o.certificate
        ]
        view: dict[str, Any] = {"device": t.device, "reason": t.reason, "trust": t.trust, "calibration": t.calibration, "chart": None}
        view["estimate"] = False
        if certified or (t.calibration and t.calibration.networks):
            view["chart"] = self._chart(f"agreement-{i}", agreement_chart(t, certified))
        if t.model:
            view |= {"blocks": len(t.model.space.blocks), "predicted": len(t.model.predicted), "estimate": t.model.estimate}
        return view


def winner_view(model: CostModel, z: np.ndarray, title: str) -> dict[str, Any]:
    """The picture of an architecture and its waterfall: {picture, parts, total, few}."""
    parts, at, rows = parts_of(model, z), 0.0, []
    total = sum(p.latency_ms for p in parts)
    for p in (p for p in parts if p.blocks or abs(p.latency_ms) > 5e-4 * total):  # a rest of nothing says nothing
        start, end = sorted((at, at + p.latency_ms))
        rows.append(
            {
                "name": p.name,
                "text": " + ".join(map(block_text, p.blocks)) or "what is no block's own",
                "latency": ms(p.latency_ms),
                "share": f"{p.latency_ms / total:.1%}",
                "start": round(100 * max(start, 0) / total, 2),
                "width": round(max(100 * (end - start) / total, 0.4), 2),
                "predicted": p.predicted,
            }
        )
        at += p.latency_ms
    return {"picture": picture(parts, title), "parts": rows, "total": ms(total), "few": len(rows) <= MANY_PARTS}


def _trades(found: list[Trade]) -> dict[str, list[dict[str, Any]]]:
    def view(t: Trade) -> dict[str, Any]:
        gain = None if t.accuracy is None else points(t.accuracy)
        change = ("−" if t.latency_ms < 0 else "+") + ms(abs(t.latency_ms))
        return {"text": t.text, "latency": change, "accuracy": gain, "scored": t.scored, "keeps": t.keeps}

    saves = [t for t in found if t.latency_ms < 0]
    costs = [t for t in found if t.latency_ms > 0 and (t.accuracy is None or t.accuracy > 0)]
    saves.sort(key=lambda t: (t.accuracy or 0) / abs(t.latency_ms), reverse=True)
    costs.sort(key=lambda t: (t.accuracy or 0) / t.latency_ms, reverse=True)
    return {"saves": [view(t) for t in saves[:FEW_TRADES]], "buys": [view(t) for t in costs[:FEW_TRADES]], "all": [view(t) for t in found]}
