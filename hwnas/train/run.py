"""Run: what a training algorithm is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import HwnasError
from ..space import Codes, Space
from .alpha import Alpha
from .constraint import TRAVEL, Constraint
from .recipe import Recipe
from .world import World

Step = Callable[[Tensor, Tensor, int], dict[str, Any]]  # x (n, c, h, w), y (n,), number of the step -> what to record, floats

_PATHS = 3  # stream of random numbers, beside those of hwnas.data.batches


class Stateful(Protocol):
    """An optimizer, a module: whatever a checkpoint can keep."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...


def _none_held_out(number: int) -> tuple[Tensor, Tensor]:
    raise HwnasError("this algorithm learns an architecture, but declares no Traits.held_out: no training images are left to learn it on")


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of a batch whose largest logit is its label's; 0 where the targets are no labels, see `Run.figures`."""
    if not isinstance(y, Tensor) or y.is_floating_point() or y.ndim != 1:
        return 0.0
    return (logits.detach().argmax(1) == y).float().mean().item()


@dataclass(eq=False)
class Run:
    """One training run, seen from inside.

    An algorithm is a function from a Run (and its options) to a Step. It may set `decay` and `sample`, `keep` what else it
    trains, `learn` an architecture, set `derive` to say which one it found, and set `stop` to end early.
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
    arch_batch: Callable[[int], tuple[Tensor, Tensor]] = _none_held_out  # number -> x, y of the training images of Traits.held_out
    constraint: Constraint | None = None  # the budget of the one device that an architecture is learned for
    alpha: Alpha | None = None  # see `learn`
    derive: Callable[[], Codes] | None = None  # Z (k, genes): the architectures learned so far, the preferred one first
    reward: Callable[[Any, Any], float] = accuracy  # outputs, targets of a batch -> how good; whatever learns from rewards asks it
    stop: str = ""  # why the run should end after this step
    task_loss: Callable[[Any, Any], Any] | None = None  # outputs, targets -> what is made small, where it is not cross entropy
    world: World = field(default_factory=World)  # the processes that train together
    metrics: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)  # of the task, recorded instead of accuracy
    own_optimizer: bool = False  # the caller made the optimizer: its learning rates stay as they are

    def __post_init__(self) -> None:
        self.sample: Callable[[int, np.random.Generator], Codes] = self.space.sample  # the prior: uniform over each gene
        self._seen: tuple[Any, Any] | None = None
        self.visits = np.zeros((len(self.space.genes), max(self.space.sizes, default=0)), np.int64)  # by gene and value

    def draw(self, number: int, n: int = 1) -> Codes:
        """Z (n, genes): architectures of a step. A function of (seed, number), so that every process draws the same."""
        Z = self.sample(n, np.random.default_rng([self.recipe.seed, _PATHS, number]))
        self.visit(Z)
        return Z

    def visit(self, Z: Codes) -> None:
        """Counts the values that codes Z (n, genes) have, as trained once each."""
        np.add.at(self.visits, (np.arange(Z.shape[1]), Z), 1)

    def visit_every(self, alpha: Alpha) -> None:
        """Counts a step in which every value of the learned genes ran."""
        for gene in alpha.genes:
            self.visits[self.space.index[gene.name], : len(gene.values)] += 1

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Cross entropy with the recipe's label smoothing, or the task's own loss."""
        if self.task_loss is not None:
            self._seen = (logits.detach() if isinstance(logits, Tensor) else logits, y)
            found = self.task_loss(logits, y)
            if not isinstance(found, Tensor) or found.numel() != 1:
                raise HwnasError(f"loss: gives a {type(found).__name__}, expected a tensor of one number")
            return found
        return F.cross_entropy(logits.float(), y, label_smoothing=self.recipe.label_smoothing)

    def figures(self, recorded: Mapping[str, Any]) -> dict[str, Any]:
        """What a step recorded, with the task's own metrics of the last batch in place of accuracies that it does not have."""
        if self.task_loss is None or self._seen is None:
            return dict(recorded)
        found = {k: v for k, v in recorded.items() if not k.startswith("accuracy")}
        with torch.no_grad():
            for name, metric in self.metrics.items():
                value = metric(*self._seen)
                found |= {k: float(v) for k, v in value.items()} if isinstance(value, Mapping) else {name: float(value)}
        return found

    def update(self) -> None:
        """One step of the optimizer with the gradients that have gathered, clipped; then there are none."""
        weights = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.world.average_gradients(weights)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(weights, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def set_rate(self, rate: float) -> None:
        """The learning rate of all weights from now on; a caller's own optimizer keeps its own."""
        for group in () if self.own_optimizer else self.optimizer.param_groups:
            group["lr"] = rate

    def keep(self, **things: Stateful) -> None:
        """Adds to the checkpoint, by name, what the algorithm trains or updates beside the weights."""
        self.kept |= things

    def alpha_rate(self, lr: float, paper: float, every: int = 1) -> float:
        """lr, or if it is 0 the paper's, raised in runs shorter than the paper's so that alpha can move as far: 6 logits in all.

        Adam moves a logit by about lr a step: DARTS takes 20,000 steps of 3e-4. In a hundred such steps alpha would stay noise.
        """
        return lr or min(max(paper, TRAVEL * every / self.steps), 0.1)

    def learn(
        self,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        init: float = 1e-3,
        all_genes: bool = False,
        every: int = 1,
    ) -> Alpha:
        """Architecture parameters with an Adam of their own, both in the checkpoint; `derive` becomes the most likely architecture.

        all_genes: also those that cannot be mixed, for algorithms that sample. every: steps of the weights for each of alpha's.
        Raises HwnasError where nothing can be learned.
        """
        held = self.constraint.around() if self.constraint else self.space.largest()
        genes = [g for g in self.space.genes if len(g.values) > 1] if all_genes else None
        alpha = Alpha(self.space, held, init=init, seed=self.recipe.seed, learn=genes)
        if not alpha.genes:
            raise HwnasError(
                f"space {self.space.name!r}: no gene of it can be learned by gradient: train with spos or sandwich, then search"
            )
        self.alpha_optimizer = torch.optim.Adam(alpha.parameters(), lr=lr, betas=betas, weight_decay=weight_decay)
        self.keep(alpha=alpha, alpha_optimizer=self.alpha_optimizer)
        if self.constraint is not None:
            self.constraint.hurry(self.steps / every)
            self.keep(constraint=self.constraint)
        self.alpha = alpha
        self.derive = lambda: alpha.code()[None]
        return alpha

    def update_alpha(self, loss: Tensor, grads: Sequence[Tensor | None] | None = None) -> dict[str, float]:
        """One step of alpha's optimizer and of the dual ascent; what to record of them. Weights get no gradient from it.

        grads: for each parameter of alpha, where the algorithm has worked them out itself.
        """
        assert self.alpha is not None
        parameters = list(self.alpha.parameters())
        grads = torch.autograd.grad(loss, parameters, allow_unused=True) if grads is None else grads
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad
        self.world.average_gradients(self.alpha.parameters())
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad(set_to_none=True)
        found = {"arch_loss": loss.item(), "entropy": self.alpha.entropy()}
        if self.constraint is not None:
            weights = self.alpha.weights()
            self.constraint.ascend(weights)
            found |= self.constraint.figures(weights)
        return found

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
