"""FairNAS: strict fairness (Chu et al. 2019, arXiv 1907.01845, sec. 3.3 and algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import lcm

import numpy as np
from torch import Tensor

from ..errors import HwnasError
from ..gates import path
from ..space import Codes, Space
from .options import at_least
from .run import Run, Step

MOST_NETS = 24  # forward and backward passes in one step, unless asked for more

_DECKS = 5  # stream of random numbers, beside those of hwnas.data.batches and hwnas.train.run


@dataclass(frozen=True)
class FairNAS:
    nets: int = 0  # architectures a step; 0 = the least common multiple of the genes' sizes, at most 24

    def __post_init__(self) -> None:
        at_least("fairnas", self, nets=0)


def fairnas(run: Run, options: FairNAS) -> Step:
    """Each step trains m architectures on one batch, so that every value of every gene is trained equally often.

    Each gene draws a permutation of its values, the i-th architecture takes the i-th of each; their gradients add up
    (algorithm 1, line 9) and the weights are updated once. So a step costs m single-path steps, and no choice is ever
    ahead of another of its gene, not even by one update: "strict fairness".

    m is the least common multiple of the genes' sizes. In the paper all layers have the same number of choices; where
    sizes differ, a gene of n values is padded to m with m / n permutations, which keeps it strict.
    Any other m (`nets`) is allowed, too: a gene whose n does not divide it deals its permutations on into the next step, and
    its visits then differ by one at most. Raises HwnasError where strictness would need more than 24 passes a step.

    Decoupled, one-stage: no architecture parameters, winners may keep their weights after BatchNorm recalibration. An
    epoch is one pass over the images, each seen by m architectures. Cosine decay (sec. 4.1: lr 0.045, no smoothing).
    """
    m = options.nets or common_size(run.space)
    deal = dealer(run.space, run.recipe.seed)

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        Z = deal(number, m)
        run.visit(Z)
        losses, right = [], []
        for z in Z:
            logits = run.forward(x, path(run.space, z))
            loss = run.loss(logits, y)
            loss.backward()
            losses.append(loss.item())
            right.append(run.reward(logits, y))
        run.update()
        return {"loss": float(np.mean(losses)), "accuracy": float(np.mean(right))}

    return step


def common_size(space: Space) -> int:
    """How many architectures show every value of every gene equally often. Raises HwnasError above 24, naming the genes."""
    m = lcm(*map(int, space.sizes))
    if m > MOST_NETS:
        by_size = {len(g.values): g.name for g in space.genes}
        sizes = ", ".join(f"{n} ({name})" for n, name in sorted(by_size.items()))
        raise HwnasError(
            f"fairnas: genes of {sizes} values need {m} networks a step for strict fairness: give the genes equal sizes, "
            f"or set fairnas nets={max(by_size)} (visits then differ by one at most)"
        )
    return m


def dealer(space: Space, seed: int) -> Callable[[int, int], Codes]:
    """deal(number, m) -> Z (m, genes), the architectures of a step: a function of (seed, number), so resuming needs no state.

    The k-th architecture of a run, counted over its steps, takes card k mod n of the gene's permutation number k // n.
    """

    @lru_cache(maxsize=4096)
    def permutation(gene: int, deck: int) -> np.ndarray:
        return np.random.default_rng([seed, _DECKS, gene, deck]).permutation(int(space.sizes[gene]))

    def deal(number: int, m: int) -> Codes:
        cards, sizes = range(number * m, (number + 1) * m), list(map(int, space.sizes))
        return np.array([[permutation(g, k // n)[k % n] for g, n in enumerate(sizes)] for k in cards], np.int64)

    return deal
