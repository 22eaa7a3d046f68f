"""Table: the latencies of one device, append-only, with the fingerprint they were measured under."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__
from .errors import HwnasError
from .journal import Journal
from .sample import Clock, Sample

# History of the format: 1: header {format, device, fingerprint, hwnas, created}; rows {key, round, sitting, ...sample}.
FORMAT = 1
SENTINEL = "sentinel"  # key of the rows of the block that is the same in every table; no block's key, which have brackets
DRIFT = 0.01  # what is below this is the sentinel's own noise


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
        self._samples: dict[str, dict[int, tuple[int, Sample]]] = defaultdict(dict)  # key -> round -> (sitting, sample)
        self._sentinels: dict[tuple[int, int], list[Sample]] = defaultdict(list)  # (sitting, round) -> samples
        for number, row in enumerate(journal.rows, 2):
            self._add(row, number)
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
            if differences := _differences(table.fingerprint, fingerprint):
                way_out = "rows of the two must not mix: measure into another --lut folder, or move the table away"
                raise HwnasError(f"{path}: was measured under another fingerprint ({'; '.join(differences)}): {way_out}")
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
        row = {"key": key, "round": round, "sitting": self._sitting, **sample.to_dict()}
        self._journal.append(row)
        self._add(row, len(self._journal.rows) + 1)

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
        return dict(self._sentinels)

    def samples(self, key: str) -> list[Sample]:
        """The samples of a key, one for each round."""
        return [sample for _, sample in self._samples.get(key, {}).values()]

    def values(self, clock: Clock = "auto") -> dict[str, float]:
        """Key -> latency in ms, of all keys that did not fail: the mean over rounds of the 20th percentile of their repeats.

        Within a round the percentile keeps disturbances out. Between rounds a file is loaded anew and lies elsewhere in memory, which
        changes a block of some microseconds by several percent for as long as it is loaded: that is averaged, not chosen from.
        clock: "auto" is CPU time where every sample has it (single-threaded runs on a CPU), else wall time. The
        times of a round in which the machine drifted (see drift) are divided by its level.
        """
        return {key: float(np.mean([np.percentile(times, 20) for times in rounds])) for key, rounds in self._times(clock).items()}

    def noise(self, clock: Clock = "auto") -> dict[str, float]:
        """Key -> how far its rounds are apart: (largest - smallest) / median of the rounds' own values; 0 for a single round."""
        levels = {key: [np.percentile(times, 20) for times in rounds] for key, rounds in self._times(clock).items()}
        return {key: float((max(v) - min(v)) / np.median(v)) for key, v in levels.items()}

    def drift(self, clock: Clock = "auto") -> dict[tuple[int, int], float]:
        """(sitting, round) -> level of the machine in it, relative to the median over the table, by the sentinel block.

        The level is 1 unless all samples of the sentinel in that round, two at the least, lie more than 1 % off on one side. A busy
        neighbour comes and goes within a round, and dividing by what the sentinel met of it made two profiles differ by 2.0 %
        where they had differed by 1.0 % (60 blocks, TFLite); a processor that throttles shows in all of them.
        """
        good = {group: [s for s in samples if s.error is None] for group, samples in self._sentinels.items()}
        times = {group: [s.latency_ms(clock) for s in samples] for group, samples in good.items() if samples}
        usual = float(np.median([np.median(v) for v in times.values()])) if times else 1.0
        return {group: _level(np.array(v) / usual) for group, v in times.items()}

    def _times(self, clock: Clock) -> dict[str, list[np.ndarray]]:
        """Key -> the repeats (repeats,) of each of its rounds in ms, drift divided out; keys that failed are not in it."""
        if clock == "auto":
            clock = "cpu" if all(s.cpu_ns is not None for key in self.keys for s in self.samples(key) if s.error is None) else "wall"
        failed = self.failed
        drift = self.drift(clock)
        return {
            key: [sample.times_ms(clock) / drift.get((sitting, round), 1.0) for round, (sitting, sample) in rounds.items()]
            for key, rounds in self._samples.items()
            if key not in failed
        }

    def _add(self, row: dict[str, Any], line: int) -> None:
        key, round, sitting = row.get("key"), row.get("round"), row.get("sitting")
        try:
            if not isinstance(key, str) or type(round) is not int or type(sitting) is not int:
                raise ValueError(f"key {key!r}, round {round!r}, sitting {sitting!r}")
            sample = Sample.from_dict(row)
        except ValueError as error:
            raise HwnasError(f"{self.path}: line {line} is not a row of a table: {error}. Delete the line to measure it again") from None
        if key == SENTINEL:
            self._sentinels[sitting, round].append(sample)
        else:
            self._samples[key][round] = sitting, sample


def _level(ratios: np.ndarray) -> float:
    """The median of ratios (samples,) if all of them say that there is a drift, and to the same side; else 1."""
    agreed = len(ratios) > 1 and (ratios.min() > 1 + DRIFT or ratios.max() < 1 - DRIFT)
    return float(np.median(ratios)) if agreed else 1.0


def _differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """`host.cpu: 'A' there, 'B' here`, for each leaf in which two nested dicts differ."""
    found = []
    for name in {**old, **new}:
        a, b, where = old.get(name), new.get(name), f"{path}{name}"
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, where + ".")
        elif a != b:
            found.append(f"{where}: {a!r} there, {b!r} here")
    return found
