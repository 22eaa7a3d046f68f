"""Before a search: how fast are the devices today, and are their tables to be trusted?"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ..device import find_device
from ..errors import HwnasError
from ..predict import Drift, find_trust, retime
from ..predict.device_model import calibration_for
from ..predict.trust import table_digest
from ..shipped import table_folder
from ..table import Table
from .progress import Show, silent
from .run_folder import RunFolder, write_json

STALE_S = 600.0  # a level measured longer ago than this is measured again


def retime_devices(run: RunFolder, show: Show = silent, again: bool = False, skip: bool = False) -> dict[str, Drift | str]:
    """Device -> how fast it is today against its table, or why that is not known; only of those timed now.

    It costs seconds a device, and is recorded in the run: a search that is done stands as it was made. Timed again is what has no record,
    or with `again` what was timed (or whose table was measured) more than ten minutes ago; a level that moved by no more than the bound
    allows for keeps the record, so that what depends on it stays. skip: tables are taken as they are.
    """
    found: dict[str, Drift | str] = {}
    for name in run.experiment.devices:
        folder, path = table_folder(run.lut, name), _record(run, name)
        if not (folder / "table.jsonl").exists() or not (folder / "calibration.json").exists():
            continue
        before, table = _read(path), Table.read(folder / "table.jsonl")
        same_table = before is not None and before["table"] == [table_digest(table), table.measured_at]
        if before is not None and same_table and not skip and (not again or time.time() - before["level_of"] < STALE_S):
            continue
        record: dict[str, Any] = {
            "table": [table_digest(table), table.measured_at],
            "drift": None,
            "reason": "",
            "level_of": table.measured_at or 0,
        }
        if skip:
            record["reason"] = "not timed again, as was asked"
        elif time.time() - record["level_of"] >= STALE_S:
            try:
                with show(f"time {name} again") as advance:
                    drift = retime(
                        run.space, find_device(name, run.lut), folder, report=lambda i, n, key, sample: advance(i, n, "sentinel networks")
                    )
                record |= {"drift": drift.to_dict(), "level_of": time.time()}
                found[name] = drift
                old = Drift.from_dict(before["drift"]) if before and same_table and before["drift"] else None
                if old and abs(drift.factor / old.factor - 1) <= old.term:
                    record["drift"] = old.to_dict()
            except HwnasError as error:
                record["reason"] = found[name] = str(error)
        write_json(path, record)
    return found


def recorded_drift(run: RunFolder, device: str) -> Drift | None:
    """The level that this run's searches take for the device; None if its table is taken as it is."""
    record = _read(_record(run, device))
    return Drift.from_dict(record["drift"]) if record and record["drift"] else None


def require_trust(run: RunFolder, device: str) -> None:
    """Raises HwnasError for a table whose trust report is missing, of another table, or bad.

    A device whose latencies come from other devices' tables has no report, but the bound of its own measurements.
    """
    folder = table_folder(run.lut, device)
    trust = find_trust(folder, run.space.hash)
    if trust is None and _only_transferred(folder):
        return
    command = f"hwnas lut trust {device} --space '{run.space.spec}'"
    if trust is None:
        raise HwnasError(f"device {device!r}: no trust report for this space and table: `{command}` makes one, or search with --force")
    if trust.reasons:
        raise HwnasError(f"device {device!r}: its latencies are not to be trusted: {'; '.join(trust.reasons)}: see `{command}`; "
                         f"profile more blocks and rounds on a quieter machine, or search with --force")  # fmt: skip


def mistrust(run: RunFolder, device: str) -> str:
    """Why a search that is not forced refuses the device's table; empty for one that it takes, and where there is none."""
    folder = table_folder(run.lut, device)
    if not (folder / "table.jsonl").exists():
        return ""
    try:
        if not _only_transferred(folder):
            calibration_for(run.space, Table.read(folder / "table.jsonl"))
        require_trust(run, device)
    except HwnasError as error:
        return str(error)
    return ""


def table_facts(run: RunFolder, device: str) -> dict[str, Any]:
    """What a certificate says of the table behind a prediction: its fingerprint, trust, and the level taken for today."""
    folder = table_folder(run.lut, device)
    table, record = Table.read(folder / "table.jsonl"), _read(_record(run, device))
    trust = find_trust(folder, run.space.hash)
    return {
        "fingerprint": table.fingerprint,
        "provenance": table.provenance,
        "trust": {"verdict": trust.verdict, "held_out": trust.held_out.to_dict(), "covered": trust.covered} if trust else None,
        "forced_over": mistrust(run, device) if run.experiment.search.force else "",
        "drift": record["drift"] if record else None,
        "not_timed_again": record["reason"] if record else "",
    }


def _only_transferred(folder: Path) -> bool:
    """Whether all that is known of the device's latencies comes from other devices' tables and a few networks."""
    return (folder / "transfer.json").exists() and not (folder / "calibration.json").exists()


def _record(run: RunFolder, device: str) -> Path:
    return run.path / "devices" / device / "drift.json"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    complete = isinstance(data, dict) and data.keys() >= {"table", "drift", "reason", "level_of"}
    return data if complete else None
