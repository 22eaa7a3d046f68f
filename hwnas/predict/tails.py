"""Tails: how far the slow inferences of whole networks lie above their median."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..cost import METRICS
from ..device import Device
from ..errors import HwnasError
from ..measure import Plan, Report, Transport, Worker, measure
from ..profiler import load_profiler
from ..space import Space
from ..table import Table
from .by_space import BySpace
from .calibration import MIN_NETWORKS, Calibration
from .networks import code_of, network_jobs
from .trust import table_digest

FILE, TAILS = "tails.json", BySpace("a file of tails", 1, "search again")
QUANTILES = {m.field: m.quantile for m in METRICS.values() if m.quantile is not None and m.quantile != 0.5}  # field -> quantile
PLAN = Plan.single_shot(samples=300, total_s=0.15, time_limit_s=60.0)


@dataclass(frozen=True)
class Tails:
    """What `lut/<device>/tails.json` holds for a space: quantiles of measured networks' single inferences, by their medians.

    A quantile of a network is no sum of its blocks' (they are not slow at one time), and repeats that loop over many inferences hide it; so
    whole networks are timed inference by inference, all of which count, those that another program disturbed, too. A network is taken to
    have the median multiple; `relative` says how far each was from that, which the bound has to cover.
    """

    table_fingerprint: str  # of the table whose calibration named the networks
    inferences: int  # of each network, at least
    multiples: Mapping[str, Mapping[str, float]]  # field -> key of a network -> its quantile / its median

    @property
    def usual(self) -> dict[str, float]:
        """Field -> the median multiple; of fields that enough networks tell."""
        return {f: float(np.median(list(by.values()))) for f, by in self.multiples.items() if len(by) >= MIN_NETWORKS}

    def relative(self, field: str) -> dict[str, float]:
        """Key of a network -> its multiple in units of the usual one."""
        usual = self.usual[field]
        return {key: m / usual for key, m in self.multiples[field].items()}

    def save(self, folder: Path, space_hash: str) -> None:
        """Into the file's entry for the space; those of other spaces stay."""
        fields = {"table_fingerprint": self.table_fingerprint, "inferences": self.inferences, "multiples": self.multiples}
        TAILS.add(folder / FILE, space_hash, fields)

    @classmethod
    def find(cls, folder: Path, space_hash: str, table_fingerprint: str) -> Tails | None:
        """None where none were measured for this space and table. Raises HwnasError for a damaged file."""
        fields = TAILS.fields(folder / FILE, space_hash)
        if fields is None or fields.get("table_fingerprint") != table_fingerprint:
            return None
        try:
            multiples = {f: {str(k): float(m) for k, m in fields["multiples"].get(f, {}).items()} for f in QUANTILES}
            return cls(table_fingerprint, int(fields["inferences"]), multiples)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TAILS.damaged(folder / FILE, error) from None


def measure_tails(
    space: Space, device: Device, folder: Path, *, plan: Plan = PLAN, report: Report | None = None, transport: Transport | None = None
) -> Tails:
    """Times the networks of the calibration in `folder`, every inference of them, and saves what was found beside the table.

    Raises HwnasError if the device cannot be measured from here, tells averages only, or fails on one of them.
    """
    table, calibration = Table.read(folder / "table.jsonl"), Calibration.load(folder / "calibration.json", space.hash)
    keys = list(calibration.networks)
    if len(keys) < MIN_NETWORKS:
        raise HwnasError(f"{folder / 'calibration.json'}: names {len(keys)} networks, {MIN_NETWORKS} are needed: profile again")
    jobs = network_jobs(space, np.array([code_of(k) for k in keys]), device.batch)
    with TemporaryDirectory(prefix="hwnas-tails-") as temporary, Worker(device, load_profiler(device.runtime), transport) as worker:
        with Table.open(Path(temporary) / "table.jsonl", device.name, worker.fingerprint()) as today:
            measure(worker, jobs, today, plan, report)
            if today.failed:
                raise HwnasError(f"device {device.name!r}: a network that ran for its table fails now: {next(iter(today.failed.values()))}")
            samples = {k: today.samples(k)[0] for k in keys}
    if any(s.summaries for s in samples.values()):
        raise HwnasError(f"device {device.name!r}: tells averages of many inferences only, so that nothing is known of slow ones")
    wall = {k: s.wall_ms for k, s in samples.items()}
    multiples = {f: {k: float(np.quantile(w, q) / np.median(w)) for k, w in wall.items()} for f, q in QUANTILES.items()}
    tails = Tails(table_digest(table), min(map(len, wall.values())), multiples)
    tails.save(folder, space.hash)
    return tails
