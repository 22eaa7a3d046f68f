"""A later round of a search, after a certificate has moved its limits."""

from __future__ import annotations

import numpy as np

from ..cost import CostModel
from ..score import RunScorer
from ..search import Evolution, Feasible, evolve
from .progress import Show, silent
from .run_folder import RunFolder, read_stamped, stamp, write_json
from .search import Winner, to_winner

GENERATIONS = 3  # the first of them is known already


def refine(run: RunFolder, model: CostModel, before: Winner, scorer: RunScorer, factor: float, attempt: int, show: Show = silent) -> Winner:
    """The best architecture under measured limits times `factor`; done already, it is read from search<attempt>.json.

    Limits have moved by some percent, so most of what was scored before still counts: the first generation are the best
    known architectures that keep the new limits, at no cost, and a short evolution goes on from there. Random search is
    not repeated: its figure stays that of the first round. Raises HwnasError when nothing keeps the limits.
    """
    settings, seed, space, target = run.experiment.search, run.experiment.seed, run.space, before.target
    path = run.of_budget(target.budget) / f"search{attempt}.json"
    costs = model.upper(space.sample(64, np.random.default_rng(0)), target.fields)  # stands for the whole table
    mark = stamp(
        space.hash, run.supernet.name, target.limits.tolist(), factor, seed, before.z.tolist(), costs.round(9).tolist(), *target.terms
    )
    if found := read_stamped(path, mark):
        return to_winner(target, model, space.encode(found["choices"]), found)

    feasible = Feasible.filled(model, target, settings.fill, factor, seed)
    known = np.array([*scorer.cache.scores]).reshape(-1, len(space.genes))
    worth = np.array([*scorer.cache.scores.values()]) - feasible.penalty(known)
    best_first = known[np.argsort(-worth, kind="stable")]
    score = feasible.objective(scorer.score)
    plan = Evolution(settings.population, GENERATIONS, settings.parents, settings.mutate_p)
    with show(f"search {target.budget.device} {target.budget.name}, round {attempt + 1}") as advance:
        searched = evolve(feasible, score, plan, seed + attempt, lambda i, n, best: advance(i, n, f"best {best:.2%}"), best_first)
    best = space.canonical(searched.best[None])
    result = {
        "stamp": mark,
        "choices": space.decode(best[0]),
        "accuracy": float(scorer.score(best)[0]),
        "random_accuracy": before.random_accuracy,
        "evaluations": len(searched.codes),
    }
    write_json(path, result)
    return to_winner(target, model, best[0], result)
