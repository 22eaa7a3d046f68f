"""check_table: everything that can be wrong with a table, at once, with the line it stands in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy

from ..block import Block
from ..cost.facts import facts, program_of
from ..device import Device
from ..errors import HwnasError
from ..lower.features import features
from ..measure.quietness import DRIFT_LIMIT, ERROR_LIMIT, QUARANTINE, REJECTED_LIMIT
from ..predict.calibration import CALIBRATIONS
from ..predict.choose import OVERHEAD
from ..predict.trust import REPORTS, table_digest
from ..sample import Sample
from ..table import FORMAT, SENTINEL, Table
from .facts_only import is_private
from .provenance import changed_since, content_hash
from .raw import RawTable

# Multiply-accumulates a second that nothing exceeds: per CPU thread 2 x 512-bit FMA at 6 GHz are 0.19e12 in fp32, and Winograd
# saves a factor of 4 at most; int8 and bf16 tiles (AMX) do 4e12; accelerators are below 2e15.
PEAK_FP32, PEAK_SMALL, PEAK_ACCELERATOR = 1e12, 8e12, 4e15
SHORTEST_MS = 50e-6  # a call of any runtime lasts longer than 50 ns
CONTRADICTION = 1.5  # two timings of one block and round that are further apart than this are not two of one thing
OUTLIER = 8.0  # times faster or slower than the table's other blocks say: the answer to another block, or a loaded machine
FAILED_LIMIT = 0.05


@dataclass(frozen=True)
class Finding:
    """One thing that was found. An error means that figures made with the table would be wrong."""

    level: Literal["error", "warning"]
    check: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.level}: {self.check}: {f'line {self.line}: ' if self.line else ''}{self.text}"


@dataclass(frozen=True)
class Checked:
    """A table's facts and findings; `ok` if there is no error among them."""

    path: Path
    device: str
    content: str  # hash
    blocks: int
    networks: int
    rows: int
    failed: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not any(f.level == "error" for f in self.findings)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "ok": self.ok}


def check_table(path: Path) -> Checked:
    """Reads a table and the files beside it. Raises HwnasError only if it cannot be read at all."""
    raw = RawTable.read(path)
    rows = [row for _, row in raw.rows]
    table = raw.table if raw.has_right_format else None
    findings = [*_lines(raw), *_duplicates(raw, table), *_private(raw)]
    if table:
        findings += [*_plausible(raw, table), *_machine(table), *_files_beside(path, table)]
    if wrong := changed_since({**raw.header, "fingerprint": raw.fingerprint}, rows):
        findings.append(Finding("error", "provenance", wrong))
    keys = {row["key"] for row in rows} - {SENTINEL}
    networks = sum(k.startswith("net(") for k in keys)
    failed = len(table.failed) if table else 0
    content = content_hash(raw.fingerprint, rows)
    ordered = sorted(findings, key=lambda f: (f.level != "error", f.check))
    return Checked(path, str(raw.header.get("device")), content, len(keys) - networks, networks, len(rows), failed, tuple(ordered))


def _lines(raw: RawTable) -> Iterator[Finding]:
    if not raw.has_right_format:
        found = f"format {raw.header.get('format')!r} with fingerprint {type(raw.header.get('fingerprint')).__name__}"
        yield Finding("error", "format", f"{found}: this hwnas reads format {FORMAT}", 1)
    for number, reason in raw.broken.items():
        yield Finding("error", "rows", f"{reason}: delete the line to have it measured again", number)
    if raw.torn_bytes:
        yield Finding("warning", "torn", f"the last line was torn by a kill ({raw.torn_bytes} bytes): the next profile drops it")
    if not raw.rows and not raw.broken:
        yield Finding("error", "rows", "there is none")
    for number, row in raw.rows:
        if row["key"] != SENTINEL and not row["key"].startswith("net("):
            try:
                Block.parse(row["key"])
            except HwnasError as error:
                yield Finding("error", "keys", str(error), number)


