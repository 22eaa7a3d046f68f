"""The sandwich rule with in-place distillation (BigNAS: Yu et al. 2020, arXiv 2003.11142, sec. 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from ..gates import path
from .options import at_least
from .run import Run, Step, accuracy, soft_cross_entropy
from .zero_init import zero_init

Learned = Callable[[np.ndarray, list[float]], None]  # Z (n, genes) of a step without the largest, their distances to it


@dataclass(frozen=True)
class Sandwich:
    random_nets: int = 2  # a step, beside the largest and the smallest
    smallest_every: int = 1  # steps; in a short run 2 or 3 leave more of the time to random networks

    def __post_init__(self) -> None:
        at_least("sandwich", self, random_nets=1, smallest_every=1)


def sandwich(run: Run, options: Sandwich) -> Step:
    """Each step: the largest network learns from the labels, the smallest and two random ones from its soft targets.

    Gradients of the four gather into one update. Only the largest is regularised (label smoothing, dropout): the others
    underfit. One-stage: winners keep their inherited weights. Made for a supernet that shares.

    The paper clips gradients and begins with zero-initialised residual blocks; here both are off by default: `recipe.clip`
    is the largest norm, `recipe.zero_init` the start, which helps deep networks.
    """
    return sandwich_step(run, options, lambda Z, distances: None)


def sandwich_step(run: Run, options: Sandwich, learned: Learned) -> Step:
    """The step of the sandwich rule; `learned` is told after each how far its smaller networks were from the largest."""
    space, largest, smallest = run.space, run.space.largest(), run.space.smallest()
    if run.recipe.zero_init:
        zero_init(run.net)
    dropouts = [m for m in run.net.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        with_smallest = number % options.smallest_every == 0
        run.visit(np.stack([largest, smallest] if with_smallest else [largest]))
        teacher = run.forward(x, path(space, largest))
        loss = run.loss(teacher, y)
        loss.backward()
        record = {"loss": loss.item(), "accuracy": accuracy(teacher, y)}
        for module in dropouts:
            module.eval()
        random_nets = run.draw(number, options.random_nets)
        Z, distances = np.stack([smallest, *random_nets]) if with_smallest else random_nets, []
        for i, z in enumerate(Z):
            logits = run.forward(x, path(space, z))
            distance = soft_cross_entropy(logits, teacher)
            distance.backward()
            distances.append(distance.item())
            if with_smallest and i == 0:
                record |= {"distance_smallest": distance.item(), "accuracy_smallest": accuracy(logits, y)}
        for module in dropouts:
            module.train()
        run.update()
        learned(Z, [*run.world.mean({str(i): d for i, d in enumerate(distances)}).values()])  # the same in all processes, as what it draws
        return record

    return step
