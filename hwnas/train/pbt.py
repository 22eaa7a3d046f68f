"""PBT: population based training around another algorithm (Jaderberg et al. 2017, arXiv 1711.09846)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import HwnasError
from ..gates import path
from ..plugins import ALGORITHMS, load
from ..space import Codes
from . import checkpoint
from .forward import make_forward
from .judge import judge
from .memory import Memory
from .options import Traits, at_least, parse_options, traits, traits_of
from .recipe import Recipe
from .run import Run, Step, make_optimizer

HYPERPARAMETERS = ("lr", "weight_decay")
FACTORS = (0.8, 1.2)  # explore: each hyperparameter is multiplied by one of them
JUDGED = 4  # random architectures, on VALID_BATCHES minibatches each, that a member's score is the mean of
VALID_BATCHES = 2

_PBT = 8  # stream of random numbers, beside those of hwnas.data.batches and hwnas.train.run

Schedule = list[tuple[int, dict[str, float]]]  # (from this step on, hyperparameter -> factor on the recipe's), oldest first


@dataclass(frozen=True)
class PBT:
    algorithm: str = "spos"  # what each member is trained with: a name, or file.py:function; it has its default options
    members: int = 4
    every: int = 0  # steps between two rounds of exploit and explore; 0 = an epoch
    quantile: float = 0.25  # share of the population that is replaced, and that replaces
    replay: str = ""  # a training folder of an earlier pbt run: one member is trained by the schedule that its winner had

    def __post_init__(self) -> None:
        at_least("pbt", self, members=1, every=0, quantile=0)
        if self.quantile > 0.5:
            raise HwnasError(f"pbt.quantile: {self.quantile} is above 0.5: a member cannot be both among the best and the worst")


@traits(Traits(epoch="one pass over the training images for each member"))
def pbt(run: Run, options: PBT) -> Step:
    """A population trains side by side; the worst members take over the best ones' state and go on with other hyperparameters.

    Every so many steps (an epoch) members are scored on search-validation images: mean accuracy of a few random
    architectures with inherited weights. Exploit: each of the bottom quantile copies the weights, the optimizer's state and
    all else that its algorithm keeps from a random member of the top quantile (truncation selection, sec. 4.1.1). Explore:
    its learning rate and weight decay are then multiplied by 0.8 or 1.2 each. Members start with factors drawn log-uniformly
    from 1/2 to 2 on the recipe's. The run ends with the best member's weights; a step costs `members` steps.

    All rounds are kept (`lineage`): `schedule` follows the winner back to the start, and `--option replay=FOLDER` trains one
    network by that schedule of hyperparameters, which is what the paper says its gain comes from (sec. 4.4).
    Raises HwnasError for a caller's own optimizer.
    """
    if run.own_optimizer:
        raise HwnasError(
            "pbt: optimizer: each member has one of its own, whose rate pbt sets: leave it out, set recipe.optimizer and recipe.lr"
        )
    torch.manual_seed(run.recipe.seed)
    winner = schedule(read_lineage(Path(options.replay))) if options.replay else []
    members = [member(run, options.algorithm, i) for i in range(1 if winner else options.members)]
    rng = np.random.default_rng([run.recipe.seed, _PBT])
    start = [{h: float(2.0 ** rng.uniform(-1, 1)) for h in HYPERPARAMETERS} for _ in members]
    lineage = Memory(start=start, factors=start, rounds=[], best=0)
    run.keep(lineage=lineage, **{f"member{i}": m for i, m in enumerate(members)})
    run.visits = members[0].run.visits  # a checkpoint has room for those of one member
    every, judged = options.every or run.steps_per_epoch, run.space.sample(JUDGED, rng)

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        records = []
        for i, m in enumerate(members):
            factors = next(f for at, f in reversed(winner) if at <= number) if winner else lineage["factors"][i]
            m.set(run, factors)
            records.append(m.step(x, y, number))
        end = number + 1 == run.steps
        if end or (number + 1) % every == 0:
            scores = [m.score(judged) for m in members]
            lineage["best"] = int(np.argmax(scores))
            if end:
                weights = members[lineage["best"]].run.net.state_dict()
                checkpoint.make_kernel_transforms(run.net, weights)
                run.net.load_state_dict(weights)
            else:
                exploit(members, lineage, scores, options.quantile, number + 1, np.random.default_rng([run.recipe.seed, _PBT, number]))
        return {k: float(np.mean([r[k] for r in records])) for k in records[0]} | {"best_member": lineage["best"]}

    return step


class Member:
    """One of the population: a run of its own, with the network of its own."""

    def __init__(self, run: Run, step: Step):
        self.run, self.step = run, step

    def set(self, parent: Run, factors: dict[str, float]) -> None:
        """Puts factors on the recipe's hyperparameters; the learning rate follows the loop's schedule."""
        recipe = parent.recipe
        self.run.recipe = replace(self.run.recipe, lr=recipe.lr * factors["lr"], weight_decay=recipe.weight_decay * factors["weight_decay"])
        for group in self.run.optimizer.param_groups:
            group["lr"] = parent.optimizer.param_groups[0]["lr"] * factors["lr"]
            group["weight_decay"] = self.run.recipe.weight_decay if group["weight_decay"] else 0.0

    def score(self, Z: Codes) -> float:
        """Mean accuracy of architectures Z (n, genes) on search-validation images."""
        run = self.run
        return float(np.mean([judge(run, path(run.space, z), run.valid_batch, 0, VALID_BATCHES) for z in Z]))

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer, and what the algorithm keeps."""
        kept = {k: v.state_dict() for k, v in self.run.kept.items()}
        return {"weights": dict(self.run.net.state_dict()), "optimizer": self.run.optimizer.state_dict(), "kept": kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.run.net.load_state_dict(state["weights"])
        self.run.optimizer.load_state_dict(state["optimizer"])
        for name, thing in self.run.kept.items():
            thing.load_state_dict(state["kept"][name])


def member(run: Run, algorithm: str, i: int) -> Member:
    """Member i: a copy of the run's network, and the algorithm on it; the seed, and so the paths, are its own."""
    recipe: Recipe = replace(run.recipe, seed=run.recipe.seed + i)
    net: nn.Module = deepcopy(run.net)
    things: dict[str, Any] = {"optimizer": make_optimizer(net, recipe), "forward": make_forward(net, recipe), "kept": {}}
    own = replace(run, net=net, recipe=recipe, constraint=deepcopy(run.constraint), **things)
    function = load(ALGORITHMS, algorithm)
    if function is pbt or traits_of(function).learns:
        raise HwnasError(f"pbt.algorithm: {algorithm} learns an architecture of its own for each member: name one that serves all devices")
    chosen = parse_options(function, {})
    step = function(own) if chosen is None else function(own, chosen)
    if i == 0:
        run.decay = own.decay
    return Member(own, step)


def exploit(members: list[Member], lineage: Memory, scores: list[float], quantile: float, done: int, rng: np.random.Generator) -> None:
    """The bottom quantile copies the top one and explores; the round goes into the lineage. scores (members,)."""
    order, n = np.argsort(scores, kind="stable"), ceil(quantile * len(members)) if len(members) > 1 else 0
    factors, copies = [dict(f) for f in lineage["factors"]], []
    for worst in map(int, order[:n]):
        best = int(rng.choice(order[len(order) - n :]))
        members[worst].load_state_dict(deepcopy(members[best].state_dict()))
        factors[worst] = {h: f * float(rng.choice(FACTORS)) for h, f in lineage["factors"][best].items()}
        copies.append([worst, best, factors[worst]])
    lineage["factors"] = factors
    lineage["rounds"] = [*lineage["rounds"], {"step": done, "scores": list(map(float, scores)), "copies": copies}]


def schedule(lineage: dict[str, Any], winner: int | None = None) -> Schedule:
    """The hyperparameters behind a member's final weights (None: the best's), followed back through its ancestors."""
    member, found = lineage["best"] if winner is None else winner, []
    for round in reversed(lineage["rounds"]):
        for copier, source, factors in round["copies"]:
            if copier == member:
                found.append((int(round["step"]), dict(factors)))
                member = source
                break
    return [(0, dict(lineage["start"][member])), *reversed(found)]


def read_lineage(folder: Path) -> dict[str, Any]:
    """The lineage in a training folder. Raises HwnasError if there is none."""
    last = checkpoint.newest(folder)
    if last is None:
        raise HwnasError(f"{folder}: no checkpoint in there: pbt.replay wants the folder of an earlier training run")
    found = torch.load(last / "state.pt", weights_only=True).get("lineage")
    if found is None:
        raise HwnasError(f"{last}: has no lineage: it was not trained with pbt")
    return dict(found)
