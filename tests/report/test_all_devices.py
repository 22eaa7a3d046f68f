"""hwnas/report/all_devices.py and verdicts.py: the words and bars of the tables that compare devices."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hwnas.report.all_devices import cover, points
from hwnas.report.charts import trade_chart
from hwnas.report.trades import Trade
from hwnas.report.verdicts import TRACK, headline, verdict


@pytest.mark.parametrize(
    ("difference", "said"), [(0.0123, "+1.23"), (-0.004, "−0.40"), (0.0, "0.00"), (-0.00001, "0.00"), (0.00001, "0.00"), (-0.0, "0.00")]
)
def test_points(difference: float, said: str) -> None:
    assert points(difference) == said


def test_the_cover_says_who_is_served_by_what_and_what_it_costs() -> None:
    budgets = [{"device": d, "budget": "latency=1ms"} for d in ("a", "b", "c")]
    models = [{"choices": {}, "accuracy": 0.91, "serves": [0, 2]}, {"choices": {}, "accuracy": 0.9, "serves": [1]}]
    fleet = {"within": 0.005, "budgets": budgets, "models": models, "loss": [0.003, 0.0, -0.001]}
    told = cover(SimpleNamespace(fleet=fleet))  # type: ignore[arg-type]
    assert told is not None
    assert told["said"] == "2 models serve 3 budgets; none falls more than 0.30 points behind its own winner."
    losses = [[c and c["loss"] for c in m["cells"]] for m in told["models"]]
    assert losses == [["−0.30", None, "+0.10"], [None, "0.00", None]]
    assert cover(SimpleNamespace(fleet=None)) is None  # type: ignore[arg-type]


def _outcome(certificate: dict[str, Any] | None) -> Any:
    budget, table = SimpleNamespace(device="d"), SimpleNamespace(model=None)
    return SimpleNamespace(budget=budget, budget_text="latency", z=None, table=table, search=None, certificate=certificate, target=None)


def test_a_verdict_is_a_bar_up_to_its_budget() -> None:
    certificate = {
        "verdict": "FAIL",
        "certified_file": "model.onnx",
        "accuracy": {"search_validation": 0.9, "search_validation_inherited": 0.9, "test": 0.9},
        "limits": {"latency_ms": {"budget": 2.0, "value": 1.5}, "file_bytes": {"budget": 1e5, "value": 3e5}},
        "predicted": {"latency_ms": 1.0, "upper_ms": 2.0},
    }
    row = verdict(_outcome(certificate))
    latency, size = row["limits"]
    assert latency["used"] == "75%" and latency["width"] == pytest.approx(75 / TRACK, abs=0.01) and not latency["broken"]
    assert latency["marks"] == [pytest.approx(50 / TRACK, abs=0.01), pytest.approx(100 / TRACK, abs=0.01)]
    assert size["used"] == "300%" and size["width"] == 100 and size["broken"] and size["marks"] == []
    assert headline([row, verdict(_outcome(None))]) == "0 of 2 budgets are kept, measured on the device. 1 not done yet."


def test_changes_are_points_by_what_their_accuracy_comes_from() -> None:
    found = [
        Trade("kernel", 5, 3, -0.4, -0.001, True, True),
        Trade("se", 0, 4, 0.2, 0.002, False, False),
        Trade("act", "relu", "hswish", 0.3, None, False, True),
    ]
    data = trade_chart(found)["data"]
    assert [(t["name"], len(t["x"])) for t in data] == [("scored", 1), ("model", 1)]
    assert data[0]["text"] == ["kernel 5 → 3"] and data[0]["y"] == [-0.1]
