"""fit: train a model of one's own, with any algorithm, on any task. Called as `hwnas.train(model, ...)`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..cost import CostModel
from ..errors import HwnasError
from ..files import write_atomic
from ..plugins import ALGORITHMS, load
from ..space import Codes, Space
from ..supernet import Supernet, fix
from .constraint import Constraint
from .loop import Algorithm, train
from .options import traits_of
from .progress import Progress
from .recalibrate import recalibrate
from .recipe import Recipe
from .task import Compare, Source, Task, source

RECALIBRATION_BATCHES = 8


@dataclass(frozen=True, eq=False)
class Fitted:
    """What `hwnas.train` hands back."""

    architecture: dict[str, Any]  # key -> option or options: the best that was found
    reward: float  # of it, on the validation batches
    space: Space
    net: Supernet  # around the model that was given, which holds the trained weights
    history: list[dict[str, float]]  # a row for every log_every steps

    def export(self, path: str | Path) -> None:
        """Writes the architecture as JSON: `hwnas.fix(model, path)` reads it."""
        body = {
            "space": self.space.spec or self.space.name,
            "space_hash": self.space.hash,
            "choices": self.architecture,
            "reward": self.reward,
        }
        write_atomic(Path(path), json.dumps(body, indent=1) + "\n")

    def model(self) -> nn.Module:
        """The model with the architecture's choices made and the weights that it has now."""
        return fix(self.net, self.space.encode(self.architecture))


def fit(
    model: nn.Module,
    algorithm: str | Algorithm,
    *,
    train: Iterable[Any] | tuple[Tensor, Tensor],
    valid: Iterable[Any] | tuple[Tensor, Tensor],
    epochs: int,
    loss: Compare | None = None,
    metrics: Mapping[str, Compare] | Callable[[Any, Any], Mapping[str, float]] | None = None,
    reward: Compare | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    batch: int = 64,
    log_every: int = 0,
    options: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    constraint: Constraint | None = None,
    evaluations: int = 100,
    seed: int = 0,
    out: str | Path | None = None,
) -> Fitted:
    """Trains the choices of a model: its own forward, the user's batches, loss and reward.

    model: holds hwnas.nn choices; it is trained in place. algorithm: a name (`hwnas algorithms`) or a function. train, valid:
    a DataLoader or any other sized iterable of (x, y), or two tensors, which are shuffled into batches of `batch`. The
    architecture is learned on valid, weights on train alone.

    loss(outputs, y) is made small (None: cross entropy); reward(outputs, y) is made large (None: accuracy without a loss, else -loss).
    metrics: what to record, a function for each name, or one function that gives all of them. optimizer: of
    model.parameters(), used at its own learning rate, which no algorithm changes; pbt, which sets rates, refuses one (None: the
    recipe's, with its schedule). options, recipe: fields of the
    algorithm and of hwnas.train.Recipe. constraint: a device's budget. evaluations: how many architectures are compared
    at the end, with weights as trained, where the algorithm itself derives none. out: keeps checkpoints and curves.

    Raises HwnasError for data, metrics or choices that do not fit, and when the loss is no longer finite.
    """
    function: Algorithm = load(ALGORITHMS, algorithm) if isinstance(algorithm, str) else algorithm
    chosen = Recipe.parse({"seed": seed, "batch": batch, **(recipe or {}), "epochs": epochs})
    traits = traits_of(function)
    training, judging = source(train, "train", batch, seed, model), source(valid, "valid", batch, seed + 1, model)
    space = Space.from_model(model, _example(training, model))
    net = Supernet(space, bool(traits.share), body=model)
    quality = reward if reward is not None else (None if loss is None else _negative(loss))
    task = Task(training, judging, judging, loss, quality, _by_name(metrics, loss), optimizer, "the caller's own batches")
    with ExitStack() as stack:
        folder = Path(out) if out is not None else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hwnas-")))
        result = _run(function, net, space, task, chosen, folder, options, constraint, log_every)
        history = result.history
        z = space.encode(result.derived.choices) if result.derived is not None else None
    score = _Score(net, task)
    if z is None:
        z = _best(space, score, evaluations, seed, constraint)
    net.eval()
    return Fitted(space.decode(z), float(score(z[None])[0]), space, net, history)


