"""Understanding and simplifying one-shot architecture search (Bender et al. 2018, ICML, sec. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import HwnasError
from ..gates import Gate, Gates
from ..gene import Gene
from ..space import Space
from .options import Traits, at_least, traits
from .run import Run, Step

_DROP = 7  # stream of random numbers, beside those of hwnas.data.batches and hwnas.train.run


@dataclass(frozen=True)
class OneShot:
    drop: float = 0.1  # r: the chance that all k paths into a place are dropped; each is dropped with r^(1/k)
    ramp: float = 1.0  # share of the run in which the drop probability rises from 0, linearly
    ghost: int = 32  # images in a sub-batch: it has its own BatchNorm statistics and its own dropped paths

    def __post_init__(self) -> None:
        at_least("one_shot", self, drop=0, ramp=0, ghost=2)
        if not self.drop < 1 or not self.ramp <= 1:
            raise HwnasError(f"one_shot: drop={self.drop} must be below 1 and ramp={self.ramp} not above")


@traits(Traits(share=False, one_stage=False, summed=True))
def one_shot(run: Run, options: OneShot) -> Step:
    """All paths are on, and summed; while training, paths are dropped at random, so that the network stays good without them.

    A gene's k options are paths into the same place. Each is dropped, independently, with probability r^(1/k): the more
    paths, the likelier each is dropped, so that none or few are left as often everywhere. That probability (not r) rises
    linearly from 0 (sec. 3.3). Paths are summed without weights. A batch is split into ghost batches of 32 images, each
    with its own dropped paths and BatchNorm statistics; their gradients make one update. L2 falls only on weights that
    the step used: a weight without a gradient is left alone by the optimizer, decay included.

    To evaluate an architecture all other paths are zeroed out, which is what every evaluation in hwnas does, with BatchNorm
    recalibrated (the paper uses statistics of the batch at hand). The best few are retrained from scratch (sec. 3.4).

    Where we differ: if all k paths were dropped, one of them, at random, stays: without it a chain of layers would be cut.
    Genes that change shapes elsewhere (width, resolution) or depth are sampled, one value for each ghost batch.
    A weight that options slice (not the case with weights of their own, the default here) decays as a whole.
    """
    space = run.space

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        rng = np.random.default_rng([run.recipe.seed, _DROP, number])
        ramp = ramped(number, run.steps, options.ramp)
        parts = max(1, len(x) // options.ghost)
        record = {"loss": 0.0, "accuracy": 0.0, "paths": 0.0}
        for xs, ys in zip(x.tensor_split(parts), y.tensor_split(parts)):
            kept = dropped(space, options.drop, ramp, rng)
            logits = run.forward(xs, gates(space, kept))
            share = len(xs) / len(x)
            loss = share * run.loss(logits, ys)
            loss.backward()
            record["loss"] += loss.item()
            record["accuracy"] += share * run.reward(logits, ys)
            record["paths"] += share * float(np.mean([len(v) / len(g.options) for g, v in kept.items()]))
            _count(run, kept)
        run.update()
        return record

    return step


def ramped(number: int, steps: int, ramp: float) -> float:
    """How far the ramp of the drop probability is at a step: 0 at the first, 1 from ramp x steps on."""
    return 1.0 if ramp <= 0 else min(1.0, number / (ramp * steps))


def drop_probability(drop: float, k: int, ramp: float = 1.0) -> float:
    """With which a path into a place with k of them is dropped: ramp x r^(1/k)."""
    return ramp * drop ** (1 / k)


def dropped(space: Space, drop: float, ramp: float, rng: np.random.Generator) -> dict[Gene, tuple[int, ...]]:
    """Gene -> the options that are left (context genes: those of one random value)."""
    kept = {}
    for gene in space.genes:
        k = len(gene.options)
        if gene.context:
            kept[gene] = gene.values[int(rng.integers(len(gene.values)))]
            continue
        draws = rng.random(k + 1)
        left = np.flatnonzero(draws[:k] >= drop_probability(drop, k, ramp))
        kept[gene] = tuple(map(int, left)) or (int(draws[k] * k),)
    return kept


def gates(space: Space, kept: dict[Gene, tuple[int, ...]]) -> Gates:
    """A plain sum over the options that are left of each gene."""
    return {g.name: Gate(kept[g]) for g in space.genes}


def _count(run: Run, kept: dict[Gene, tuple[int, ...]]) -> None:
    """Counts, for each gene, the values whose options were all on; visits are by value."""
    for row, gene in zip(run.visits, run.space.genes):
        on = set(kept[gene])
        for v, picks in enumerate(gene.values):
            row[v] += on.issuperset(picks)
