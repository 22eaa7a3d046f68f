"""Run: what a training algorithm is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..space import Codes, Space
from .recipe import Recipe

Step = Callable[[Tensor, Tensor, int], dict[str, Any]]  # x (n, c, h, w), y (n,), number of the step -> what to record, floats

_PATHS = 3  # stream of random numbers, beside those of hwnas.data.batches


class Stateful(Protocol):
    """An optimizer, a module: whatever a checkpoint can keep."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...


@dataclass(eq=False)
class Run:
    """One training run, seen from inside.

    An algorithm is a function from a Run to a Step. It may set `decay` and `sample`, `keep` what else it
    trains (architecture parameters and their optimizer), and asks `valid_batch` for held-out images where it learns from them.
    """

    net: nn.Module  # a Supernet, or one static network
    space: Space
    recipe: Recipe
    steps: int  # of the whole run
    steps_per_epoch: int
    optimizer: torch.optim.Optimizer  # of the weights
    valid_batch: Callable[[int], tuple[Tensor, Tensor]]  # number -> x, y of the search-validation split
    forward: Callable[..., Tensor]  # the network as it should be called: under autocast or compiled where the recipe says so
    decay: str = "cosine"  # of the learning rate, where the recipe leaves it to the algorithm
    kept: dict[str, Stateful] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sample: Callable[[int, np.random.Generator], Codes] = self.space.sample  # the prior: uniform over each gene
        self.visits = np.zeros((len(self.space.genes), max(self.space.sizes, default=0)), np.int64)  # by gene and value
        self._weights = [p for group in self.optimizer.param_groups for p in group["params"]]

    def draw(self, number: int, n: int = 1) -> Codes:
        """Z (n, genes): architectures of a step. A function of (seed, number), so that every process draws the same."""
        Z = self.sample(n, np.random.default_rng([self.recipe.seed, _PATHS, number]))
        self.visit(Z)
        return Z

    def visit(self, Z: Codes) -> None:
        """Counts the values that codes Z (n, genes) have, as trained once each."""
        np.add.at(self.visits, (np.arange(Z.shape[1]), Z), 1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross entropy with the recipe's label smoothing."""
        return F.cross_entropy(logits.float(), y, label_smoothing=self.recipe.label_smoothing)

    def update(self) -> None:
        """One step of the optimizer with the gradients that have gathered, clipped; then there are none."""
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self._weights, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def keep(self, **things: Stateful) -> None:
        """Adds to the checkpoint, by name, what the algorithm trains or updates beside the weights."""
        self.kept |= things

    def option_visits(self) -> dict[str, dict[str, int]]:
        """Gene -> option -> how often it was picked. A pick in a layer that the depth leaves out counts, too."""
        found = {}
        for gene, counts in zip(self.space.genes, self.visits):
            totals = dict.fromkeys(map(str, gene.options), 0)
            for picks, count in zip(gene.values, counts):
                for option in picks:
                    totals[str(gene.options[option])] += int(count)
            found[gene.name] = totals
        return found


def soft_cross_entropy(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student), mean over images; both are logits (n, classes). No gradient reaches the teacher."""
    target = teacher.detach().float().log_softmax(1)
    return F.kl_div(logits.float().log_softmax(1), target, reduction="batchmean", log_target=True)


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of a batch whose largest logit is its label's."""
    return (logits.detach().argmax(1) == y).float().mean().item()


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; weight decay falls on weights with two axes or more, so not on BatchNorm and biases."""
    weights = [p for p in net.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, foreach=True)
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, foreach=True)
