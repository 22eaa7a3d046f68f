"""Metrics beside latency that a budget can name, and that add up over blocks: energy and instructions, and how long a file loads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from ..cost import Bound
from ..cost.facts import facts
from ..measure import ADDITIVE, metrics_of
from ..space import Space
from ..table import Table
from .block_predictor import BlockPredictor
from .calibration import DRIFT, MIN_NETWORKS
from .choose import OVERHEAD
from .networks import networks_in


@dataclass(frozen=True)
class Additive:
    """A network's value is `base` and the sum of its blocks', and not above `bound` of that."""

    blocks: np.ndarray  # (blocks,) in the order of the space; inf where a block failed
    base: float
    bound: Bound


def additive(space: Space, table: Table) -> dict[str, Additive]:
    """Field -> its sum, for each of ADDITIVE that all measured rows have; and load_ms, see `loading`.

    What one call costs (the row of OVERHEAD) is counted once per network; one factor, the median over the measured networks of
    the space, makes the sum fit them. With fewer than 19 networks there is no bound, and the field is left out.
    """
    found = loading(space, table)
    known = metrics_of(table)
    failed = table.failed
    for field in ADDITIVE:
        values = known.get(field, {})
        if str(OVERHEAD) not in values or any(values.get(key, 0) <= 0 for key in table.keys if key not in failed):
            continue  # not told of every row, or too small for the counter
        blocks = _of_blocks(space, values, failed)
        call = values[str(OVERHEAD)]
        alone = np.maximum(blocks - call, 0.0)
        position = {b: i for i, b in enumerate(space.blocks)}
        sums, measured = [], []
        for key, z in networks_in(space, list(values)).items():
            total = call + alone[[position[b] for b in space.blocks_of(z)]].sum()
            if np.isfinite(total):
                sums.append(total)
                measured.append(values[key])
        if len(sums) < MIN_NETWORKS:
            continue
        factor = float(np.median(np.array(measured) / sums))
        excess = np.array(measured) / (factor * np.array(sums)) - 1
        found[field] = Additive(alone * factor, call * factor, Bound((excess,), DRIFT))
    return found


def loading(space: Space, table: Table) -> dict[str, Additive]:
    """{"load_ms": ...}: how long a network's file takes to be read and prepared; {} where the device told it of fewer than 19 networks.

    What a runtime does once for a file is no block's, so blocks' own loads say nothing: base + a x operators + b x bytes of weights, none
    below 0, is fitted to the networks, by relative errors. The fit is to the median of a network's rounds, the bound covers the slowest
    of them, with each network predicted by a fit without it, as a certificate counts the slowest of its processes.
    """
    loads = {
        key: (z, 1000 * np.array(told))
        for key, z in networks_in(space, table.keys).items()
        if key not in table.failed and (told := [s.load_s for s in table.samples(key) if s.load_s])
    }
    if len(loads) < MIN_NETWORKS:
        return {}
    per_block = np.array([[f.nodes, 4 * f.params] for f in map(facts, space.blocks)], float)
    position = {b: i for i, b in enumerate(space.blocks)}
    sums = np.array([per_block[[position[b] for b in space.blocks_of(z)]].sum(0) for z, _ in loads.values()])
    usual, slowest = np.array([[np.median(ms), ms.max()] for _, ms in loads.values()]).T
    unit = np.maximum(sums.mean(0), 1.0)  # so that the columns are about alike
    X = np.column_stack([np.ones(len(sums)), sums / unit]) / usual[:, None]

    def fit(rows: np.ndarray) -> np.ndarray:
        return np.asarray(scipy.optimize.nnls(X[rows], np.ones(len(rows)))[0])

    every = np.arange(len(X))
    without = np.array([X[i] @ fit(np.delete(every, i)) for i in every]) * usual
    base, *slopes = fit(every)
    return {"load_ms": Additive(per_block @ (np.array(slopes) / unit), float(base), Bound((slowest / without - 1,), DRIFT))}


def _of_blocks(space: Space, values: dict[str, float], failed: dict[str, str]) -> np.ndarray:
    """(blocks,) measured, or else predicted from those that were; inf where it failed."""
    measured = [b for b in space.blocks if str(b) in values]
    missing = [i for i, b in enumerate(space.blocks) if str(b) not in values and str(b) not in failed]
    out = np.array([values.get(str(b), np.inf) for b in space.blocks])
    if missing:
        predictor = BlockPredictor().fit(measured, np.array([values[str(b)] for b in measured]))
        out[missing] = predictor.predict([space.blocks[i] for i in missing])[0]
    return out
