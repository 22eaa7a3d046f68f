"""Charts as plotly.js takes them: plain dictionaries. Colours are names of the page's CSS variables, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..architecture import short_name
from ..cost import METRICS, Metric
from .findings import Outcome, Rows, Scores, Table
from .pareto import pareto_front
from .trades import Trade

MAX_POINTS = 5000  # of a cloud; beyond it a random part is drawn beside the whole front
LINES = ("--accent", "--ink", "--second", "--third", "--fourth", "--muted")
DASHES = ("solid", "dash", "dot", "dashdot")
Chart = dict[str, Any]


def unit_of(metric: Metric, values: np.ndarray) -> tuple[float, str]:
    """The unit that suits the middle of the values: (factor, its name)."""
    middle = float(np.median(values)) if len(values) else 1.0
    factor = max(f for f in metric.units.values() if f <= max(abs(middle), min(metric.units.values())))
    return factor, next(u for u, f in metric.units.items() if f == factor)


def front_chart(outcome: Outcome, scores: Scores) -> tuple[Chart, list[dict[str, Any]]]:
    """Every scored architecture by cost and accuracy, the front, the budget, the winner; and the front as rows of a table."""
    model, target = outcome.table.model, outcome.target
    assert model is not None and target is not None
    field = "latency_ms" if "latency_ms" in target.fields else target.fields[0]
    metric = next(m for m in METRICS.values() if m.field == field)
    cost = model.upper(scores.codes, [field])[:, 0]
    limit = float(outcome.certificate["budget"][field] if outcome.certificate else target.limits[target.fields.index(field)])
    factor, unit = unit_of(metric, cost[np.isfinite(cost)])
    x, y = cost / factor, 100 * scores.accuracy
    front, shown = pareto_front(cost, scores.accuracy), np.flatnonzero(np.isfinite(cost))
    if len(shown) > MAX_POINTS:
        shown = np.random.default_rng(0).choice(shown, MAX_POINTS, replace=False)
    bound = "upper bound of " if model.margin.get(field) else ""
    names = [short_name(model.space.decode(scores.codes[i])) for i in front]
    data: list[Chart] = [
        _points(x[shown], y[shown], "scored", "--faint", 5, 0.55),
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "front",
            "x": _r(x[front]),
            "y": _r(y[front]),
            "text": names,
            "line": {"shape": "hv", "color": "--accent", "width": 1.5},
            "marker": {"size": 5, "color": "--accent"},
            "hovertemplate": "%{text}<br>%{x} " + unit + ", %{y} %<extra></extra>",
        },
    ]
    if outcome.z is not None:
        at = model.upper(outcome.z[None], [field])[0, 0] / factor
        found = scores.by_code.get(tuple(map(int, outcome.z)), (outcome.search or {}).get("accuracy"))
        if found is not None:
            data.append(_points([at], [100 * found], "winner", "--paper", 13, 1, outline="--accent"))
    span = x[np.isfinite(x)]
    layout = _layout(f"{bound}{metric.name}, {unit or 'in all'}", "accuracy, %")
    layout["xaxis"]["range"] = [0.9 * float(span.min()), float(max(np.quantile(span, 0.99), 1.15 * limit / factor))]
    layout["shapes"] = [_line(x0=limit / factor, x1=limit / factor, y0=0, y1=1, yref="paper")]
    layout["annotations"] = [_note(limit / factor, 0.0, f" budget {metric.text(limit)}")]
    rows = [{"cost": metric.text(cost[i]), "accuracy": scores.accuracy[i], "name": n} for i, n in zip(front, names)]
    return {"data": data, "layout": layout}, rows


def progress_chart(search: Mapping[str, Any]) -> Chart:
    """The best accuracy so far against evaluations, and what random search had at as many."""
    history = 100 * np.array(search["history"], float)
    layout = _layout("evaluations", "best accuracy so far, %")
    random = 100 * float(search["random_accuracy"])
    layout["shapes"] = [_line(x0=1, x1=len(history), y0=random, y1=random)]
    layout["annotations"] = [_note(len(history), random, "random search", xanchor="right", yref="y")]
    return {"data": [_curve(np.arange(1, len(history) + 1), history, str(search.get("method", "evolution")), 0, "hv")], "layout": layout}


def agreement_chart(table: Table, certified: Sequence[tuple[str, float, float]]) -> Chart:
    """Predicted against measured: the calibration's networks, each predicted without itself, and certified files.

    certified: (name, predicted_ms, measured_ms).
    """
    networks = np.array(list(table.calibration.networks.values())).reshape(-1, 2) if table.calibration else np.zeros((0, 2))
    everything = np.concatenate([networks.ravel(), [v for _, *pair in certified for v in pair]])
    factor, unit = unit_of(METRICS["latency"], everything)
    top = 1.05 * float(everything.max()) / factor
    data = [_guide(top, top, "equal", "solid")]
    if table.calibration:
        data.append(_guide(top, top * (1 + table.calibration.margin), "95 % bound", "dot"))
        data.append(_points(networks[:, 1] / factor, networks[:, 0] / factor, "calibration network", "--faint", 7, 0.9))
    if certified:
        names, predicted, measured = zip(*certified)
        data.append(_points(np.array(predicted) / factor, np.array(measured) / factor, "certified file", "--accent", 10, 1, text=names))
    layout = _layout(f"predicted, {unit}", f"measured, {unit}")
    layout["xaxis"]["range"] = layout["yaxis"]["range"] = [0, top]
    return {"data": data, "layout": layout}


def curve_chart(curves: Mapping[str, Rows], metric: str, title: str, scale: float = 1.0) -> Chart | None:
    """One line for each training run that has the metric; None where none has."""
    data = []
    for i, (name, rows) in enumerate(curves.items()):
        points = [(r["step"], scale * r[metric]) for r in rows if isinstance(r.get(metric), (int, float)) and "step" in r]
        if points:
            steps, values = np.array(points).T
            data.append(_curve(steps, values, name, i))
    return {"data": data, "layout": {**_layout("steps", title), "showlegend": len(data) > 1}} if data else None


def trade_chart(found: Sequence[Trade]) -> Chart:
    """Every change of one choice: what it does to latency and to accuracy."""
    factor, unit = unit_of(METRICS["latency"], np.array([abs(t.latency_ms) for t in found]))
    data = []
    for name, color, scored in (("scored", "--accent", True), ("model", "--faint", False)):
        of = [t for t in found if t.accuracy is not None and t.scored == scored]
        if of:
            x, y = [t.latency_ms / factor for t in of], [100 * t.accuracy for t in of if t.accuracy is not None]
            data.append(_points(x, y, name, color, 8, 0.9, text=[t.text for t in of]))
    layout = _layout(f"change of latency, {unit}", "change of accuracy, points")
    for axis in ("xaxis", "yaxis"):
        layout[axis] |= {"zeroline": True, "zerolinecolor": "--muted"}
    layout["annotations"] = [{**_note(0, 1, "cheaper and better"), "xref": "paper", "yanchor": "top"}]
    return {"data": data, "layout": layout}


def drop_chart(rates: Sequence[Mapping[str, Any]]) -> Chart:
    """Kendall of one-shot supernets against networks trained alone, by drop rate, with its 95 % interval (Bender et al. 2018)."""
    rates = sorted(rates, key=lambda r: r["drop"])
    x, y = [r["drop"] for r in rates], [r["kendall"] for r in rates]
    low, high = np.array([r["kendall_interval"] for r in rates]).T
    bars = {"type": "data", "symmetric": False, "array": _r(high - y), "arrayminus": _r(y - low), "color": "--muted", "thickness": 1}
    return {"data": [{**_curve(x, y, "Kendall", 0), "error_y": bars}], "layout": {**_layout("drop rate r", "Kendall"), "showlegend": False}}


def _points(x: Any, y: Any, name: str, color: str, size: int, opacity: float, outline: str = "", text: Sequence[str] = ()) -> Chart:
    marker: Chart = {"size": size, "color": color, "opacity": opacity, "line": {"width": 3 if outline else 0, "color": outline or color}}
    chart: Chart = {"type": "scatter", "mode": "markers", "name": name, "x": _r(x), "y": _r(y), "marker": marker}
    said = "%{text}<br>" if text else f"{name}<br>"
    return {**chart, "text": list(text), "hovertemplate": said + "%{x}, %{y}<extra></extra>"}


def _curve(x: Any, y: Any, name: str, i: int, shape: str = "linear") -> Chart:
    line = {"color": LINES[i % len(LINES)], "width": 1.8, "shape": shape, "dash": DASHES[i // len(LINES) % len(DASHES)]}
    mode = "lines" if len(x) > 1 else "markers"
    return {"type": "scatter", "mode": mode, "name": name, "x": _r(x), "y": _r(y), "line": line, "marker": {"color": line["color"]}}


def _guide(x: float, y: float, name: str, dash: str) -> Chart:
    """A line from the origin."""
    line = {"color": "--muted", "width": 1, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": [0, x], "y": [0, y], "name": name, "hoverinfo": "skip", "line": line}


def _r(values: Any) -> list[float | None]:
    """Four digits are enough to draw; JSON knows no infinity."""
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in np.asarray(values, float)]


def _layout(x: str, y: str) -> Chart:
    axis = {"gridcolor": "--line", "linecolor": "--line", "zeroline": False, "automargin": True, "fixedrange": True, "nticks": 6}
    return {
        "xaxis": {**axis, "title": {"text": x, "standoff": 8}},
        "yaxis": {**axis, "title": {"text": y, "standoff": 8}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "--ink"},
        "margin": {"l": 48, "r": 12, "t": 24, "b": 40},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "dragmode": False,
        "hoverlabel": {"bgcolor": "--paper", "font": {"color": "--ink"}},
    }


def _line(x0: float, x1: float, y0: float, y1: float, yref: str = "y") -> Chart:
    line = {"color": "--muted", "width": 1.2, "dash": "dash"}
    return {"type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "yref": yref, "line": line}


def _note(x: float, y: float, text: str, xanchor: str = "left", yref: str = "paper") -> Chart:
    font = {"color": "--muted", "size": 12}
    return {"x": x, "y": y, "yref": yref, "text": text, "showarrow": False, "xanchor": xanchor, "yanchor": "bottom", "font": font}
