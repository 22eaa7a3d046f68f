"""The trade-off below a budget: every architecture that no other one beats in accuracy and costs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cost import METRICS, CostModel
from ..errors import HwnasError, did_you_mean
from ..score import Scorer
from ..search import Evolution, Feasible, Target
from ..search.nsga2 import nsga2, pareto
from .progress import Show, silent
from .run_folder import RunFolder, write_json


@dataclass(frozen=True)
class Front:
    """Architectures by falling accuracy: codes (n, genes), accuracy (n,), upper bounds of the metrics (n, metrics)."""

    codes: np.ndarray
    accuracy: np.ndarray
    upper: np.ndarray
    evaluations: int


def parse_objectives(text: str) -> list[str]:
    """`accuracy,latency[,memory]` -> the metrics beside accuracy. Raises HwnasError that says what would do."""
    names = [n.strip() for n in text.split(",")]
    for name in names:
        if name != "accuracy" and name not in METRICS:
            raise did_you_mean("objective in --pareto", name, ["accuracy", *METRICS])
    if "accuracy" not in names or not 2 <= len(names) <= 3 or len(set(names)) != len(names):
        raise HwnasError(f"--pareto {text!r}: name accuracy and one or two metrics, each once: accuracy,latency or accuracy,latency,memory")
    return [n for n in names if n != "accuracy"]


def search_front(run: RunFolder, model: CostModel, target: Target, scorer: Scorer, metrics: list[str], show: Show = silent) -> Front:
    """NSGA-II below the budget's limits; writes pareto.json beside the budget's other files, and returns the front."""
    settings, fields = run.experiment.search, [METRICS[m].field for m in metrics]
    plan = Evolution(settings.population, settings.generations)
    with show(f"front {target.budget.device} {target.budget.name}") as advance:
        feasible = Feasible.filled(model, target, 0.0, seed=run.experiment.seed)
        said = lambda i, n, best: advance(i, n, f"best {best:.2%}")
        found = nsga2(feasible, scorer.score, plan, run.experiment.seed, said, fields)
    upper = model.upper(found.codes, fields)
    on = np.flatnonzero(pareto(np.column_stack([-found.accuracy, upper])))
    on = on[np.argsort(-found.accuracy[on], kind="stable")]
    front = Front(found.codes[on], found.accuracy[on], upper[on], len(found.codes))
    points = [
        {"accuracy": float(a), **dict(zip(fields, map(float, u))), "choices": run.space.decode(z)}
        for z, a, u in zip(front.codes, front.accuracy, front.upper)
    ]
    path = run.of_budget(target.budget) / "pareto.json"
    write_json(path, {"budget": target.budget.text, "objectives": ["accuracy", *fields], "evaluations": front.evaluations, "front": points})
    return front
