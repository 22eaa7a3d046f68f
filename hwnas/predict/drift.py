"""Drift: a few networks of a table, timed again, say how fast the device is today."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..device import Device
from ..errors import HwnasError
from ..measure import Plan, Report, Transport, Worker, measure
from ..profiler import load_profiler
from ..space import Space
from ..table import Table, differences
from .calibration import DRIFT, Calibration
from .networks import code_of, network_jobs
from .trust import table_digest

SENTINEL_NETWORKS = 5
ROUNDS = 8
PLAUSIBLE = (0.5, 2.0)  # beyond it this is another machine, not a drift


@dataclass(frozen=True)
class Drift:
    """factor: latency now / latency in the table. term: what the 95 % bound adds for what the factor does not catch.

    Networks, not blocks: from one sitting to the next the level of whole networks moved by up to 2.6 % while single blocks moved by
    0.5 %, and on a shared machine by 10 % within the hour.
    """

    factor: float
    term: float
    ratios: dict[str, float]  # network -> now / table
    changed: tuple[str, ...]  # fields of the fingerprint that are not those of the table
    table_fingerprint: str
    at: str

    @staticmethod
    def of(ratios: dict[str, float], changed: tuple[str, ...] = (), table_fingerprint: str = "") -> Drift:
        """The factor is the median; the term grows with the ratios' disagreement: their standard error, twice, at least 1.5 %."""
        values = np.array(list(ratios.values()))
        factor = float(np.median(values))
        spread = 2 * float(np.std(values, ddof=1) / factor / np.sqrt(len(values))) if len(values) > 1 else 0.0
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Drift(factor, max(DRIFT, spread), ratios, changed, table_fingerprint, now)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Drift:
        return Drift(**{**fields, "changed": tuple(fields["changed"])})

    @property
    def age_s(self) -> float:
        return (datetime.now(timezone.utc) - datetime.fromisoformat(self.at)).total_seconds()

    def __str__(self) -> str:
        ratios = ", ".join(f"{r:.3f}" for r in self.ratios.values())
        changed = f"; changed since: {'; '.join(self.changed)}" if self.changed else ""
        return f"the device takes {self.factor:.3f} times what its table says ({len(self.ratios)} networks: {ratios}){changed}"


def sentinel_networks(calibration: Calibration, n: int = SENTINEL_NETWORKS) -> list[str]:
    """Keys of n of the calibration's networks, spread over the range of latencies."""
    ordered = sorted(calibration.networks, key=lambda k: calibration.networks[k][0])
    return [ordered[int(q * len(ordered))] for q in (np.arange(n) + 0.5) / n] if len(ordered) > n else ordered


def retime(
    space: Space,
    device: Device,
    folder: Path,
    *,
    plan: Plan | None = None,
    report: Report | None = None,
    transport: Transport | None = None,
) -> Drift:
    """Times the sentinel networks of the calibration in `folder` once more. The table stays as it is.

    Raises HwnasError if the device cannot be measured from here, is another machine than that of the table, or fails; and where somebody
    slows its core now, which nobody did when the table was made: that is the neighbour's level, not the device's.
    """
    table, calibration = Table.read(folder / "table.jsonl"), Calibration.load(folder / "calibration.json", space.hash)
    values = table.values()
    keys = [k for k in sentinel_networks(calibration) if k in values]
    if not keys:
        raise HwnasError(f"{folder / 'calibration.json'}: names no networks to time again: profile again")
    jobs = network_jobs(space, np.array([code_of(k) for k in keys]), device.batch)
    with TemporaryDirectory(prefix="hwnas-drift-") as temporary, Worker(device, load_profiler(device.runtime), transport) as worker:
        now = worker.fingerprint()
        if now["host"].get("cpu") != table.fingerprint.get("host", {}).get("cpu"):
            there, here = table.fingerprint.get("host", {}).get("cpu"), now["host"].get("cpu")
            raise HwnasError(
                f"device {device.name!r}: its table is of another machine ({there}, here is {here}): its latencies are used as they are"
            )
        with Table.open(Path(temporary) / "table.jsonl", device.name, now) as today:
            worker.knows(table.best_ns)
            quietness = measure(worker, jobs, today, plan or Plan(rounds=ROUNDS), report)
            clock = "cpu" if _has_cpu_time(table) else "wall"
            found = today.values(clock)  # type: ignore[arg-type]
    if table.best_ns is not None and table.level().steady and not today.level().steady:
        raise HwnasError(
            f"device {device.name!r}: somebody slowed its core during {quietness.slowed:.0%} of the repeats, which was not so when "
            f"its table was made: its latencies are used as they are"
        )
    ratios = {k: found[k] / values[k] for k in keys if k in found}
    if len(ratios) < len(keys):
        raise HwnasError(
            f"device {device.name!r}: a network that ran when its table was made fails now: {next(iter(today.failed.values()))}"
        )
    drift = Drift.of(ratios, tuple(differences(table.fingerprint, now)), table_digest(table))
    if not PLAUSIBLE[0] < drift.factor < PLAUSIBLE[1]:
        raise HwnasError(f"device {device.name!r}: {drift}: that is no drift: `hwnas profile {device.name}` into another --lut")
    return drift


def _has_cpu_time(table: Table) -> bool:
    """Which clock Table.values took: the same must be read again."""
    return all(s.cpu_ns is not None for key in table.keys for s in table.samples(key) if s.error is None)
