"""measure: times all jobs on a device into its table, round by round, and goes on where it was stopped."""

from __future__ import annotations

import errno
import logging
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ..block import Block
from ..device import Device
from ..errors import HwnasError
from ..profiler import load_profiler
from ..sample import Sample
from ..table import SENTINEL, Table
from ..transports.transport import Transport
from .connection import Worker
from .job import Job
from .plan import Plan
from .quietness import QUARANTINE, Quietness

SENTINEL_BLOCK = Block("mbconv", 16, 16, 14, 14, kernel=3, expand=4, act="relu")
SENTINEL_EVERY = 10  # jobs
Report = Callable[[int, int, str, Sample], None]  # (rows done, rows in all, key, its sample)
log = logging.getLogger(__name__)


def profile(
    device: Device,
    jobs: Mapping[str, Job],
    lut_dir: Path,
    plan: Plan = Plan(),  # noqa: B008  (frozen)
    report: Report | None = None,
    retry: bool = False,
    transport: Transport | None = None,
) -> Quietness:
    """Measures jobs on a device into `lut_dir/<device>/table.jsonl`, with the device.toml beside it; run again, it goes on."""
    folder = lut_dir / device.name
    with Worker(device, load_profiler(device.runtime), transport) as worker:
        with Table.open(folder / "table.jsonl", device.name, worker.fingerprint()) as table:
            if not (folder / "device.toml").exists():
                device.save(folder / "device.toml")
            return measure(worker, jobs, table, plan, report, retry=retry)


def measure(
    worker: Worker,
    jobs: Mapping[str, Job],
    table: Table,
    plan: Plan = Plan(),  # noqa: B008
    report: Report | None = None,
    seed: int = 0,
    retry: bool = False,
) -> Quietness:
    """Adds a row to the table for every (key, round) that it does not have, each on disk before the next is begun.

    The order is random and another one in each round, so that a drift lands on no block in particular; a fixed sentinel block is timed
    among them to show it. Rows that were measured while the sentinel was over 20 % off its usual time are measured again at the end, and
    what is off then, too, is counted in the Quietness. A job that fails is a row with the reason and is left alone from then on,
    unless `retry`. Raises HwnasError if the device is gone or the disk is full; what has been measured stays.
    """
    worker.knows(table.best_ns)
    given_up = set() if retry else set(table.failed)
    again = set(table.failed) - given_up
    wanted = [(key, r) for r in range(plan.rounds) for key in _shuffled(jobs, seed, r) if key not in given_up]
    todo = [(key, r) for key, r in wanted if key in again or not table.has(key, r)]
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        artifacts = _Artifacts(worker, Path(folder))
        sentinel = Job.of(SENTINEL_BLOCK, worker.device.batch)

        def add(rows: list[tuple[str, int]], done: int, total: int) -> None:
            since_sentinel, last_round = 0, None
            for done, (key, r) in enumerate(rows, done + 1):  # noqa: B020
                if key in given_up:
                    continue
                if r != last_round or since_sentinel == SENTINEL_EVERY:
                    table.append(SENTINEL, r, artifacts.time(SENTINEL, sentinel, plan))
                    since_sentinel, last_round = 0, r
                sample = artifacts.time(key, jobs[key], plan)
                table.append(key, r, sample)
                since_sentinel += 1
                if sample.error is not None:
                    given_up.add(key)
                    log.warning("%s: %s: %s", worker.device.name, key, sample.error)
                if report:
                    report(done, total, key, sample)
            if rows:
                table.append(SENTINEL, rows[-1][1], artifacts.time(SENTINEL, sentinel, plan))  # the last rows have one on either side

        add(todo, 0, len(todo))
        levels, here = table.drifted(QUARANTINE), set(todo)
        worst = sorted(here & levels.keys(), key=lambda row: -abs(levels[row] - 1))[: len(jobs)]  # a round's worth: it is to end
        add(sorted(worst, key=lambda row: row[1]), len(todo), len(todo) + len(worst))
    return Quietness.of(table)


def _shuffled(keys: Iterable[str], seed: int, round: int) -> list[str]:
    """The same order whenever it is asked for, so that a resumed round goes on in it."""
    ordered = sorted(keys)
    random.Random(f"{seed}/{round}").shuffle(ordered)
    return ordered


class _Artifacts:
    """The files of the jobs of one run, each built when it is first needed and named by its content."""

    def __init__(self, worker: Worker, folder: Path):
        self.worker, self.folder = worker, folder
        self.files: dict[str, Path] = {}

    def time(self, key: str, job: Job, plan: Plan) -> Sample:
        """Builds the job's file if need be and times it; whatever the job does wrong becomes a sample with the reason."""
        if key not in self.files:
            try:
                self.files[key] = job.file(self.worker.profiler, self.worker.device, self.folder)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise HwnasError(f"{self.folder}: no room for the files to measure: make room, or set TMPDIR") from None
                return Sample.failed(f"cannot be built: {error}")
            except Exception as error:
                return Sample.failed(f"cannot be built: {type(error).__name__}: {error}")
        return self.worker.time(self.files[key], plan)
