"""The sandwich rule with in-place distillation (BigNAS: Yu et al. 2020, arXiv 2003.11142, sec. 3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from ..gates import path
from .run import Run, Step, accuracy, soft_cross_entropy
from .zero_init import zero_init

RANDOM_NETS = 2  # beside the largest and the smallest

Learned = Callable[[np.ndarray, list[float]], None]  # Z (n, genes) of a step without the largest, their distances to it


def sandwich(run: Run) -> Step:
    """Each step: the largest network learns from the labels, the smallest and two random ones from its soft targets.

    Gradients of the four gather into one update. Only the largest is regularised (label smoothing, dropout): the others
    underfit. One-stage: winners keep their inherited weights. Made for a supernet that shares; `recipe.zero_init` helps.
    """
    return sandwich_step(run, lambda Z, distances: None)


def sandwich_step(run: Run, learned: Learned) -> Step:
    """The step of the sandwich rule; `learned` is told after each how far its smaller networks were from the largest."""
    space, largest, smallest = run.space, run.space.largest(), run.space.smallest()
    if run.recipe.zero_init:
        zero_init(run.net)
    dropouts = [m for m in run.net.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        run.visit(np.stack([largest, smallest]))
        teacher = run.forward(x, path(space, largest))
        loss = run.loss(teacher, y)
        loss.backward()
        record = {"loss": loss.item(), "accuracy": accuracy(teacher, y)}
        for module in dropouts:
            module.eval()
        Z, distances = np.stack([smallest, *run.draw(number, RANDOM_NETS)]), []
        for i, z in enumerate(Z):
            logits = run.forward(x, path(space, z))
            distance = soft_cross_entropy(logits, teacher)
            distance.backward()
            distances.append(distance.item())
            if i == 0:
                record |= {"distance_smallest": distance.item(), "accuracy_smallest": accuracy(logits, y)}
        for module in dropouts:
            module.train()
        run.update()
        learned(Z, distances)
        return record

    return step
