"""Transferred: a cost model of a device of which only some ten networks were measured, the rest taken from other devices' tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..block import Block
from ..cost import CostModel
from ..cost.bound import CONFIDENCE
from ..errors import HwnasError
from ..space import Codes, Space
from .block_nodes import count_sums
from .by_space import BySpace
from .calibration import DRIFT
from .fidelity import Fidelity
from .group_ridge import GroupRidge, Task

PRIOR = (1.0, 0.1, 0.05, 1e-3)  # the mean of the source devices, each of them, what is counted, kinds of blocks
LATENCY = "latency_ms"
FILE, TRANSFERS = "transfer.json", BySpace("a transfer file", 1, "run `hwnas transfer` again")


@dataclass(frozen=True)
class Transferred:
    """What `lut/<device>/transfer.json` holds for a space: a latency for every block, and how far networks can be from their sum."""

    sources: tuple[str, ...]
    networks: int  # measured on the device itself
    table_fingerprint: str
    block_ms: dict[str, float]  # str(block) -> its share of a network's latency; blocks that a source device cannot run are left out
    base_ms: float
    margin: float  # measured <= predicted x (1 + margin) at 95 %: see SourceTables.margin
    left_out: Fidelity  # each measured network predicted from the others

    def model(self, space: Space) -> CostModel:
        """The cost model; all its blocks count as predicted."""
        table = np.array([self.block_ms.get(str(b), np.inf) for b in space.blocks])
        model = CostModel(space, {LATENCY: table}, {LATENCY: self.base_ms}, {LATENCY: self.margin})
        model.predicted = dict.fromkeys(space.blocks, float("nan"))
        return model

    def save(self, folder: Path, space: Space) -> None:
        """Into the file's entry for the space; those of other spaces stay."""
        TRANSFERS.add(folder / FILE, space.hash, asdict(self))

    @classmethod
    def load(cls, folder: Path, space: Space) -> Transferred | None:
        """None where there is none for this space. Raises HwnasError for a damaged file."""
        fields = TRANSFERS.fields(folder / FILE, space.hash)
        if fields is None:
            return None
        try:
            return cls(**{**fields, "sources": tuple(fields["sources"]), "left_out": Fidelity(**fields["left_out"])})
        except (KeyError, TypeError) as error:
            raise TRANSFERS.damaged(folder / FILE, error) from None


