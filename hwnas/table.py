"""Table: the latencies of one device, append-only, with the fingerprint they were measured under."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from . import __version__
from .errors import HwnasError
from .journal import Journal
from .level import Level
from .sample import Clock, Sample

# History of the format: 1: header {format, device, fingerprint, hwnas, created}; rows {key, round, sitting, ...sample};
#    rows of the sentinel also {at}: seconds since 1970.
FORMAT = 1
TRIMMED = 0.25  # of the rounds at either end: see Table.values
SENTINEL = "sentinel"  # key of the rows of the block that is the same in every table; no block's key, which have brackets


class Table:
    """`lut/<device>/table.jsonl`: a header line, then one row per (key, round) with its raw timings, or with the reason why there are none.

    A key is a block's (str(Block)) or, for whole networks, an architecture's. Of two rows of one key and round the later
    counts. A sitting is one opening for writing: the machine may be in another state the next time.
    """

    def __init__(self, journal: Journal):
        self._journal = journal
        header = journal.header
        if header.get("format") != FORMAT or not isinstance(header.get("fingerprint"), dict):
            found = f"format {header.get('format')!r} is not that of a table this hwnas reads ({FORMAT})"
            raise HwnasError(f"{journal.path}: {found}: is this the right file?")
        self.path, self.device, self.fingerprint = journal.path, str(header.get("device")), header["fingerprint"]
        self.provenance: list[dict[str, Any]] = header.get("provenance", [])  # what was done to it since: see hwnas.lut
        self._samples: dict[str, dict[int, tuple[int, Sample]]] = defaultdict(dict)  # key -> round -> (line, sample)
        self._sentinels: list[tuple[int, tuple[int, int], Sample]] = []  # (line, (sitting, round), sample)
        self.best_ns: int | None = None  # of all samples; what one worker knew when it began was not the best
        for number, row in enumerate(journal.rows, 2):
            self._add(row, number)
        self._hold()
        self._sitting = 1 + max((row["sitting"] for row in journal.rows), default=0)

    @classmethod
    def open(cls, path: Path, device: str, fingerprint: dict[str, Any]) -> Table:
        """A new table, or the one that is there, to go on with.

        Raises HwnasError, with nothing overwritten, for a table of another fingerprint or format, a file that is no table, a
        table that another process is writing.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        header = {"format": FORMAT, "device": device, "fingerprint": fingerprint, "hwnas": __version__, "created": now}
        journal = Journal.open(path, header)
        try:
            table = cls(journal)
            if differing := differences(table.fingerprint, fingerprint):
                way_out = "rows of the two must not mix: measure into another --lut folder, or move the table away"
                raise HwnasError(f"{path}: was measured under another fingerprint ({'; '.join(differing)}): {way_out}")
            return table
        except BaseException:
            journal.close()
            raise

    @classmethod
    def read(cls, path: Path) -> Table:
        """The table as it is now, to look at; another process may be writing it."""
        return cls(Journal.read(path))

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives back the lock."""
        self._journal.close()

    def append(self, key: str, round: int, sample: Sample) -> None:
        """Adds a row; it is on disk when this returns. Raises HwnasError if the disk is full."""
        at = {"at": int(time.time())} if key == SENTINEL else {}  # these come often enough to tell when a sitting was
        row = {"key": key, "round": round, "sitting": self._sitting, **at, **sample.to_dict()}
        best_ns = self.best_ns
        self._journal.append(row)
        self._add(row, len(self._journal.rows) + 1)
        if self.best_ns != best_ns:
            self._hold()

    @property
    def keys(self) -> list[str]:
        """All measured keys, failed ones too, in the order of their first row."""
        return list(self._samples)

    def has(self, key: str, round: int) -> bool:
        return round in self._samples.get(key, ())

    @property
    def failed(self) -> dict[str, str]:
        """Key -> reason, of all keys that failed in any round: search treats them as not available."""
        return {key: s.error for key in self._samples for s in self.samples(key) if s.error is not None}

    @property
    def sentinels(self) -> dict[tuple[int, int], list[Sample]]:
        """(sitting, round) -> the samples of the sentinel block taken in it."""
        found: dict[tuple[int, int], list[Sample]] = defaultdict(list)
        for _, group, sample in self._sentinels:
            found[group].append(sample)
        return dict(found)

    @property
    def measured_at(self) -> int | None:
        """When it was measured last, in seconds since 1970; None where it does not say."""
        times = [row["at"] for row in self._journal.rows if type(row.get("at")) is int]
        return max(times, default=None)

    def samples(self, key: str) -> list[Sample]:
        """The samples of a key, one for each round, held against the best that any row knew."""
        return [sample for _, sample in self._samples.get(key, {}).values()]

    def values(self, clock: Clock = "auto") -> dict[str, float]:
        """Key -> latency in ms, of all keys that did not fail: the 20th percentile of a round's repeats, averaged over rounds.

        Within a round the percentile keeps disturbances out. Between rounds a file is loaded anew and lies elsewhere in memory, which
        changes a block of some microseconds by several percent for as long as it is loaded: that is averaged, not chosen from. A quarter
        of the rounds at either end is left out (a trimmed mean): some rounds meet a neighbour that nothing shows.
        Rounds in which somebody slowed the core all the time are left out where the key has others; see Sample.slowed.
        clock: "auto" is CPU time where every sample has it (single-threaded runs on a CPU), else wall time. How fast the
        machine was at the time, is divided out: see Level.
        """
        return {key: float(scipy.stats.trim_mean(rounds, TRIMMED)) for key, rounds in self._rounds(clock).items()}

    def standard_error(self, clock: Clock = "auto") -> dict[str, float]:
        """Key -> the standard error of its value, relative to it; of keys with two rounds or more.

        That of a trimmed mean (Tukey and McLaughlin, 1963): the deviation of the rounds with those at either end drawn in to the outermost
        that is kept, over the share kept and sqrt(rounds).
        """
        return {key: _standard_error(np.array(rounds)) for key, rounds in self._rounds(clock).items() if len(rounds) > 1}

    def level(self, clock: Clock = "auto") -> Level:
        """How slow the machine was at each row."""
        samples = [s for rounds in self._samples.values() for _, s in rounds.values()]
        return Level(samples, [(line, s) for line, _, s in self._sentinels], self._clock(clock), self.best_ns)

    def drift(self, clock: Clock = "auto") -> dict[tuple[int, int], float]:
        """(sitting, round) -> how slow the machine was in it, 1 is the median over the table: by the undisturbed sentinel blocks."""
        group_of = {line: group for line, group, _ in self._sentinels}
        levels: dict[tuple[int, int], list[float]] = defaultdict(list)
        for line, level, slowed in self.level(clock).sentinels:
            if not slowed:
                levels[group_of[line]].append(level)
        return {group: float(np.median(v)) for group, v in levels.items()}

    def drifted(self, limit: float, clock: Clock = "auto") -> dict[tuple[str, int], float]:
        """(key, round) -> level, of the rows measured while the machine was off by more than `limit` (0.2 is 20 %).

        Level is relative to the median over the table. So much is no longer a drift that can be divided out. Rows on a slowed core are
        not in it where at least half of their key's rounds were undisturbed: those do.
        """
        level, found = self.level(clock), {}
        for key, rounds in self._samples.items():
            slowed = {r: level.slowed(sample) for r, (_, sample) in rounds.items()}
            enough = 2 * sum(slowed.values()) <= len(slowed)
            for r, (line, sample) in rounds.items():
                at = level(line, sample)
                if sample.error is None and abs(at - 1) > limit and not (slowed[r] and enough):
                    found[key, r] = at
        return found

    def _rounds(self, clock: Clock) -> dict[str, list[float]]:
        """Key -> the 20th percentile of the repeats of each of its rounds that count in ms, drift divided out; without keys that failed."""
        clock, failed, found = self._clock(clock), self.failed, {}
        level = self.level(clock)
        for key, rounds in self._samples.items():
            if key not in failed:
                undisturbed = [(line, sample) for line, sample in rounds.values() if not level.slowed(sample)]
                found[key] = [s.latency_ms(clock) / level(line, s) for line, s in undisturbed or rounds.values()]
        return found

    def _clock(self, clock: Clock) -> Clock:
        """What "auto" stands for: CPU time where every sample has it."""
        if clock != "auto":
            return clock
        return "cpu" if all(s.cpu_ns is not None for key in self.keys for s in self.samples(key) if s.error is None) else "wall"

    def _add(self, row: dict[str, Any], line: int) -> None:
        key, round, sitting = row.get("key"), row.get("round"), row.get("sitting")
        try:
            if not isinstance(key, str) or type(round) is not int or type(sitting) is not int:
                raise ValueError(f"key {key!r}, round {round!r}, sitting {sitting!r}")
            sample = Sample.from_dict(row)
        except ValueError as error:
            raise HwnasError(f"{self.path}: line {line} is not a row of a table: {error}. Delete the line to measure it again") from None
        if sample.best_ns is not None:
            self.best_ns = min(sample.best_ns, self.best_ns or sample.best_ns)
        if key == SENTINEL:
            self._sentinels.append((line, (sitting, round), sample.against(self.best_ns)))
        else:
            self._samples[key][round] = line, sample.against(self.best_ns)

    def _hold(self) -> None:
        """Holds all samples against the best that any row knew, after a better one was found."""
        for rounds in self._samples.values():
            for r, (line, sample) in rounds.items():
                rounds[r] = line, sample.against(self.best_ns)
        self._sentinels = [(line, group, sample.against(self.best_ns)) for line, group, sample in self._sentinels]


def _standard_error(rounds: np.ndarray) -> float:
    n = len(rounds)
    ordered, cut = np.sort(rounds), int(TRIMMED * n)
    drawn_in = np.clip(ordered, ordered[cut], ordered[-1 - cut])
    return float(np.std(drawn_in, ddof=1) / (1 - 2 * cut / n) / np.sqrt(n) / scipy.stats.trim_mean(ordered, TRIMMED))


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """`host.cpu: 'A' there, 'B' here`, for each leaf in which two nested dicts differ."""
    found = []
    for name in {**old, **new}:
        a, b, where = old.get(name), new.get(name), f"{path}{name}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, where + ".")
        elif a != b:
            found.append(f"{where}: {a!r} there, {b!r} here")
    return found
