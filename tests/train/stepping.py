"""A Run outside the loop, and algorithms with their options bound, for the tests of single algorithms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hwnas.data import Batches, Dataset, to_float
from hwnas.supernet import Supernet
from hwnas.train import Recipe, Run, Step
from hwnas.train.run import make_optimizer


def make_run(net: Supernet, recipe: Recipe, data: Dataset, steps: int = 10, steps_per_epoch: int = 5) -> Run:
    optimizer = make_optimizer(net, recipe)
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr
    valid = Batches(data.valid, recipe.batch, recipe.seed)
    return Run(net.train(), net.space, recipe, steps, steps_per_epoch, optimizer, valid.at, net)


def bound(algorithm: Callable[[Run, Any], Step], options: Any) -> Callable[[Run], Step]:
    def run(run: Run) -> Step:
        return algorithm(run, options)

    run.__name__ = algorithm.__name__
    return run


def drive(run: Run, step: Step, data: Dataset, steps: int, start: int = 0) -> list[dict[str, Any]]:
    """Steps as the loop takes them: seeded, on batches of the training split."""
    batches, records = Batches(data.train, run.recipe.batch, run.recipe.seed), []
    for number in range(start, start + steps):
        torch.manual_seed(1000 * run.recipe.seed + number)
        records.append(step(*batches.at(number), number))
    return records


def a_batch(data: Dataset, n: int = 32) -> tuple[Tensor, Tensor]:
    return to_float(data.train.images[:n]), data.train.labels[:n]