class SourceTables:
    """The source devices' block latencies as features of networks: sums over blocks all, so that what is fitted on networks folds back
    into one latency a block.

    Groups of features: the mean of the devices; each device; what is counted (operations, bytes, calls), for devices that are unlike all
    others; the time (on that mean) in blocks of each operator, kernel, stride, squeeze-and-excitation and activation.
    """

    def __init__(self, space: Space, models: Sequence[CostModel]):
        self.space = space
        tables = np.stack([m.tables[LATENCY] for m in models], 1)
        bases = np.array([m.base.get(LATENCY, 0.0) for m in models])
        Z = _candidates(space, 2000, np.random.default_rng(0))
        runs = np.isfinite(np.stack([m.cost(Z, [LATENCY])[:, 0] for m in models], 1)).all(1)
        if runs.sum() < 50:
            raise HwnasError(f"transfer: the source devices cannot run {1 - runs.mean():.0%} of the networks of {space.name!r}")
        self.codes: Codes = Z[runs]  # candidates for measuring
        unit = np.stack([m.cost(self.codes, [LATENCY])[:, 0] for m in models], 1).mean(0)
        self._runs = np.isfinite(tables).all(1)  # (blocks,) on all source devices
        self._tables, self._bases = np.where(self._runs[:, None], tables, 0.0) / unit, bases / unit  # a mean network takes 1
        counts = count_sums(space.blocks).reshape(len(space.blocks), -1, 3).sum(1)  # (blocks, 3)
        self._counts = counts / self._sums(self.codes, counts, np.zeros(3)).mean(0)
        kinds = sorted({kind for b in space.blocks for kind in _kinds(b)})
        self._kinds = np.array([[kind in _kinds(b) for kind in kinds] for b in space.blocks])

    def choose(self, k: int) -> np.ndarray:
        """(k,) rows of `codes` to measure on the new device."""
        devices = np.arange(self._tables.shape[1])
        pool = np.arange(min(len(self.codes), 600))
        return pool[self._learned(devices).choose(self._groups(self.codes[pool], devices), self._level(self.codes[pool], devices), k)]

    def fit(self, Z: Codes, latency_ms: np.ndarray, sources: Sequence[str], table_fingerprint: str) -> Transferred:
        """From networks Z (k, genes) measured on the new device at latency_ms (k,)."""
        devices = np.arange(self._tables.shape[1])
        block_ms, base_ms, left_out = self._solve(self._learned(devices), Z, latency_ms, devices)
        by_name = {str(b): float(t) for b, t, runs in zip(self.space.blocks, block_ms, self._runs) if runs}
        margin = max(self._pretended_margin(len(Z)), float((latency_ms / left_out - 1).max()), 0.0) + DRIFT
        return Transferred(tuple(sources), len(Z), table_fingerprint, by_name, base_ms, margin, Fidelity.of(left_out, latency_ms))

    def _pretended_margin(self, k: int) -> float:
        """The 95 % quantile of measured / predicted - 1 over all candidates, of the source device that was predicted worst by the others.

        With k networks of its own a device cannot tell: the largest of ten errors is exceeded in 9 % of cases.
        """
        count, worst = self._tables.shape[1], 0.0
        for d in range(count if count > 1 else 0):
            others = np.delete(np.arange(count), d)
            ridge = self._learned(others)
            truth = self._sums(self.codes, self._tables[:, [d]], self._bases[[d]])[:, 0]
            rows = ridge.choose(self._groups(self.codes[:600], others), self._level(self.codes[:600], others), k)
            block, base, _ = self._solve(ridge, self.codes[rows], truth[rows], others)
            predicted = self._sums(self.codes, block[:, None], np.array([base]))[:, 0]
            worst = max(worst, float(np.quantile(truth / predicted - 1, CONFIDENCE)))
        return worst

    def _learned(self, devices: np.ndarray) -> GroupRidge:
        """Variances learned by letting each of the devices be predicted from the others."""
        ridge = GroupRidge(PRIOR)
        if len(devices) < 2:
            return ridge
        tasks, Z = [], self.codes[:100]
        for d in devices:
            others = devices[devices != d]
            y = self._sums(Z, self._tables[:, [d]], self._bases[[d]])[:, 0]
            tasks.append(Task(tuple(self._groups(Z, others)), y, self._level(Z, others)))
        return ridge.learn(tasks)

    def _solve(self, ridge: GroupRidge, Z: Codes, latency_ms: np.ndarray, devices: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
        """(blocks,) ms, the base in ms, and (k,) each network predicted from the others."""
        scale = self._level(Z, devices)
        unit_ms = float(np.median(latency_ms / scale))
        ridge.fit(Task(tuple(self._groups(Z, devices)), latency_ms / unit_ms, scale))
        parts = [(F @ w, f @ w) for (F, f), w in zip(self._block_groups(devices), ridge.weights)]
        block = sum(b for b, _ in parts)
        own = self._tables[:, devices].mean(1)
        return unit_ms * np.maximum(block, 0.1 * own), unit_ms * float(sum(f for _, f in parts)), unit_ms * ridge.left_out

    def _block_groups(self, devices: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """[((blocks, f), (f,)), ...]: features of blocks, and of what a network has beside them."""
        tables, bases = self._tables[:, devices], self._bases[devices]
        mean = tables.mean(1, keepdims=True)
        by_kind = np.where(self._kinds, mean, 0.0)
        return [
            (mean, bases.mean(keepdims=True)),
            (tables - mean, bases - bases.mean()),
            (self._counts - mean, np.full(3, -bases.mean())),
            (by_kind, np.zeros(by_kind.shape[1])),
        ]

    def _groups(self, Z: Codes, devices: np.ndarray) -> list[np.ndarray]:
        return [self._sums(Z, F, f) for F, f in self._block_groups(devices)]

    def _level(self, Z: Codes, devices: np.ndarray) -> np.ndarray:
        return self._sums(Z, self._tables[:, devices], self._bases[devices]).mean(1)

    def _sums(self, Z: Codes, table: np.ndarray, base: np.ndarray) -> np.ndarray:
        """(n, f) sums of blocks' features (blocks, f) over the networks Z."""
        names = [str(i) for i in range(table.shape[1])]
        return CostModel(self.space, dict(zip(names, table.T)), dict(zip(names, base.tolist()))).cost(Z, names)


def _candidates(space: Space, n: int, rng: np.random.Generator) -> Codes:
    """n codes over the whole range: random ones crossed with the smallest and the largest in random proportions."""
    Z = space.sample(n, rng)
    extreme = np.where(rng.random(n)[:, None] < 0.5, space.smallest(), space.largest())
    return np.where(rng.random(Z.shape) < rng.random(n)[:, None], Z, extreme)


def _kinds(b: Block) -> list[str]:
    return [f"op={b.op}", f"kernel={b.kernel}", f"stride={b.stride}", f"act={b.act}", f"se={int(b.se > 0)}"]
