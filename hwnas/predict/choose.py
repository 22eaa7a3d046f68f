"""What to measure: blocks that tell most about the others, networks that tell most about the whole range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..block import Block
from ..cost import CostModel
from ..cost.facts import facts
from ..errors import HwnasError
from ..space import Codes, Space
from .block_predictor import BlockPredictor
from .correction import SPREADS, Features
from .group_ridge import GroupRidge
from .informative import most_informative

CANDIDATES = 300  # random networks, of which those to measure are chosen
MAX_CANDIDATES = 1500  # blocks, of which those to measure are chosen: memory grows with the square
LAUNCH_MS, MACS_PER_MS, BYTES_PER_MS = 0.005, 2e7, 1e7  # of some device
OVERHEAD = Block("conv", 1, 1, 1, 1)  # computes next to nothing: its latency is what one call costs


def choose_blocks(blocks: Sequence[Block], n: int, seed: int = 0) -> list[Block]:
    """n of the blocks, every operator among them: those that tell most about all, as the predictor sees them before anything is measured.

    Of more than MAX_CANDIDATES so many random ones are looked at. Raises HwnasError where the operators are more than n.
    """
    if n >= len(blocks):
        return list(blocks)
    kinds = ["user" if b.op.startswith("user-") else b.op for b in blocks]
    each = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    if len(each) > n:
        raise HwnasError(f"profile: {n} blocks are too few for the {len(each)} operators of the space")
    drawn = np.random.default_rng([seed, 43]).permutation(len(blocks))[: max(MAX_CANDIDATES, n)]
    looked_at = [*each, *(int(i) for i in np.sort(drawn) if i not in each)]
    some = [blocks[i] for i in looked_at]
    covariance, noise = BlockPredictor().prior(some, np.array([usual_ms(b) for b in some]))
    chosen = [*range(len(each)), *most_informative(covariance, np.full(len(some), noise), n - len(each), range(len(each)))]
    return [blocks[i] for i in sorted(looked_at[j] for j in chosen)]


def usual_ms(b: Block) -> float:
    """What a block might take on some device: which rows tell much hardly depends on it."""
    return LAUNCH_MS + facts(b).macs / MACS_PER_MS + facts(b).memory_bytes / BYTES_PER_MS


def choose_networks(space: Space, n: int, seed: int) -> Codes:
    """Z (n, genes): half of them spread evenly over the space's range of MACs, log scale, half chosen for what they tell.

    Uniform samples crowd around the middle of the range; budgets do not. So the first half is chosen among random codes that were
    crossed with the smallest and the largest in random proportions. The others are those of CANDIDATES random codes that leave the least
    uncertainty about all of them (see `most_informative`), with blocks that take about what their operations and bytes let expect: no
    device needs to be asked, and all measure the same networks. Each network's uncertainty is taken relative to what it is before: whether
    calls, which weigh at 28 px, or memory, at 224, make a device's networks unlike their blocks shows only afterwards. Without that, 13 of
    20 networks had 28 px and two 224, and OpenVINO's were predicted 3.1 to 3.4 % wrong.
    """
    model, rng = CostModel(space), np.random.default_rng([seed, 7])
    drawn = space.sample(4000, rng)
    extreme = np.where(rng.random(len(drawn))[:, None] < 0.5, space.smallest(), space.largest())
    crossed = np.where(rng.random(drawn.shape) < rng.random(len(drawn))[:, None], drawn, extreme)
    spread = _spread(model, crossed, n - n // 2)
    others = _distinct(space, drawn, spread)[:CANDIDATES]
    usual = {b: usual_ms(b) for b in space.blocks}
    networks = [space.blocks_of(z) for z in (*spread, *others)]
    groups = Features.of(networks, usual, LAUNCH_MS).groups
    ridge = GroupRidge([SPREADS[group] ** 2 for group in groups])
    telling = ridge.choose([*groups.values()], scale=None, k=min(n // 2, len(others)), given=range(len(spread)))
    return np.concatenate([spread, others[[i - len(spread) for i in telling]]])


def _spread(model: CostModel, Z: Codes, n: int) -> Codes:
    """(n, genes) of Z, or all of them: evenly over their range of MACs, log scale."""
    Z = _distinct(model.space, Z)
    cost = np.log(model.cost(Z, ["macs"])[:, 0])
    chosen: list[int] = []
    low, high = np.quantile(cost, [0.01, 0.99])
    for value in np.linspace(low, high, n)[: len(Z)]:
        order = np.argsort(np.abs(cost - value))
        chosen.append(int(next(i for i in order if i not in chosen)))
    return Z[chosen]


def _distinct(space: Space, Z: Codes, without: Codes | None = None) -> Codes:
    """Z without repetitions (small spaces are drawn many times over) and without those named."""
    keys = space.keys(Z)
    _, first = np.unique(keys, return_index=True)
    named = set() if without is None else set(space.keys(without))
    return Z[[i for i in np.sort(first) if keys[i] not in named]]
