"""afresh: weights as they were before any training, drawn anew."""

from __future__ import annotations

from torch import nn

from .run import Run
from .zero_init import zero_init


def afresh(run: Run) -> None:
    """New random weights (torch's seed decides which), zero-initialised residuals if the recipe says so, an optimizer without memory."""
    reset_parameters(run.net)
    if run.recipe.zero_init:
        zero_init(run.net)
    run.optimizer.state.clear()


def reset_parameters(net: nn.Module) -> None:
    for module in net.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
