"""Step 3 where training has learned the architecture itself: it is the winner, and nothing is searched."""

from __future__ import annotations

import json

import numpy as np

from ..cost import CostModel
from ..errors import HwnasError
from ..search import Feasible, Target
from ..tasks import Workers
from .run_folder import RunFolder
from .search import Winner, make_scorer, to_winner
from .train import load_supernet

RANDOM = 10  # architectures of the same budget, scored beside it


def derived_winner(run: RunFolder, model: CostModel, target: Target, workers: Workers | None = None) -> Winner:
    """The architecture in derived.json, checked again against the budget; run is that of the budget (`RunFolder.for_budget`).

    Its accuracy is that with the supernet's weights, and beside it stands the best of 10 random architectures of the same budget.
    Raises HwnasError if none was derived, or if it no longer keeps the budget, as after profiling again.
    """
    path = run.supernet / "derived.json"
    again = (
        f"hwnas train --algorithm {run.experiment.train.algorithm} --budget {target.budget.device}:{target.budget.name} --out {run.path}"
    )
    try:
        z = run.space.encode(json.loads(path.read_text())["choices"])
    except (OSError, ValueError, KeyError):
        raise HwnasError(f"{path}: no derived architecture for {target.budget.device}:{target.budget.name}: {again}") from None
    feasible = Feasible(model, target, fill=0.0)
    if not feasible(z[None])[0]:
        raise HwnasError(f"{path}: is over the budget under the present table of {target.budget.device}: {again}")
    scorer = make_scorer(run, load_supernet(run), workers)
    drawn = feasible.sample(RANDOM, np.random.default_rng(run.experiment.seed))
    found = {
        "accuracy": float(scorer.score(z[None])[0]),
        "random_accuracy": float(scorer.score(drawn).max()),
        "evaluations": 1 + len(drawn),
    }
    return to_winner(target, model, z, found)
