"""Trust: how far the latencies of a space on a device can be relied on, by networks that took no part in their making."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from ..cost import CostModel
from ..cost.bound import CONFIDENCE
from ..space import Codes
from ..table import Table
from .by_space import BySpace
from .calibration import Calibration
from .fidelity import Fidelity
from .networks import code_of

REPORTS = BySpace("a trust report", 1, "profile again")
MAX_MAPE, MAX_BIAS, MIN_SPEARMAN = 0.10, 0.07, 0.80
MIN_COVERAGE_P = 0.005  # a 95 % bound holds for so few networks with less than this probability: it is none
MIN_HELD_OUT = 10  # with fewer random networks the left-out ones of the calibration are judged
WORST, BLOCKS = 5, 3  # cases, and blocks of each, in the report


@dataclass(frozen=True)
class Trust:
    """One space on one device. `held_out` are random networks that were measured and not used; without them, those of the calibration,
    each predicted by a fit without it (`kind` says which)."""

    device: str
    space: str
    space_hash: str
    table_fingerprint: str
    kind: str  # "random" or "left out"
    held_out: Fidelity
    covered: int  # how many of them lie within the bound
    searched: Fidelity | None  # networks that a search picked, each predicted by a fit without it
    searched_covered: int
    margin: float
    plain: Fidelity
    blocks_measured: int
    blocks_predicted: int
    worst: tuple[dict[str, Any], ...]  # network, measured_ms, predicted_ms, error, blocks: [(key, ms, measured or predicted)]

    @staticmethod
    def of(
        device: str, model: CostModel, calibration: Calibration, held_out: Codes, measured_ms: np.ndarray, searched: Sequence[str]
    ) -> Trust:
        """held_out (n, genes), measured_ms (n,): networks that the calibration did not see, n may be 0."""
        space = model.space
        if len(held_out) >= MIN_HELD_OUT:
            kind, networks = "random", [space.decode(z) for z in held_out]
            predicted, measured = model.cost(held_out, ["latency_ms"])[:, 0], measured_ms
            codes = list(held_out)
        else:
            kind, (measured, predicted) = "left out", np.array(list(calibration.networks.values())).T
            codes = [code_of(k) for k in calibration.networks]
            networks = [space.decode(z) for z in codes]
        error = predicted / measured - 1
        by_block = dict(zip(space.blocks, model.tables["latency_ms"]))
        worst = []
        for i in np.argsort(-np.abs(error))[:WORST]:
            dear = sorted({(b, float(by_block[b])) for b in space.blocks_of(codes[i])}, key=lambda item: -item[1])[:BLOCKS]
            blocks = [[str(b), round(ms, 6), "predicted" if b in model.predicted else "measured"] for b, ms in dear]
            figures = {"measured_ms": float(measured[i]), "predicted_ms": float(predicted[i]), "error": float(error[i])}
            worst.append({"network": networks[i], **figures, "blocks": blocks})
        picked = np.array([calibration.networks[k] for k in searched]).reshape(-1, 2)
        limit = 1 + calibration.margin
        return Trust(
            device,
            space.spec or space.name,
            space.hash,
            calibration.table_fingerprint,
            kind,
            Fidelity.of(predicted, measured),
            int((measured <= predicted * limit).sum()),
            Fidelity.of(picked[:, 1], picked[:, 0]) if len(picked) else None,
            int((picked[:, 0] <= picked[:, 1] * limit).sum()),
            calibration.margin,
            calibration.plain,
            len(space.blocks) - len(model.predicted),
            len(model.predicted),
            tuple(worst),
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the table is not to be trusted; empty if it is."""
        f, found = self.held_out, []
        if not f.mape <= MAX_MAPE:
            found.append(f"mean error {f.mape:.1%} (at most {MAX_MAPE:.0%})")
        if not abs(f.bias) <= MAX_BIAS:
            found.append(f"bias {f.bias:+.1%} (at most {MAX_BIAS:.0%})")
        if not f.spearman >= MIN_SPEARMAN:
            found.append(f"rank correlation {f.spearman:.2f} (at least {MIN_SPEARMAN})")
        if scipy.stats.binom.cdf(self.covered, f.networks, CONFIDENCE) < MIN_COVERAGE_P:
            found.append(f"only {self.covered} of {f.networks} within the {CONFIDENCE:.0%} bound")
        return tuple(found)

    @property
    def verdict(self) -> str:
        return "good" if not self.reasons else f"bad: {'; '.join(self.reasons)}"

    def __str__(self) -> str:
        searched = f"; {self.searched_covered} of {self.searched.networks} that a search picked" if self.searched else ""
        return f"{self.held_out}; within the bound (+{self.margin:.1%}): {self.covered} of {self.held_out.networks} {self.kind}{searched}"

    def made_with(self, table_fingerprint: str, device: str) -> Trust:
        """The same report, beside a copy of the table that has this device's name."""
        return replace(self, table_fingerprint=table_fingerprint, device=device)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}

    def save(self, path: Path) -> None:
        """Into the file's entry for the space; those of other spaces stay."""
        REPORTS.add(path, self.space_hash, self.to_dict())

    @staticmethod
    def load_all(path: Path) -> list[Trust]:
        """The reports of all spaces; none if there is no file. Raises HwnasError for a file that is none of ours."""
        try:
            return [Trust._from(fields) for fields in REPORTS.read(path).values()]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise REPORTS.damaged(path, error) from None

    @staticmethod
    def _from(fields: dict[str, Any]) -> Trust:
        own = {k: v for k, v in fields.items() if k != "verdict"}
        searched = own["searched"]
        own |= {"held_out": Fidelity(**own["held_out"]), "plain": Fidelity(**own["plain"]), "worst": tuple(own["worst"])}
        return Trust(**{**own, "searched": Fidelity(**searched) if searched else None})


def find_trust(folder: Path, space_hash: str) -> Trust | None:
    """The report of a space on the device whose table lies in `folder`, if it was made with this table."""
    found = [t for t in Trust.load_all(folder / "trust.json") if t.space_hash == space_hash]
    if not found or found[0].table_fingerprint != table_digest(Table.read(folder / "table.jsonl")):
        return None
    return found[0]


def table_digest(table: Table) -> str:
    """16 hex digits over a table's fingerprint: what was made with another table is not taken for this one's."""
    return sha256(json.dumps(table.fingerprint, sort_keys=True).encode()).hexdigest()[:16]
