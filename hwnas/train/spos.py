"""SPOS: single path one-shot (Guo et al. 2020, arXiv 1904.00420)."""

from __future__ import annotations

from torch import Tensor

from ..gates import path
from .run import Run, Step, accuracy


def spos(run: Run) -> Step:
    """Each step trains one architecture, drawn uniformly (eq. 7 of the paper), and only its weights.

    One-stage: winners may keep their inherited weights, after BatchNorm recalibration. Linear decay as in sec. 4.
    """
    run.decay = "linear"

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        logits = run.forward(x, path(run.space, run.draw(number)[0]))
        loss = run.loss(logits, y)
        loss.backward()
        run.update()
        return {"loss": loss.item(), "accuracy": accuracy(logits, y)}

    return step
