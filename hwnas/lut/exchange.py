"""Tables out of hwnas: a CSV of values, a parquet file of all raw timings, or a folder to publish. Facts only."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..block import Block
from ..device import Device
from ..errors import HwnasError
from ..files import write_atomic
from ..predict.calibration import CALIBRATIONS
from ..predict.trust import Trust, table_digest
from ..sample import Sample
from ..table import SENTINEL, Table
from .facts_only import facts_only
from .provenance import content_hash, event, write_table
from .raw import RawTable

METADATA = b"hwnas"  # key of the header in a parquet file's schema
BLOCK_COLUMNS = ("op", "cin", "cout", "height", "width", "stride", "kernel", "expand", "se", "inputs", "act")
COLUMNS = ("key", "kind", *BLOCK_COLUMNS, "latency_ms", "rounds", "standard_error", "first_run_ms", "load_s", "error")


def shareable(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(header, rows) of a table with nothing in them but facts: known fields only, addresses and paths out.

    Raises HwnasError for a damaged table: that is not for others.
    """
    raw = RawTable.read(path)
    if not raw.has_right_format or raw.broken:
        raise HwnasError(f"{path}: is damaged, so it is not for others: `hwnas lut check {path}` says where")
    kept = ("format", "device", "fingerprint", "hwnas", "created", "provenance")
    header = facts_only({name: raw.header[name] for name in kept if name in raw.header})
    rows = []
    for _, row in raw.rows:
        fields = {name: v for name, v in Sample.from_dict(row).to_dict().items() if v is not None}
        at = {"at": row["at"]} if type(row.get("at")) is int else {}
        rows.append({"key": row["key"], "round": row["round"], "sitting": row["sitting"], **at, **facts_only(fields)})
    return header, rows


def export_csv(path: Path, out: Path) -> str:
    """One line for each block and network: what it is and its latency. For spreadsheets; raw timings stay behind."""
    table = Table.read(path)
    values, errors, failed = table.values(), table.standard_error(), table.failed
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for key in table.keys:
        samples = [s for s in table.samples(key) if s.error is None]
        network = key.startswith("net(")
        line: dict[str, Any] = {"key": key, "kind": "network" if network else "block", "rounds": len(samples)}
        if not network:
            block = Block.parse(key)
            line |= {name: getattr(block, name) for name in BLOCK_COLUMNS}
        if key in failed:
            line["error"] = facts_only(failed[key])
        else:
            line |= {"latency_ms": f"{values[key]:.6g}", "standard_error": f"{errors[key]:.4f}" if key in errors else ""}
            for name in ("first_run_ms", "load_s"):
                if found := [v for s in samples if (v := getattr(s, name)) is not None]:
                    line[name] = f"{np.median(found):.6g}"
        writer.writerow(line)
    write_atomic(out, text.getvalue())
    return f"{len(table.keys)} blocks and networks, values only"


def export_parquet(path: Path, out: Path, by: str = "") -> str:
    """Every raw timing, with the header in the file's metadata: `import_parquet` makes the same table of it again."""
    header, rows = shareable(path)
    content = content_hash(header["fingerprint"], rows)
    header["provenance"] = [*header.get("provenance", []), event("exported", by, {"rows": len(rows), "content": content})]
    values = Table.read(path).values()
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(n for row in rows for n in row)}
    columns["latency_ms"] = [None if row.get("error") or row["key"] == SENTINEL else values.get(row["key"]) for row in rows]
    found = pa.table(columns).replace_schema_metadata({METADATA: json.dumps(header)})
    buffer = io.BytesIO()
    pq.write_table(found, buffer, compression="zstd")
    write_atomic(out, buffer.getvalue())
    return f"{len(rows)} rows, content {content[:16]}"


def export_folder(path: Path, out: Path, by: str = "", overwrite: bool = False) -> str:
    """A device folder named as it shall be known: table, device.toml, and its calibration and trust report where there are some."""
    header, rows = shareable(path)
    settings = header["fingerprint"].get("device", {})
    device = Device.named(out.name, settings, str(out))
    digest = table_digest(Table.read(path))
    content = write_table(out / "table.jsonl", device.name, header, rows, event("exported", by), overwrite)
    device.save(out / "device.toml")
    made_with = table_digest(Table.read(out / "table.jsonl"))
    done = []
    if (calibration := path.parent / "calibration.json").exists():
        spaces = {s: f for s, f in CALIBRATIONS.read(calibration).items() if f.get("table_fingerprint") == digest}
        CALIBRATIONS.write(out / "calibration.json", {s: {**f, "table_fingerprint": made_with} for s, f in spaces.items()})
        done.append(f"calibrated for {len(spaces)} space(s)")
    for report in Trust.load_all(path.parent / "trust.json"):
        if report.table_fingerprint == digest:
            report.made_with(made_with, device.name).save(out / "trust.json")
            done.append(f"trust: {report.verdict}")
    return ", ".join([f"{len(rows)} rows, content {content[:16]}", *done])
