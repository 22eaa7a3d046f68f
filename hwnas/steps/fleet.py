"""All devices of a run at once: what each winner costs on every device, and the fewest models that serve them all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..cost import CostModel
from ..errors import HwnasError
from ..score import RunScorer
from ..search import Feasible, Target
from ..search.cover import cover
from .cross import Cross, keeps
from .progress import Show, silent
from .run_folder import RunFolder, write_json
from .search import Winner

Resolved = Sequence[tuple[CostModel, Target]]


def fleet(
    run: RunFolder,
    resolved: Resolved,
    winners: Sequence[Winner],
    scorer: RunScorer,
    within: float,
    measure: bool = True,
    show: Show = silent,
) -> dict[str, Any]:
    """Writes fleet.json and returns it: the cross table of winners and budgets, and the smallest set of models.

    within: by how much (0.01 = one percent point of search-validation accuracy, inherited weights) a device may fall behind
    its own winner. Candidates are all architectures that the run has scored, whatever they were scored for. A winner is what its
    certificate stands for, where there is one. measure: every winner is timed on every device, and so is every model on the devices
    it is to serve; one that breaks a budget there does not serve it. Without it, only what was measured before counts.
    """
    winners = [_settled(run, w, scorer) for w in winners]
    codes = np.array([*scorer.cache.scores, *(tuple(map(int, w.z)) for w in winners)])
    accuracy = np.array([*scorer.cache.scores.values(), *(w.accuracy for w in winners)])
    best = np.array([w.accuracy for w in winners])
    serves = np.stack([Feasible(model, target, 0.0)(codes) for model, target in resolved], 1)
    first, n = len(codes) - len(winners), len(winners)
    with Cross(run, scorer.net) as cross:
        _certified(run, winners, cross)
        if measure:
            _measure(run, winners, resolved, cross, show)
        cells = [[_cell(w, m, t, cross) for m, t in resolved] for w in winners]
        for i, row in enumerate(cells):
            serves[first + i] = [c["keeps"] for c in row]
        serves[first + np.arange(n), np.arange(n)] = True  # a winner serves its own budget: nothing better is known
        serves &= accuracy[:, None] >= best - within - 1e-12
        with show("the fewest models") as advance:
            while True:
                chosen = cover(serves, accuracy)
                pairs = [(m, k) for k, m in enumerate(chosen) if m != first + k]
                broken = []
                for done, (m, k) in enumerate(pairs):
                    advance(done, len(pairs), f"model {m} on {resolved[k][1].budget.device}")
                    if _breaks(codes[m], resolved[k][1], cross, measure):
                        broken.append((m, k))
                if not broken:
                    break
                for m, k in broken:
                    serves[m, k] = False
        models = list(dict.fromkeys(chosen.tolist()))
        result = {
            "within": within,
            "budgets": [{"device": w.target.budget.device, "budget": w.target.budget.name, "accuracy": w.accuracy} for w in winners],
            "cross": [
                {"device": w.target.budget.device, "budget": w.target.budget.name, "choices": run.space.decode(w.z), "on": row}
                for w, row in zip(winners, cells)
            ],
            "models": [
                {
                    "choices": run.space.decode(codes[m]),
                    "accuracy": float(accuracy[m]),
                    "serves": [k for k in range(n) if chosen[k] == m],
                    "measured_ms": {resolved[k][1].budget.device: _ms(codes[m], resolved[k][1], cross) for k in range(n) if chosen[k] == m},
                }
                for m in models
            ],
            "loss": [float(best[k] - accuracy[m]) for k, m in enumerate(chosen)],
            "away": dict(cross.away),
        }
    write_json(run.path / "fleet.json", result)
    return result


def _settled(run: RunFolder, winner: Winner, scorer: RunScorer) -> Winner:
    """The architecture that the budget's certificate stands for, where there is one of this budget; else the search's."""
    folder = run.of_budget(winner.target.budget)
    try:
        certificate = json.loads((folder / "certificate.json").read_text())
        limits = [certificate["budget"][field] for field in winner.target.fields]
        z = run.space.canonical(run.space.encode(json.loads((folder / "architecture.json").read_text())["choices"])[None])[0]
    except (OSError, ValueError, KeyError, TypeError, HwnasError):
        return winner
    if not np.allclose(limits, winner.target.limits):
        return winner
    return replace(winner, z=z, accuracy=float(scorer.score(z[None])[0]))


def _certified(run: RunFolder, winners: Sequence[Winner], cross: Cross) -> None:
    for w in winners:
        folder = run.of_budget(w.target.budget)
        try:
            certificate = json.loads((folder / "certificate.json").read_text())
            z = run.space.encode(json.loads((folder / "architecture.json").read_text())["choices"])
            if np.array_equal(run.space.canonical(z[None])[0], w.z):
                cross.add(w.z, w.target.budget.device, certificate)
        except (OSError, ValueError, KeyError, HwnasError):
            continue  # not exported yet


def _measure(run: RunFolder, winners: Sequence[Winner], resolved: Resolved, cross: Cross, show: Show) -> None:
    """Device by device, so that a column of the table is one sitting."""
    devices = list(dict.fromkeys(t.budget.device for _, t in resolved))
    todo = [(w, d) for d in devices for w in winners if not cross.known(w.z, d)]
    with show("every winner on every device") as advance:
        for done, (w, device) in enumerate(todo):
            advance(done, len(todo), f"winner of {w.target.budget.device} on {device}")
            cross.cell(w.z, device)
        if todo:
            advance(len(todo), len(todo), "")


def _cell(winner: Winner, model: CostModel, target: Target, cross: Cross) -> dict[str, Any]:
    """One winner under one budget: predicted, measured where it was, and whether it keeps that budget by the better of the two."""
    predicted, upper = (float(f(winner.z[None], ["latency_ms"])[0, 0]) for f in (model.cost, model.upper))
    kept = bool(Feasible(model, target, 0.0)(winner.z[None])[0])
    cell = {"predicted_ms": predicted, "upper_ms": upper, "measured_ms": None, "keeps": kept}
    if (found := cross.cell(winner.z, target.budget.device) if cross.known(winner.z, target.budget.device) else None) is not None:
        cell["measured_ms"] = found["measured"]["p50_ms"]
        if (kept_there := keeps(target, found)) is not None:
            cell["keeps"] = kept_there
    return cell


def _breaks(z: np.ndarray, target: Target, cross: Cross, measure: bool) -> bool:
    device = target.budget.device
    found = cross.cell(z, device) if measure or cross.known(z, device) else None
    return found is not None and keeps(target, found) is False


def _ms(z: np.ndarray, target: Target, cross: Cross) -> float | None:
    device = target.budget.device
    found = cross.cell(z, device) if cross.known(z, device) else None
    return float(found["measured"]["p50_ms"]) if found is not None else None
