"""The cross table: architectures timed on every device of a run, each cell kept as soon as it is measured."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import numpy as np

from ..cost import METRICS
from ..deploy import RULES, counts, time_file, write_files
from ..deploy.timing import MAX_PREEMPTED, Timing
from ..device import find_device
from ..errors import HwnasError
from ..journal import Journal
from ..lower import lower
from ..profiler import is_estimate, load_profiler
from ..search import Target
from ..space import Space
from ..supernet import Supernet, fix
from .run_folder import RunFolder, stamp

FORMAT = 1  # 1: rows {device, of, code, measured, counted, at}; measured and counted as in a certificate
Cell = Mapping[str, Any]


class Cross:
    """`with Cross(run, net) as cross: cross.cell(z, "onnx-cpu")`: timed now, or read from runs/x/cross.jsonl.

    Timed is the device's own file of the architecture, by the run's rules for certificates. Weights do not change the time, so
    none are trained for it. A device that cannot be reached gives no cell, and is not asked again.
    """

    def __init__(self, run: RunFolder, net: Supernet):
        self.run, self.net = run, net
        self.away: dict[str, str] = {}  # device -> why it gives no cells

    def __enter__(self) -> Cross:
        self._journal = closing(Journal.open(self.run.path / "cross.jsonl", {"format": FORMAT}))
        journal = self._journal.__enter__()
        if journal.header.get("format") != FORMAT:
            self._journal.__exit__(None, None, None)
            raise HwnasError(f"{journal.path}: format {journal.header.get('format')!r}, this hwnas reads {FORMAT}: move it away")
        self._append = journal.append
        self._known: dict[str, Cell] = {_key(r["device"], r["of"], r["code"]): r for r in journal.rows}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._journal.__exit__(kind, error, trace)

    def known(self, z: np.ndarray, device: str) -> bool:
        """Whether the cell needs no measuring: it is there, or its device is away."""
        return device in self.away or self._key(z, device) in self._known

    def cell(self, z: np.ndarray, device: str) -> Cell | None:
        """{measured: {p50_ms, p50_upper_ms, ...}, counted: {file_bytes, ...}} of architecture z (genes,); None where the device is away."""
        if device not in self.away and (key := self._key(z, device)) not in self._known:
            try:
                self._known[key] = self._measured(z, device)
            except HwnasError as error:
                self.away[device] = str(error)
        return None if device in self.away else self._known[self._key(z, device)]

    def add(self, z: np.ndarray, device: str, certificate: Mapping[str, Any]) -> None:
        """Takes a certificate's figures for a cell, so that it is not measured twice."""
        upper = {field: kept["value"] for field, kept in certificate["limits"].items()}
        self._known[self._key(z, device)] = {"measured": certificate["measured"] | {"upper": upper}, "counted": certificate["counted"]}

    def _measured(self, z: np.ndarray, device: str) -> Cell:
        found, rules = find_device(device, self.run.lut), RULES[self.run.experiment.rules]
        suffix, module = load_profiler(found.runtime).suffix, fix(self.net, z).eval()
        shape = (found.batch, self.run.data.shape[0], *self.run.space.input_size(z))
        with TemporaryDirectory(prefix="hwnas-") as folder:
            file = write_files(module, shape, Path(folder), (suffix,), found, None)[suffix]
            counted = {"file_bytes": file.stat().st_size, **counts(lower(module, shape), found.dtype)}
            timing = time_file(found, file, rules)
        measured = timing.to_dict() | {"estimate": is_estimate(timing.fingerprint), "upper": _uppers(timing)}
        row = {"device": device, "of": self._of(device), "code": self._code(z), "measured": measured, "counted": counted, "at": time.time()}
        self._append(row)
        return row

    def _key(self, z: np.ndarray, device: str) -> str:
        return _key(device, self._of(device), self._code(z))

    def _code(self, z: np.ndarray) -> list[int]:
        return [int(v) for v in self.run.space.canonical(z[None])[0]]

    def _of(self, device: str) -> str:
        """What else a cell depends on."""
        return stamp(self.run.space.hash, find_device(device, self.run.lut).settings, self.run.experiment.rules)


def keeps(target: Target, cell: Cell) -> bool | None:
    """Whether a cell keeps the limits of a budget, as a certificate would judge it; None where its timing proves nothing."""
    measured = cell["measured"]
    if measured.get("estimate") or measured["preempted"] > MAX_PREEMPTED * measured["samples"]:
        return None
    for field, limit in zip(target.fields, target.limits):
        told = cell["counted"] | {"latency_ms": measured["p50_upper_ms"]} | measured.get("upper", {})
        if field not in told:
            return None
        if told[field] > limit:
            return False
    return True


def _uppers(timing: Timing) -> dict[str, float]:
    """Field -> what a budget of it is held against, of all that the device told."""
    found = {}
    for metric in METRICS.values():
        if metric.measured:
            try:
                found[metric.field] = timing.upper(metric.field)
            except HwnasError:
                continue
    return found


def read_cells(run: RunFolder, space: Space) -> dict[tuple[str, tuple[int, ...]], Cell]:
    """(device, code) -> the latest cell of these settings, for a reader that measures nothing; a torn last line is left out."""
    found = {}
    try:
        lines = (run.path / "cross.jsonl").read_text().splitlines()[1:]
    except OSError:
        return {}
    for line in lines:
        try:
            row = json.loads(line)
            of = stamp(space.hash, find_device(row["device"], run.lut).settings, run.experiment.rules)
            if row["of"] == of:
                found[row["device"], tuple(row["code"])] = row
        except (ValueError, KeyError, TypeError, HwnasError):
            continue
    return found


def _key(device: str, of: str, code: list[int]) -> str:
    return json.dumps([device, of, code])
