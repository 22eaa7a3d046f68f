"""Step 2: train the one supernet."""

from __future__ import annotations

import torch

from ..plugins import ALGORITHMS, load
from ..supernet import Supernet
from ..train import Progress, Recipe, load_weights, train
from .progress import Show, silent
from .run_folder import RunFolder


def train_supernet(run: RunFolder, show: Show = silent) -> Supernet:
    """Trains, goes on training, or only loads what is trained already."""
    settings, net = run.experiment.train, _untrained(run)
    recipe = Recipe.parse({"seed": run.experiment.seed, **settings.recipe})
    with show(f"train {settings.algorithm}") as advance:

        def report(p: Progress) -> None:
            figures = " ".join(f"{k} {v:.3f}" for k, v in list(p.metrics.items())[:2])
            advance(p.step, p.steps, f"epoch {p.epoch}/{p.epochs} {figures} {p.images_per_s:,.0f} images/s")

        train(load(ALGORITHMS, settings.algorithm), net, run.space, run.data, recipe, run.supernet, resume=True, report=report)
    load_weights(run.supernet, net, run.space)
    return net.eval()


def load_supernet(run: RunFolder) -> Supernet:
    """The trained supernet of a run. Raises HwnasError if there is none."""
    net = _untrained(run)
    load_weights(run.supernet, net, run.space)
    return net.eval()


def _untrained(run: RunFolder) -> Supernet:
    torch.manual_seed(run.experiment.seed)
    return Supernet(run.space, run.experiment.train.share)
