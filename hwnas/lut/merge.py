"""merge_tables: rows that were measured in several places under one fingerprint, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import HwnasError
from ..table import SENTINEL, differences
from .provenance import content_hash, event, write_table
from .raw import RawTable


def merge_tables(paths: Sequence[Path], out: Path, device: str, by: str = "", overwrite: bool = False) -> str:
    """Writes the table of all rows to `out`; returns what was done in one line.

    Every table must have the very same fingerprint. Of one (key, round) with the same timings one row is kept; with other timings
    both are measurements, and the later becomes another round of its key. A failure is dropped where the key succeeded
    elsewhere: it can run. Raises HwnasError, with nothing written, that names the fields which disagree, or the line that is damaged.
    """
    if len(paths) < 2:
        raise HwnasError("merge: give at least two tables")
    tables = [RawTable.read(path) for path in paths]
    for table in tables:
        if not table.has_right_format or table.broken:
            raise HwnasError(f"{table.path}: is damaged: `hwnas lut check {table.path}` says where")
        if found := differences(tables[0].fingerprint, table.fingerprint):
            raise HwnasError(f"{paths[0]} and {table.path} must not mix: their fingerprints differ in {'; '.join(found)}")
    succeeded = {row["key"] for t in tables for _, row in t.rows if row.get("error") is None}
    rows: list[dict[str, Any]] = []
    kept: dict[str, dict[int, dict[str, Any]]] = {}
    sittings = same = renumbered = failures = 0
    for table in tables:
        last = 0
        for _, row in table.rows:
            last = max(last, row["sitting"])
            moved = {**row, "sitting": row["sitting"] + sittings}
            key = row["key"]
            if key == SENTINEL:
                rows.append(moved)
                continue
            if row.get("error") is not None and key in succeeded:
                failures += 1
                continue
            rounds = kept.setdefault(key, {})
            if any(_timings(row) == _timings(other) for other in rounds.values()):
                same += 1
                continue
            if row["round"] in rounds:
                moved["round"] = max(rounds) + 1
                renumbered += 1
            rounds[moved["round"]] = moved
            rows.append(moved)
        sittings += last
    sources = [{"content": content_hash(t.fingerprint, [row for _, row in t.rows]), "rows": len(t.rows)} for t in tables]
    header = {**tables[0].header, "provenance": [e for t in tables for e in t.header.get("provenance", [])]}
    write_table(out, device, header, rows, event("merged", by, {"sources": sources}), overwrite)
    dropped = f"{same} rows were there twice, {renumbered} became further rounds, {failures} failures of keys that run were dropped"
    return f"{len(rows)} rows of {len(kept)} blocks and networks from {len(tables)} tables; {dropped}"


def _timings(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("round", "sitting")}
