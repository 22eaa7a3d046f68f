"""All devices of a run at once: what each winner costs on every device, and the fewest models that serve them all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cost import CostModel
from ..score import RunScorer
from ..search import Feasible, Target
from ..search.cover import cover
from .run_folder import RunFolder, write_json
from .search import Winner


def fleet(
    run: RunFolder, resolved: Sequence[tuple[CostModel, Target]], winners: Sequence[Winner], scorer: RunScorer, within: float
) -> dict[str, Any]:
    """Writes fleet.json and returns it: the cross table of winners and budgets, and the smallest set of models.

    within: by how much (0.01 = one percent point of search-validation accuracy, inherited weights) a device may fall behind
    its own winner. Candidates are all architectures that the run has scored, whatever they were scored for.
    """
    codes = np.array([*scorer.cache.scores, *(tuple(map(int, w.z)) for w in winners)])
    accuracy = np.array([*scorer.cache.scores.values(), *(w.accuracy for w in winners)])
    best = np.array([w.accuracy for w in winners])
    keeps = np.stack([Feasible(model, target, 0.0)(codes) for model, target in resolved], 1)
    own = np.zeros_like(keeps)
    own[len(codes) - len(winners) + np.arange(len(winners)), np.arange(len(winners))] = True  # a winner serves its own budget
    chosen = cover((keeps | own) & (accuracy[:, None] >= best - within - 1e-12), accuracy)
    models = list(dict.fromkeys(chosen.tolist()))
    result = {
        "within": within,
        "budgets": [{"device": w.target.budget.device, "budget": w.target.budget.name, "accuracy": w.accuracy} for w in winners],
        "cross": [_row(run, w, resolved) for w in winners],
        "models": [
            {
                "choices": run.space.decode(codes[m]),
                "accuracy": float(accuracy[m]),
                "serves": [k for k in range(len(winners)) if chosen[k] == m],
            }
            for m in models
        ],
        "loss": [float(best[k] - accuracy[m]) for k, m in enumerate(chosen)],
    }
    write_json(run.path / "fleet.json", result)
    return result


def _row(run: RunFolder, winner: Winner, resolved: Sequence[tuple[CostModel, Target]]) -> dict[str, Any]:
    """One winner on every budget's device: predicted latency, its bound, whether it keeps that budget; measured where it was."""
    cells = []
    for model, target in resolved:
        predicted, upper = (float(f(winner.z[None], ["latency_ms"])[0, 0]) for f in (model.cost, model.upper))
        keeps = bool(Feasible(model, target, 0.0)(winner.z[None])[0])
        cells.append({"predicted_ms": predicted, "upper_ms": upper, "keeps": keeps})
    path = run.of_budget(winner.target.budget) / "certificate.json"
    measured = json.loads(path.read_text())["measured"]["p50_ms"] if path.exists() else None
    return {"device": winner.target.budget.device, "budget": winner.target.budget.name, "measured_ms": measured, "on": cells}
