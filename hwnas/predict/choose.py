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
    """Z (n, genes): architectures spread evenly over the space's range of a metric, log scale; half are like random ones.

    Uniform samples crowd around the middle of the range; budgets do not. So the other half is chosen among random codes that were
    crossed with the smallest and the largest in random proportions. These alone will not do: with ONNX Runtime, random networks were
    then 2.9 % faster than predicted, since options in the middle, and mixed ones, hardly occur in them.
    """
    space, rng = model.space, np.random.default_rng([seed, 7])
    drawn = space.sample(4000, rng)
    extreme = np.where(rng.random(len(drawn))[:, None] < 0.5, space.smallest(), space.largest())
    crossed = np.where(rng.random(drawn.shape) < rng.random(len(drawn))[:, None], drawn, extreme)
    chosen = _spread(model, crossed, n - n // 2, metric, drawn[:0])
    return np.concatenate([chosen, _spread(model, drawn, n // 2, metric, chosen)])


def _spread(model: CostModel, Z: Codes, n: int, metric: str, without: Codes) -> Codes:
    """(n, genes) of Z, or all of them: evenly over their range of a metric, log scale; none of those named."""
    keys = model.space.keys(Z)
    _, first = np.unique(keys, return_index=True)  # small spaces are drawn many times over
    named = set(model.space.keys(without))
    Z = Z[[i for i in np.sort(first) if keys[i] not in named]]
    if not len(Z):
        return Z
    cost = np.log(model.cost(Z, [metric])[:, 0])
    chosen: list[int] = []
    low, high = np.quantile(cost, [0.01, 0.99])
    for value in np.linspace(low, high, n)[: len(Z)]:
        order = np.argsort(np.abs(cost - value))
        chosen.append(int(next(i for i in order if i not in chosen)))
    return Z[chosen]
