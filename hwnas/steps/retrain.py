"""Step 5, if asked for: train winners alone, and choose among several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from ..cost import CostModel
from ..errors import HwnasError
from ..predict import device_model
from ..score import RunScorer
from ..search import Feasible
from ..shipped import table_folder
from ..spaces.widened import widened
from ..supernet import Supernet
from ..train import Progress, Recipe, retrain, split_accuracy
from .progress import Show, silent
from .run_folder import RunFolder, stamp
from .search import Winner, to_winner


def retrain_winner(run: RunFolder, net: Supernet, winner: Winner, show: Show = silent) -> nn.Module:
    """The winner as a plain module, trained as `run.retraining` says; resumed, or only loaded when done, for this budget or another."""
    settings = run.retraining
    recipe = Recipe.parse({"seed": run.experiment.seed, **settings.recipe, "epochs": settings.epochs})
    if recipe.distill and run.experiment.search.score == "train":
        raise HwnasError("[retrain] recipe.distill: [search] score = 'train' has no supernet that could teach: leave it out")
    budget, out = winner.target.budget, retrain_folder(run, winner.z)
    with show(f"retrain for {budget.device} {budget.name}") as advance:

        def report(p: Progress) -> None:
            advance(p.step, p.steps, f"epoch {p.epoch}/{p.epochs} loss {p.metrics['loss']:.3f} {p.images_per_s:,.0f} images/s")

        return retrain(net, winner.z, run.data, recipe, out, inherit=settings.inherit, width=settings.width, resume=True, report=report)


def retrain_folder(run: RunFolder, z: np.ndarray) -> Path:
    """Where architecture z (genes,) is trained alone: budgets that settle on the same share it."""
    code, how = run.space.canonical(z[None])[0].tolist(), run.retraining.model_dump(exclude={"top"})
    return run.path / "retrain" / stamp(run.supernet.name, code, how, run.experiment.seed)


def finalist(run: RunFolder, net: Supernet, model: CostModel, winner: Winner, scorer: RunScorer, show: Show = silent) -> Winner:
    """The winner; of [retrain] top = k candidates the one that is best on the search-validation split after its training.

    With another width, what is predicted is the wide network: a plain sum over its blocks, without a bound.
    """
    settings, space = run.retraining, run.space
    found = candidates(run, model, winner, scorer, settings.top)
    if len(found) > 1:
        trained = [retrain_winner(run, net, c, show) for c in found]
        scores = [split_accuracy(module, run.data.valid, space.input_size(c.z)) for module, c in zip(trained, found)]
        winner = found[int(np.argmax(scores))]
        each = ", ".join(f"{score:.2%}" for score in scores)
        winner = replace(winner, note=f"the best of {len(found)} after training alone: {each}")
    if settings.width == 1:
        return winner
    said = (winner.note, f"{settings.width:g} times as wide as it was searched")
    wide = device_model(widened(space, settings.width), table_folder(run.lut, winner.target.budget.device), force=True)
    return replace(to_winner(winner.target, wide, winner.z, {**vars(winner)}), note="; ".join(filter(None, said)))


def candidates(run: RunFolder, model: CostModel, winner: Winner, scorer: RunScorer, k: int) -> list[Winner]:
    """The winner, and the k - 1 next best of all that were scored and keep its budget, each another architecture.

    Raises HwnasError where training itself learned the one architecture.
    """
    if k == 1:
        return [winner]
    if run.traits.learns:
        raise HwnasError(
            f"retrain.top = {k}: {run.experiment.train.algorithm} learned one architecture for each budget, there is no second"
        )
    space, scores = run.space, scorer.cache.scores
    Z, accuracy = np.array([*scores]).reshape(-1, len(space.genes)), np.array([*scores.values()])
    keeps = Feasible(model, winner.target, fill=0.0)(Z)
    Z, accuracy = Z[keeps], accuracy[keeps]
    found, seen = [winner], {space.keys(winner.z[None])[0]}
    for i in np.argsort(-accuracy, kind="stable"):
        key = space.keys(Z[i : i + 1])[0]
        if len(found) < k and key not in seen:
            seen.add(key)
            rest = {**vars(winner), "accuracy": float(accuracy[i])}
            found.append(to_winner(winner.target, model, Z[i], rest))
    return found
