"""PNAS: progressive search while the supernet trains (Liu et al. 2018, arXiv 1712.00559, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import HwnasError
from ..gates import path
from ..search.progressive import Beam, Progressive, children
from ..space import Codes
from .judge import judge
from .options import Traits, at_least, traits
from .run import Run, Step


@dataclass(frozen=True)
class PNAS:
    beam: int = 16  # K: architectures evaluated at each level
    first: int = 64  # of the first level, at most
    expansions: int = 1024  # children ranked by the surrogate at each level, at most
    valid_batches: int = 2  # held-out minibatches for each evaluation

    def __post_init__(self) -> None:
        at_least("pnas", self, beam=1, first=1, expansions=1, valid_batches=1)


@traits(Traits(learns=True, coupled=True, one_stage=False, held_out=0.2))
def pnas(run: Run, options: PNAS) -> Step:
    """Architectures grow by a block at each level, and the supernet's training follows the beam.

    The run's steps are shared out among the levels. A level's steps each train one child, by one block, of a random
    architecture of the beam; at its end the K children that a surrogate, fitted on everything evaluated so far, ranks
    highest (at the first level: all, up to `first`) are evaluated on held-out images and become the beam. Isomorphic ones
    count once. The derived architecture is the best of all that were evaluated: to be retrained.

    Where we differ: the paper trains each candidate alone; here candidates inherit weights, and the weights have been
    trained on such candidates. Its surrogate is an ensemble of MLPs, ours a ridge regression; see hwnas.search.progressive,
    which does the same on a supernet that is trained already. With a budget no candidate is over a limit.
    """
    keeps = (lambda Z: _within(run, Z)) if run.constraint else (lambda Z: np.ones(len(Z), bool))
    start = run.constraint.feasible.near(run.space.smallest()) if run.constraint else None
    beam = Beam(run.space, Progressive(options.beam, options.first, options.expansions), run.recipe.seed, keeps, start)
    if run.steps < len(beam.levels):
        raise HwnasError(f"pnas: {run.steps} steps for {len(beam.levels)} levels: train for more epochs")
    run.keep(beam=_State(beam))
    ends = [(k + 1) * run.steps // len(beam.levels) for k in range(len(beam.levels))]

    def sample(n: int, rng: np.random.Generator) -> Codes:
        parents = beam.codes[rng.integers(0, len(beam.codes), n)]
        return np.concatenate([children(run.space, p[None], beam.levels[beam.level], 1, rng)[:1] for p in parents])

    run.sample = sample
    run.derive = lambda: beam.seen[np.argsort(-beam.accuracy, kind="stable")]

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        outputs = run.forward(x, path(run.space, run.draw(number)[0]))
        loss = run.loss(outputs, y)
        loss.backward()
        run.update()
        record = {"loss": loss.item(), "accuracy": run.reward(outputs, y), "level": beam.level + 1}
        if number + 1 == ends[beam.level]:
            Z = beam.propose()
            beam.learn(Z, np.array([judge(run, path(run.space, z), run.arch_batch, 0, options.valid_batches) for z in Z]))
        return {**record, "best_held_out": float(beam.accuracy.max(initial=0.0))}

    return step


def _within(run: Run, Z: Codes) -> np.ndarray:
    assert run.constraint is not None
    return run.constraint.keeps(Z)


class _State:
    """A beam as a checkpoint keeps it."""

    def __init__(self, beam: Beam):
        self.beam = beam

    def state_dict(self) -> dict[str, Any]:
        b = self.beam
        return {"level": b.level, **{k: torch.from_numpy(getattr(b, k).copy()) for k in ("codes", "seen", "accuracy")}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.beam.level = state["level"]
        for k in ("codes", "seen", "accuracy"):
            setattr(self.beam, k, state[k].numpy().copy())
