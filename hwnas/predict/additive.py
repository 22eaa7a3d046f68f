"""Metrics beside latency that a budget can name: those that add up over blocks, where a device tells them of every row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..measure import ADDITIVE, metrics_of
from ..space import Space
from ..table import Table
from .block_predictor import BlockPredictor
from .calibration import DRIFT, MIN_NETWORKS, conformal_margin
from .choose import OVERHEAD, networks_in


@dataclass(frozen=True)
class Additive:
    """A network's value is `base` and the sum of its blocks', below `1 + margin` times that at 95 % confidence."""

    blocks: np.ndarray  # (blocks,) in the order of the space; inf where a block failed
    base: float
    margin: float


def additive(space: Space, table: Table) -> dict[str, Additive]:
    """Field -> its sum, for each of ADDITIVE that all measured rows have.

    What one call costs (the row of OVERHEAD) is counted once per network; one factor, the median over the measured networks of
    the space, makes the sum fit them. With fewer than 19 networks there is no bound, and the field is left out.
    """
    found = {}
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
        margin = conformal_margin(factor * np.array(sums), np.array(measured)) + DRIFT
        found[field] = Additive(alone * factor, call * factor, margin)
    return found


def _of_blocks(space: Space, values: dict[str, float], failed: dict[str, str]) -> np.ndarray:
    """(blocks,) measured, or else predicted from those that were; inf where it failed."""
    measured = [b for b in space.blocks if str(b) in values]
    missing = [i for i, b in enumerate(space.blocks) if str(b) not in values and str(b) not in failed]
    out = np.array([values.get(str(b), np.inf) for b in space.blocks])
    if missing:
        predictor = BlockPredictor().fit(measured, np.array([values[str(b)] for b in measured]))
        out[missing] = predictor.predict([space.blocks[i] for i in missing])[0]
    return out
