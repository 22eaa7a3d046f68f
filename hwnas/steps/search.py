"""Step 3: the best architecture for each budget."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import Budget
from ..cost import METRICS, CostModel
from ..errors import HwnasError
from ..predict import device_model
from ..score import InheritedScorer, RunScorer, Scorer, TrainScorer, scoring_work
from ..search import METHODS, Evolution, Feasible, Target, random_search
from ..shipped import table_folder
from ..supernet import Supernet
from ..tasks import Workers
from ..train import Recipe
from .progress import Show, silent
from .retime import recorded_drift, require_trust
from .run_folder import RunFolder, read_stamped, stamp, write_json

WORTH_A_POOL_S = 5.0  # of one generation: workers have to load torch, data and weights first


@dataclass(frozen=True)
class Winner:
    """One budget's architecture, and what is known of it before any file exists."""

    target: Target
    z: np.ndarray  # (genes,)
    accuracy: float  # on the search-validation split, with inherited weights
    random_accuracy: float  # of random search with as many evaluations
    evaluations: int
    predicted: dict[str, float]  # field -> value
    upper: dict[str, float]  # field -> value with its margin
    estimate: bool = False  # latencies come from a datasheet
    note: str = ""  # what the method has to say of it

    def to_dict(self) -> dict[str, Any]:
        return {
            "budget": self.target.budget.text,
            "limits": dict(zip(self.target.fields, map(float, self.target.limits))),
            "reachable": {r.metric: [r.low, r.high] for r in self.target.ranges},
            "search_validation_accuracy": self.accuracy,
            "random_search_accuracy": self.random_accuracy,
            "evaluations": self.evaluations,
            "predicted": self.predicted,
            "upper": self.upper,
            "estimate": self.estimate,
            "note": self.note,
        }


def make_scorer(run: RunFolder, net: Supernet, workers: Workers | None = None) -> RunScorer:
    """What [search] score says; every score is kept in the run, so that a killed search goes on. net: see `load_supernet`.

    workers: they score with inherited weights.
    """
    e, s, path = run.experiment, run.experiment.search, scores_path(run)
    if s.score == "train":
        recipe = Recipe.parse({"seed": e.seed, **e.train.recipe, "epochs": s.epochs})
        return TrainScorer(net, run.data, recipe, path.with_suffix(""), share=s.share, valid_images=s.valid_images, cache=path)
    images = s.recalibration_images
    scorer = InheritedScorer(net, run.data, recalibration_images=images, valid_images=s.valid_images, cache=path)
    if workers:
        scorer.pool_from_s = 0.0 if workers.chosen else WORTH_A_POOL_S
        scorer.pool = workers.pool(scoring_work(scorer, e.space, e.data, e.seed, workers.folder))
    return scorer


def scores_path(run: RunFolder) -> Path:
    """Where the scores of the run's supernet lie."""
    s = run.experiment.search
    trained = [] if s.score == "inherited" else [s.score, s.epochs, s.share]
    return run.path / f"scores-{stamp(run.supernet.name, s.recalibration_images, s.valid_images, *trained)}.jsonl"


def resolve(run: RunFolder, budget: Budget) -> tuple[CostModel, Target]:
    """The device's cost model, at the level that the run has recorded, and the budget in numbers.

    Raises HwnasError for a budget that cannot be reached; for a table that is not to be trusted, unless [search] force is set.
    """
    force = run.experiment.search.force
    model = device_model(run.space, table_folder(run.lut, budget.device), force, recorded_drift(run, budget.device))
    if not force:
        require_trust(run, budget.device)
    model = _at(model, budget)
    return model, Target.of(budget, model, run.experiment.seed)


def _at(model: CostModel, budget: Budget) -> CostModel:
    """The model at the budget's probabilities. Raises HwnasError that names the budget."""
    try:
        return model.at(budget.confidences)
    except HwnasError as error:
        raise HwnasError(f"budget {budget.device}:{budget.name}: {error}") from None


def search_target(run: RunFolder, model: CostModel, target: Target, scorer: Scorer, show: Show = silent) -> Winner:
    """The settings' method, and random search with as many evaluations beside it; done already, it is read from search.json."""
    settings, seed, space = run.experiment.search, run.experiment.seed, run.space
    path = run.of_budget(target.budget) / "search.json"
    costs = model.upper(space.sample(64, np.random.default_rng(0)), target.fields)  # stands for the whole table
    mark = stamp(
        space.hash,
        run.supernet.name,
        target.limits.tolist(),
        settings.decisive,
        seed,
        costs.round(9).tolist(),
        *target.terms,
    )
    if found := read_stamped(path, mark):
        return to_winner(target, model, space.encode(found["choices"]), found)

    feasible = Feasible.filled(model, target, settings.fill, seed=seed)
    plan = Evolution(settings.population, settings.generations, settings.parents, settings.mutate_p)
    title = f"search {target.budget.device} {target.budget.name}"
    with show(title) as advance:
        method = METHODS[settings.method]
        score = feasible.objective(scorer.score)
        searched = method(feasible, score, plan, seed, lambda i, n, best: advance(i, 2 * n, f"best {best:.2%}"))
        n = len(searched.codes)
        drawn = random_search(feasible, score, n, seed, lambda i, n, best: advance(n + i, 2 * n, f"best at random {best:.2%}"))
    both = space.canonical(np.array([searched.best, drawn.best]))
    best = both[0 if searched.best_accuracy >= drawn.best_accuracy else 1]
    accuracy, penalty = scorer.score(np.array([best, *both])), feasible.penalty(np.array([best, *both]))
    result = {
        "stamp": mark,
        "choices": space.decode(best),
        "accuracy": float(accuracy[0]),
        "penalty": float(penalty[0]),
        "method": settings.method,
        "method_accuracy": float(accuracy[1]),
        "note": "; ".join(filter(None, [searched.note, _over(target, penalty)])),
        "random_accuracy": float(accuracy[2]),
        "evaluations": n,
        "history": [float(a) for a in np.maximum.accumulate(searched.accuracy)],
    }
    write_json(path, result)
    return to_winner(target, model, best, result)


def _over(target: Target, penalty: np.ndarray) -> str:
    """What soft limits cost the winner and the best at random; penalty: of the winner, the method's best, the best at random."""
    if target.hard.all():
        return ""
    return f"being over soft limits counts as {penalty[0]:.2%} of accuracy, for the best at random {penalty[2]:.2%}"


def to_winner(target: Target, model: CostModel, z: np.ndarray, found: dict[str, Any]) -> Winner:
    """With what the cost model says of z (genes,); found: accuracy, random_accuracy, evaluations."""
    fields = [m.field for m in METRICS.values() if m.field in model.metrics]
    predicted, upper = model.cost(z[None], fields)[0], model.upper(z[None], fields)[0]
    return Winner(
        target,
        z,
        found["accuracy"],
        found["random_accuracy"],
        found["evaluations"],
        dict(zip(fields, map(float, predicted))),
        dict(zip(fields, map(float, upper))),
        model.estimate,
        found.get("note", ""),
    )
