"""Step 4, if asked for: train winners alone."""

from __future__ import annotations

from torch import nn

from ..errors import HwnasError
from ..supernet import Supernet
from ..train import Progress, Recipe, retrain
from .progress import Show, silent
from .run_folder import RunFolder, stamp
from .search import Winner


def retrain_winner(run: RunFolder, net: Supernet, winner: Winner, show: Show = silent) -> nn.Module:
    """The winner as a plain module, trained as `run.retraining` says; resumed, or only loaded when done."""
    settings = run.retraining
    recipe = Recipe.parse({"seed": run.experiment.seed, **settings.recipe, "epochs": settings.epochs})
    if recipe.distill and run.experiment.search.score == "train":
        raise HwnasError("[retrain] recipe.distill: [search] score = 'train' has no supernet that could teach: leave it out")
    budget = winner.target.budget
    mark = stamp(run.supernet.name, winner.z.tolist(), settings.model_dump(), run.experiment.seed)
    with show(f"retrain for {budget.device} {budget.name}") as advance:

        def report(p: Progress) -> None:
            advance(p.step, p.steps, f"epoch {p.epoch}/{p.epochs} loss {p.metrics['loss']:.3f} {p.images_per_s:,.0f} images/s")

        out = run.of_budget(budget) / "retrain" / mark
        return retrain(net, winner.z, run.data, recipe, out, inherit=settings.inherit, resume=True, report=report)