def _run(
    function: Algorithm,
    net: Supernet,
    space: Space,
    task: Task,
    recipe: Recipe,
    folder: Path,
    options: Mapping[str, Any] | None,
    constraint: Constraint | None,
    log_every: int,
) -> Any:
    def report(p: Progress) -> None:
        if log_every and (p.step % log_every == 0 or p.step == p.steps):
            figures = " ".join(f"{k} {v:.4g}" for k, v in p.metrics.items())
            print(f"epoch {p.epoch}/{p.epochs} step {p.step}/{p.steps} {figures} left {p.eta_s:.0f} s", flush=True)

    return train(
        function, net, space, task, recipe, folder, options=options, constraint=constraint, report=report, journal_steps=max(1, log_every)
    )


class _Score:
    """Reward of architectures with the weights as trained, BatchNorm recalibrated, over all validation batches."""

    def __init__(self, net: Supernet, task: Task):
        self.net, self.task, self.known = net, task, dict[bytes, float]()
        self.reward: Compare = task.reward or _accuracy

    @torch.no_grad()
    def __call__(self, Z: Codes) -> np.ndarray:
        """Z (n, genes) -> (n,)."""
        for key, z in zip(keys := self.net.space.keys(Z), Z):
            if key not in self.known:
                alone = fix(self.net, z)
                train, valid = self.task.train, self.task.valid
                recalibrate(alone, (train.at(k)[0] for k in range(min(RECALIBRATION_BATCHES, train.per_epoch))))
                self.known[key] = float(np.mean([float(self.reward(alone(x), y)) for x, y in map(valid.at, range(valid.per_epoch))]))
        return np.array([self.known[key] for key in keys])


def _best(space: Space, score: _Score, evaluations: int, seed: int, constraint: Constraint | None) -> np.ndarray:
    """The best of so many, by evolution, within the budget if there is one."""
    from ..search.evolution import Evolution, evolve  # search knows of training, too
    from ..search.feasible import Feasible

    class Unlimited(Feasible):
        """Every code: no budget was given."""

        def __init__(self) -> None:
            self.model = CostModel(space)

        def __call__(self, Z: Codes, rows: np.ndarray | None = None) -> np.ndarray:
            return np.ones(len(Z), bool)

        def violation(self, Z: Codes) -> np.ndarray:
            return np.zeros(len(Z))

        def sample(self, n: int, rng: np.random.Generator, tries: int = 30) -> Codes:
            return space.sample(n, rng)

    population = max(4, evaluations // 5)
    plan = Evolution(population, max(1, evaluations // population), max(2, population // 4))
    found = evolve(constraint.feasible if constraint else Unlimited(), score, plan, seed)
    return np.asarray(found.codes[found.accuracy.argmax()])


def _example(training: Source, model: nn.Module) -> Tensor:
    x = training.at(0)[0]
    if not isinstance(x, Tensor):
        raise HwnasError(f"train: x of a batch is a {type(x).__name__}, expected one tensor, as {type(model).__name__} takes it")
    return x[:1]


def _by_name(
    metrics: Mapping[str, Compare] | Callable[[Any, Any], Mapping[str, float]] | None, loss: Compare | None
) -> Mapping[str, Compare]:
    """Each metric as a function; one function that gives several is called "" and its own names are used."""
    if metrics is None:
        return {"accuracy": _accuracy} if loss is None else {}
    return metrics if isinstance(metrics, Mapping) else {"": metrics}


def _negative(loss: Compare) -> Compare:
    return lambda outputs, y: -float(loss(outputs, y))


def _accuracy(outputs: Tensor, y: Tensor) -> float:
    return (outputs.detach().argmax(1) == y).float().mean().item()
