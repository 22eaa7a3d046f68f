"""Step 2: train the supernet; one for all devices, or one for each budget where the algorithm learns an architecture."""

from __future__ import annotations

import torch

from ..budget import Budget
from ..predict import device_model
from ..shipped import table_folder
from ..supernet import Supernet
from ..train import Constraint, Progress, Recipe, Result, load_weights, train
from .progress import Show, silent
from .run_folder import RunFolder


def train_supernet(run: RunFolder, show: Show = silent) -> list[Result]:
    """Trains, goes on training, or only loads what is trained already; one result for each supernet.

    An algorithm that learns an architecture learns it for one target, so N budgets mean N supernets; without a budget it
    learns one for accuracy alone. Every budget is checked before the first supernet starts.
    """
    if run.experiment.search.score == "train":
        return []  # candidates are trained alone
    settings = run.experiment.train
    recipe = Recipe.parse({"seed": run.experiment.seed, **settings.recipe})
    budgets: list[Budget | None] = [*run.experiment.parsed_budgets()] if run.traits.learns else []
    constraints = [constraint_of(run, b) if b else None for b in budgets or [None]]
    results = []
    for budget, constraint in zip(budgets or [None], constraints):
        own = run.for_budget(budget) if budget else run
        title = f"train {settings.algorithm}" + (f" for {budget.device} {budget.name}" if budget else "")
        with show(title) as advance:

            def report(p: Progress) -> None:
                figures = " ".join(f"{k} {v:.3f}" for k, v in list(p.metrics.items())[:3])
                advance(p.step, p.steps, f"epoch {p.epoch}/{p.epochs} {figures} {p.images_per_s:,.0f} images/s")

            net, options = _untrained(own), settings.options
            results.append(
                train(
                    own.algorithm,
                    net,
                    own.space,
                    own.data,
                    recipe,
                    own.supernet,
                    options=options,
                    constraint=constraint,
                    resume=True,
                    report=report,
                )
            )
    return results


def constraint_of(run: RunFolder, budget: Budget) -> Constraint:
    """A budget as the training feels it. Raises HwnasError when the device has no table, or no architecture keeps it."""
    model = device_model(run.space, table_folder(run.lut, budget.device), run.experiment.search.force)
    return Constraint.of(budget, model, run.experiment.seed)


def load_supernet(run: RunFolder) -> Supernet:
    """The trained supernet of a run, in evaluation mode; untrained where [search] score = "train" has no need of one.

    Raises HwnasError if there is none.
    """
    net = _untrained(run)
    if run.experiment.search.score == "train":
        return net.eval()
    load_weights(run.supernet, net, run.space)
    return net.eval()


def _untrained(run: RunFolder) -> Supernet:
    torch.manual_seed(run.experiment.seed)
    return Supernet(run.space, run.share)