def _duplicates(raw: RawTable, table: Table | None) -> Iterator[Finding]:
    """A failure that was measured again later is no duplicate, nor is a row in quarantine: see hwnas.measure.measure.

    In quarantine by what is known now, or by what was then: a core's best time that was found later may call the row undisturbed.
    """
    slowness = table.level() if table else lambda line, sample: 1.0
    seen: dict[tuple[str, int], tuple[int, Sample]] = {}
    for number, row in raw.rows:
        sample = Sample.from_dict(row)
        if row["key"] == SENTINEL or sample.error is not None:
            continue
        before = seen.get((row["key"], row["round"]))
        seen[row["key"], row["round"]] = number, sample
        if before is None or abs(slowness(*before) - 1) > QUARANTINE or _was_slow(before[1]):
            continue
        what = f"{row['key']} round {row['round']} is there twice, first in line {before[0]}"
        if before[1] == sample:
            yield Finding("warning", "duplicates", f"{what}, with the same timings", number)
            continue
        old, new = before[1].latency_ms() / slowness(*before), sample.latency_ms() / slowness(number, sample)
        ratio = max(old, new) / min(old, new)
        level: Literal["error", "warning"] = "error" if ratio > CONTRADICTION else "warning"
        yield Finding(level, "duplicates", f"{what}: {1000 * old:.4g} us, then {1000 * new:.4g} us", number)


def _was_slow(sample: Sample) -> bool:
    """Whether the fixed computation beside it told so when it was measured."""
    own_ns, best_ns = sample.undisturbed_ns, sample.best_ns
    return own_ns is not None and best_ns is not None and own_ns > (1 + QUARANTINE) * best_ns


def _plausible(raw: RawTable, table: Table) -> Iterator[Finding]:
    """Values that no device can have, and blocks whose time does not fit with all others'."""
    device = table.fingerprint.get("device", {})
    accelerator = device.get("runtime") == "gpu" or any(k in device.get("options", {}) for k in ("providers", "delegate", "device"))
    per_thread = PEAK_FP32 if device.get("dtype", "fp32") == "fp32" else PEAK_SMALL
    peak = PEAK_ACCELERATOR if accelerator else per_thread * device.get("threads", 1)
    impossible: dict[str, str] = {}
    blocks: dict[str, Block] = {}
    for key in {row["key"] for _, row in raw.rows}:
        try:
            if key != SENTINEL and not key.startswith("net("):
                blocks[key] = Block.parse(key)
                facts(blocks[key])
        except Exception:  # not a key, or an operator that this installation does not have: said elsewhere, or not ours to judge
            blocks.pop(key, None)
    for number, row in raw.rows:
        sample = Sample.from_dict(row)
        if sample.error is not None:
            continue
        ms, key = sample.latency_ms(), row["key"]
        rate = facts(blocks[key]).macs / (ms / 1e3) if key in blocks else 0.0
        if ms < SHORTEST_MS:
            impossible[key] = f"{key} in {ms * 1e6:.3g} ns: no call is that short"
            yield Finding("error", "impossible", impossible[key], number)
        elif rate > peak:
            impossible[key] = (
                f"{key} in {1000 * ms:.3g} us is {rate:.2g} multiply-accumulates a second, above any such device's peak ({peak:.1g})"
            )
            yield Finding("error", "impossible", impossible[key], number)
        if sample.cpu_ms is not None and np.median(sample.cpu_ms) > 1.2 * np.median(sample.wall_ms) + 0.002:
            yield Finding("error", "clocks", f"{key}: more CPU time than wall time in one thread", number)
    values = {k: v for k, v in table.values().items() if k in blocks and k not in impossible and k != str(OVERHEAD)}
    if len(values) < 30:
        return
    keys, times = list(values), np.array(list(values.values()))
    ratio = times / _usual(np.array([list(features(program_of(blocks[k])).values()) for k in keys], float), times)
    far = sorted((abs(float(np.log(r))), k, float(r)) for k, r in zip(keys, ratio) if not 1 / OUTLIER < r < OUTLIER)
    for _, key, r in far[::-1][:10]:
        text = f"{key} took {r:.2g} times what blocks like it take: the answer to another block? Delete its lines to measure it again"
        yield Finding("warning", "outliers", text)


