"""What to measure: blocks that tell most about the others, networks that tell most about the whole range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..block import Block
from ..cost import CostModel
from ..cost.facts import program_of
from ..errors import HwnasError
from ..lower.features import features
from ..space import Codes

OVERHEAD = Block("conv", 1, 1, 1, 1)  # computes next to nothing: its latency is what one call costs


def choose_blocks(blocks: Sequence[Block], n: int) -> list[Block]:
    """n of the blocks, every operator among them: greedy k-center on the logs of their primitives' sums.

    Each next one is the farthest from all chosen, so that no block to be predicted is far from a measured one.
    """
    if n >= len(blocks):
        return list(blocks)
    X = np.log1p(np.array([list(features(program_of(b)).values()) for b in blocks], float))
    X = (X - X.mean(0)) / (X.std(0) + 1e-9)
    kinds = ["user" if b.op.startswith("user-") else b.op for b in blocks]
    chosen = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    if len(chosen) > n:
        raise HwnasError(f"profile: {n} blocks are too few for the {len(chosen)} operators of the space")
    distance = np.min([((X - X[i]) ** 2).sum(1) for i in chosen], axis=0)
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((X - X[chosen[-1]]) ** 2).sum(1))
    return [blocks[i] for i in sorted(chosen)]


def choose_networks(model: CostModel, n: int, seed: int, metric: str = "macs") -> Codes:
    """Z (n, genes): architectures spread evenly over the space's range of a metric, log scale, smallest to largest.

    Uniform samples crowd around the middle of the range; budgets do not. So random codes are crossed with the smallest
    and the largest in random proportions first.
    """
    space, rng = model.space, np.random.default_rng([seed, 7])
    Z = space.sample(4000, rng)
    extreme = np.where(rng.random(len(Z))[:, None] < 0.5, space.smallest(), space.largest())
    Z = np.where(rng.random(Z.shape) < rng.random(len(Z))[:, None], Z, extreme)
    _, first = np.unique(space.keys(Z), return_index=True)
    Z = Z[np.sort(first)]  # small spaces are drawn many times over
    cost = np.log(model.cost(Z, [metric])[:, 0])
    wanted = np.quantile(cost, 0.01) + (np.arange(n) + 0.5) / n * np.ptp(np.quantile(cost, [0.01, 0.99]))
    chosen: list[int] = []
    for value in wanted[: len(Z)]:
        order = np.argsort(np.abs(cost - value))
        chosen.append(int(next(i for i in order if i not in chosen)))
    return Z[chosen]
