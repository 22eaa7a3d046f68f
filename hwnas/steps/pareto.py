"""The trade-off below a budget: every architecture that no other one beats in all of two or three objectives at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..cost import METRICS, CostModel
from ..errors import HwnasError, did_you_mean
from ..score import Scorer
from ..search import Evolution, Feasible, Target
from ..search.nsga2 import nsga2, objective_values, pareto
from ..search.nsga3 import nsga3
from .progress import Show, silent
from .run_folder import RunFolder, write_json


@dataclass(frozen=True)
class Front:
    """Architectures from the best to the worst in the first objective: codes (n, genes), values (n, objectives).

    Accuracies in [0, 1] (search-validation), of other objectives upper bounds in their field's unit.
    """

    codes: np.ndarray
    objectives: tuple[str, ...]  # "accuracy", or names of metrics
    values: np.ndarray
    evaluations: int


def parse_objectives(text: str) -> list[str]:
    """`accuracy,latency[,memory]` -> two or three names of "accuracy" and METRICS. Raises HwnasError that says what would do."""
    names = [n.strip() for n in text.split(",")]
    for name in names:
        if name != "accuracy" and name not in METRICS:
            raise did_you_mean("objective in --pareto", name, ["accuracy", *METRICS])
    if not 2 <= len(names) <= 3 or len(set(names)) != len(names):
        raise HwnasError(f"--pareto {text!r}: name two or three of accuracy and the metrics, each once: accuracy,latency or latency,size")
    return names


def search_front(run: RunFolder, model: CostModel, target: Target, scorer: Scorer, objectives: list[str], show: Show = silent) -> Front:
    """NSGA-II (NSGA-III where the run's method is nsga3) below the budget's limits; writes pareto.json beside the budget's other files.

    Nothing is scored where accuracy is no objective. Raises HwnasError for a metric that the device does not tell.
    """
    settings, name = run.experiment.search, f"budget {target.budget.device}:{target.budget.name}"
    fields = [METRICS[o].field if o != "accuracy" else o for o in objectives]
    if missing := [o for o, f in zip(objectives, fields) if f not in ("accuracy", *model.metrics)]:
        raise HwnasError(f"--pareto: {name}: the table of {target.budget.device} has no {missing[0]}; it has {', '.join(model.metrics)}")
    plan = Evolution(settings.population, settings.generations)
    score = scorer.score if "accuracy" in objectives else lambda Z: np.zeros(len(Z))
    with show(f"front {target.budget.device} {target.budget.name}") as advance:
        feasible = Feasible.filled(model, target, 0.0, seed=run.experiment.seed)
        said = lambda i, n, best: advance(i, n, f"best {best:.2%}" if "accuracy" in objectives else "")
        method = nsga3 if settings.method == "nsga3" else nsga2
        found = method(feasible, score, plan, run.experiment.seed, said, fields)
    values = objective_values(feasible, found.codes, found.accuracy, fields)
    on = np.flatnonzero(pareto(values))
    on = on[np.lexsort(values[on].T[::-1])]
    values = np.where(np.array(objectives) == "accuracy", -values, values)
    front = Front(run.space.canonical(found.codes[on]), tuple(objectives), values[on], len(found.codes))
    points = [{**dict(zip(fields, map(float, v))), "choices": run.space.decode(z)} for z, v in zip(front.codes, front.values)]
    path = run.of_budget(target.budget) / "pareto.json"
    write_json(path, {"budget": target.budget.text, "objectives": fields, "evaluations": front.evaluations, "front": points})
    return front