def _usual(sums: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(n,) what rows with such sums (n, features) take, by all of them: least squares on relative errors, in which no row counts more than
    three times its share: a wrong one would bend the fit towards itself."""
    scale = np.maximum(sums.max(0), 1e-12)
    kept, usual = times, np.full(len(times), np.median(times))
    for _ in range(5):
        weights, _ = scipy.optimize.nnls(sums / scale / usual[:, None], kept / usual)
        usual = np.maximum(sums / scale @ weights, 1e-9)
        usual *= np.median(times / usual)
        kept = np.clip(times, usual / 3, usual * 3)
    return usual


def _machine(table: Table) -> Iterator[Finding]:
    samples = [s for key in table.keys for s in table.samples(key)]
    good = [s for s in samples if s.error is None]
    keys, failed, errors = table.keys, table.failed, table.standard_error()
    if failed and len(failed) > FAILED_LIMIT * len(keys):
        reason, count = Counter(r[:80] for r in failed.values()).most_common(1)[0]
        yield Finding("warning", "failed", f"{len(failed)} of {len(keys)} failed; {count} with {reason!r}")
    if repeats := sum(len(s.wall_ns) for s in good):
        rejected = sum(s.rejected for s in good) / repeats
        if rejected > REJECTED_LIMIT:
            yield Finding("warning", "preempted", f"{rejected:.0%} of repeats: other programs wanted the core")
    if errors and (typical := float(np.median(list(errors.values())))) > ERROR_LIMIT:
        worst = ", ".join(f"{k} {2 * v:.0%}" for k, v in sorted(errors.items(), key=lambda item: -item[1])[:3])
        yield Finding("warning", "noise", f"a typical row is known within {2 * typical:.0%} only; noisiest: {worst}")
    drift: dict[int, list[float]] = defaultdict(list)
    for (sitting, _), level in table.drift().items():
        drift[sitting].append(level)
    if drift and (most := max(abs(x - 1) for levels in drift.values() for x in levels)) > DRIFT_LIMIT:
        sittings = ", ".join(f"sitting {s}: {min(v):.2f} to {max(v):.2f}" for s, v in drift.items())
        yield Finding("warning", "drift", f"the sentinel block drifted by {most:.0%} ({sittings}); it is divided out, as far as it shows")


def _private(raw: RawTable) -> Iterator[Finding]:
    """A note before sharing: `hwnas lut export` leaves these out."""
    lines = [1] if is_private(raw.header) else []
    lines += [number for number, row in raw.rows if row.get("error") and is_private(str(row["error"]))]
    if lines:
        yield Finding("warning", "private", f"{len(lines)} lines hold a path or an address: `hwnas lut export` leaves them out", lines[0])


def _files_beside(path: Path, table: Table) -> Iterator[Finding]:
    """device.toml, calibration.json and trust.json were made for this very table, or they are not its own."""
    toml = path.parent / "device.toml"
    if toml.exists():
        try:
            device = Device.load(toml)
        except HwnasError as error:
            yield Finding("error", "device.toml", str(error))
        else:
            measured = table.fingerprint.get("device", {})
            for name, value in device.settings.items():
                if measured.get(name, value) != value:
                    yield Finding(
                        "error", "fingerprint", f"device.toml says {name} = {value!r}, the table was measured with {measured[name]!r}"
                    )
    for file, kind in ((path.parent / "calibration.json", CALIBRATIONS), (path.parent / "trust.json", REPORTS)):
        try:
            digests = kind.digests(file)
        except HwnasError as error:
            yield Finding("error", "fingerprint", str(error))
            continue
        for space, digest in digests.items():
            if digest != table_digest(table):
                yield Finding("error", "fingerprint", f"{file.name}: space {space}: was made with a table of another fingerprint")
