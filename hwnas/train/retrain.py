"""retrain: a winner alone, at its own resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data import Batches, Dataset, Split, to_float
from ..spaces.widened import widened
from ..supernet import Supernet, fix, resize
from ..supernet.network import network
from .afresh import reset_parameters
from .loop import Algorithm, train
from .progress import Report
from .recalibrate import recalibrate
from .recipe import Recipe
from .run import Run, Step, accuracy, soft_cross_entropy
from .zero_init import zero_init

TEACHER_BATCHES = 8


def retrain(
    net: Supernet,
    z: np.ndarray,
    data: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    inherit: bool = True,
    width: float = 1.0,
    resume: bool = False,
    report: Report | None = None,
) -> nn.Module:
    """Architecture z (genes,) trained further from the supernet's weights, or from scratch (inherit off), as a plain module.

    width: times as many channels in every block, with fresh weights (see `hwnas.spaces.widened`).
    With recipe.distill > 0 the supernet's largest network teaches it, too (Hinton et al. 2015, temperature 1). Its input
    has `space.input_size(z)`; it comes back in evaluation mode, with the BatchNorm statistics of its own training.
    """
    space = net.space
    if width != 1:
        inherit = False
        student: nn.Module = network(widened(space, width), z)
    else:
        student = fix(net, z)
    if not inherit:
        torch.manual_seed(recipe.seed)
        reset_parameters(student)
        if recipe.zero_init:
            zero_init(student)
    teacher = _largest(net, data, recipe) if recipe.distill else None
    size = space.input_size(z)
    train(
        _alone(size, teacher, space.input_size(space.largest())),
        student,
        space,
        data,
        recipe,
        out,
        resume=resume,
        report=report,
        about={"architecture": space.decode(z), "inherit": inherit} | ({"width": width} if width != 1 else {}),
        each_epoch=lambda: {"valid_accuracy": split_accuracy(student, data.valid, size)},
    )
    return student.eval()


def split_accuracy(net: nn.Module, split: Split, size: tuple[int, int], batch: int = 500) -> float:
    """Share of a split that a static network with inputs of `size` gets right, in evaluation mode."""
    net.eval()
    right = 0
    with torch.inference_mode():
        for at in range(0, len(split), batch):
            x = resize(to_float(split.images[at : at + batch]), size)
            right += int((net(x).argmax(1) == split.labels[at : at + batch]).sum())
    return right / len(split)


def _alone(size: tuple[int, int], teacher: nn.Module | None, teacher_size: tuple[int, int]) -> Algorithm:
    def retrain(run: Run) -> Step:
        share = run.recipe.distill

        def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
            logits = run.forward(resize(x, size))
            loss = run.loss(logits, y)
            if teacher is not None:
                with torch.inference_mode():
                    target = teacher(resize(x, teacher_size))
                loss = (1 - share) * loss + share * soft_cross_entropy(logits, target)
            loss.backward()
            run.update()
            return {"loss": loss.item(), "accuracy": accuracy(logits, y)}

        return step

    return retrain


def _largest(net: Supernet, data: Dataset, recipe: Recipe) -> nn.Module:
    """The supernet's largest network, ready to teach."""
    z = net.space.largest()
    teacher, size = fix(net, z), net.space.input_size(z)
    batches = Batches(data.train, recipe.batch, recipe.seed)
    recalibrate(teacher, (resize(batches.at(k)[0], size) for k in range(min(TEACHER_BATCHES, batches.per_epoch))))
    return teacher.requires_grad_(False)
