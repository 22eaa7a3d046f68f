"""Provenance: what has been done to a table since it was measured, kept in its header, with a hash of what it then held."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import HwnasError
from ..files import write_atomic
from ..table import FORMAT

Row = dict[str, Any]


def content_hash(fingerprint: dict[str, Any], rows: Sequence[Row]) -> str:
    """SHA-256 over the fingerprint and the rows in order, each as canonical JSON: independent of the device's name, of spacing,
    and of fields that say nothing."""
    digest = sha256(_canonical(fingerprint))
    for row in rows:
        digest.update(b"\n" + _canonical({name: v for name, v in row.items() if v is not None}))
    return digest.hexdigest()


def event(what: str, by: str = "", facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One entry of a table's history. by: who did it, if they want to be named: nothing is taken from the system."""
    entry: dict[str, Any] = {"what": what, "at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "tool": f"hwnas {__version__}"}
    if by:
        entry["by"] = by
    return {**entry, **(facts or {})}


def write_table(
    path: Path, device: str, header: dict[str, Any], rows: Sequence[Row], entry: dict[str, Any], overwrite: bool = False
) -> str:
    """Writes a whole table, whole or not at all, with its history continued by `entry`; returns its content hash.

    header: that of the table it was made from: fingerprint, created, hwnas, provenance. Raises HwnasError for a table that is there,
    unless overwrite.
    """
    if path.exists() and not overwrite:
        raise HwnasError(f"{path}: is there already: give another name, or --overwrite")
    content = content_hash(header["fingerprint"], rows)
    history = [*header.get("provenance", []), {**entry, "rows": len(rows), "content": content}]
    kept: dict[str, Any] = {name: header[name] for name in ("hwnas", "created") if name in header}
    first: dict[str, Any] = {"format": FORMAT, "device": device, "fingerprint": header["fingerprint"], **kept, "provenance": history}
    lines = [json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for line in (first, *rows)]
    write_atomic(path, "\n".join(lines) + "\n")
    return content


def changed_since(header: dict[str, Any], rows: Sequence[Row]) -> str:
    """Empty if the rows that the last entry of the history vouches for are still what they were, else what is wrong.

    Rows behind them were measured later: that is no change.
    """
    history = header.get("provenance")
    if not history:
        return ""
    try:
        count, content, what = int(history[-1]["rows"]), history[-1]["content"], history[-1]["what"]
    except (TypeError, KeyError, ValueError, IndexError):
        return "its provenance cannot be read"
    if content_hash(header["fingerprint"], rows[:count]) != content:
        return f"its first {count} rows are not those that were there when it was {what}: someone has changed them"
    return ""


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
