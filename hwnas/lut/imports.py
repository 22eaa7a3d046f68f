"""Tables into hwnas: a CSV of one's own measurements in one's own columns, or a parquet file that hwnas exported."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..block import Block
from ..device import Device
from ..errors import HwnasError, did_you_mean
from ..predict.choose import OVERHEAD
from ..predict.networks import network_key
from ..sample import Sample
from ..space import Space
from ..table import FORMAT, SENTINEL
from .exchange import METADATA
from .provenance import changed_since, event, write_table

UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}
LOOPS = 1000  # times are whole nanoseconds in a table: a thousand inferences of them keep a short block's digits
# Field -> what people call the column. The first that the file has is taken, upper or lower case, unless the user names one.
SYNONYMS = {
    "block": ("block", "key"),
    "network": ("network", "code", "architecture"),
    "latency": ("latency", "latency_ms", "latency_us", "latency_ns", "latency_s", "time", "time_ms", "time_us", "median", "ms", "us"),
    "op": ("op", "operator", "type", "kind_of_block"),
    "cin": ("cin", "c_in", "in_channels", "input_channels", "in_ch"),
    "cout": ("cout", "c_out", "out_channels", "output_channels", "out_ch"),
    "size": ("size", "input_size", "resolution", "hw"),
    "height": ("height", "h", "input_height"),
    "width": ("width", "w", "input_width"),
    "stride": ("stride", "strides"),
    "kernel": ("kernel", "kernel_size", "k"),
    "expand": ("expand", "expansion", "expand_ratio", "t"),
    "se": ("se", "squeeze"),
    "inputs": ("inputs",),
    "act": ("act", "activation"),
    "error": ("error",),  # why a row has no latency
}
_NUMBERS = {f.name for f in fields(Block)} - {"op", "act"}


@dataclass(frozen=True)
class Imported:
    """What came in."""

    content: str
    blocks: int
    networks: int
    columns: dict[str, str]  # field -> column it was read from
    unused: tuple[str, ...]  # columns of the file that nothing was read from
    of_space: tuple[int, int] | None  # (blocks of the space that are in the file, blocks of the space)


def import_csv(
    path: Path,
    folder: Path,
    device: Device,
    *,
    columns: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    unit: str = "",
    ops: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
    space: Space | None = None,
    overhead_ms: float | None = None,
    by: str = "",
    overwrite: bool = False,
) -> Imported:
    """Writes folder/table.jsonl and device.toml from a CSV (or parquet) with a row for each measurement of a block or network.

    columns: field -> column, for those whose names SYNONYMS does not know; constants: field -> value for all rows; ops: the file's
    operator -> ours; facts: `host.cpu` -> text, for the fingerprint; overhead_ms: what one call costs on its own.
    Rows of one block are its rounds. Raises HwnasError, with nothing written, that names the row, the column and the value.
    """
    names, lines = _read(path)
    found = _columns(path, names, columns or {}, constants or {})
    if unit and unit not in UNITS:
        raise did_you_mean("unit", unit, UNITS)
    factor = UNITS[unit or _unit_of(found["latency"])]
    rows: list[dict[str, Any]] = []
    rounds: dict[str, int] = {}
    for number, line in lines:
        cells = {**(constants or {}), **{f: line[column] for f, column in found.items() if line[column] not in ("", None)}}
        where = f"{path}: row {number}"
        key = _key(where, cells, ops or {}, space)
        if "latency" not in cells and cells.get("error"):
            rows.append({"key": key, "round": rounds.get(key, 0), "sitting": 1, "error": str(cells["error"])})
            rounds[key] = rounds.get(key, 0) + 1
            continue
        latency_ms = _number(where, found["latency"], cells.get("latency")) * factor
        if not 0 < latency_ms < 3.6e6:
            raise HwnasError(f"{where}: {found['latency']} = {cells.get('latency')!r}: not the time of an inference")
        rows.append(_row(key, rounds.get(key, 0), latency_ms))
        rounds[key] = rounds.get(key, 0) + 1
    if not rows:
        raise HwnasError(f"{path}: has no rows")
    if overhead_ms is not None:
        rows.insert(0, _row(str(OVERHEAD), 0, overhead_ms))
    of_space = None
    if space is not None:
        ours = {str(b) for b in space.blocks}
        of_space = len(ours & rounds.keys()), len(ours)
        blocks = [k for k in rounds if not k.startswith("net(")]
        if blocks and not of_space[0]:
            near = get_close_matches(blocks[0], ours, 1, 0.0)[0]
            raise HwnasError(
                f"{path}: none of its {len(blocks)} blocks is one of {space.name!r}: the first is {blocks[0]}, this space has {near}"
            )
    fingerprint: dict[str, Any] = {"device": device.settings, "host": {}, "runtime": {}}
    for name, value in (facts or {}).items():
        group, dot, rest = name.partition(".")
        if not dot or group not in ("host", "runtime"):
            raise HwnasError(f"fact {name!r}: write host.NAME=... (host.cpu='Cortex-A72') or runtime.NAME=... (runtime.version=2.16)")
        fingerprint[group][rest] = value
    entry = event(
        "imported", by, {"file": path.name, "sha256": sha256(path.read_bytes()).hexdigest(), "columns": found, "unit": unit or "by column"}
    )
    content = write_table(folder / "table.jsonl", device.name, {"fingerprint": fingerprint}, rows, entry, overwrite)
    device.save(folder / "device.toml")
    networks = sum(k.startswith("net(") for k in rounds)
    unused = tuple(n for n in names if n not in found.values())
    return Imported(content, len(rounds) - networks, networks, found, unused, of_space)


def import_parquet(path: Path, folder: Path, device: str = "", by: str = "", overwrite: bool = False) -> Imported:
    """The table that `export_parquet` wrote, raw timings and history included.

    Raises HwnasError for a parquet file that hwnas did not write, or whose rows are not those its hash was made of.
    """
    table = pq.read_table(path)
    try:
        header = json.loads(table.schema.metadata[METADATA])
        fingerprint = header["fingerprint"]
        if header["format"] != FORMAT:
            raise HwnasError(f"{path}: format {header['format']}, this hwnas reads format {FORMAT}")
    except (KeyError, TypeError, ValueError):
        raise HwnasError(
            f"{path}: not a table that hwnas exported: for one of your own name its columns, see `hwnas lut import -h`"
        ) from None
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(table.drop_columns(["latency_ms"]).to_pylist(), 1):
        told = {name: value for name, value in line.items() if value is not None}
        row = {
            name: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value for name, value in told.items()
        }
        try:
            Sample.from_dict(row)
        except ValueError as error:
            raise HwnasError(f"{path}: row {number}: {error}") from None
        rows.append(row)
    if wrong := changed_since(header, rows):
        raise HwnasError(f"{path}: {wrong}")
    name = device or header["device"]
    made = Device.named(name, fingerprint.get("device", {}), f"{path}: give another --device")
    content = write_table(folder / "table.jsonl", name, header, rows, event("imported", by, {"file": path.name}), overwrite)
    made.save(folder / "device.toml")
    keys = {str(row["key"]) for row in rows} - {SENTINEL}
    networks = sum(k.startswith("net(") for k in keys)
    return Imported(content, len(keys) - networks, networks, {}, (), None)


def is_hwnas_parquet(path: Path) -> bool:
    """Whether `import_parquet` can read it."""
    try:
        return path.suffix == ".parquet" and METADATA in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False


def _read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    """(column names, [(row number as an editor counts it, column -> cell), ...])."""
    try:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            return table.column_names, list(enumerate(table.to_pylist(), 1))
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = file.read(4096)
            file.seek(0)
            first = head.split("\n", 1)[0]
            reader = csv.DictReader(file, delimiter=max(",;\t", key=first.count))
            lines = list(enumerate(reader, 2))
            names = [n for n in (reader.fieldnames or []) if n]
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowInvalid) as error:
        raise HwnasError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for number, line in lines:
        if None in line or None in line.values():
            raise HwnasError(f"{path}: row {number}: has {'more' if None in line else 'fewer'} cells than the first row names columns")
    return names, lines


def _columns(path: Path, names: Sequence[str], chosen: Mapping[str, str], constants: Mapping[str, str]) -> dict[str, str]:
    """Field -> column."""
    for field in (*chosen, *constants):
        if field not in SYNONYMS:
            raise did_you_mean("field", field, SYNONYMS)
    for field, column in chosen.items():
        if column not in names:
            raise did_you_mean(f"column for {field} in {path}", column, names)
    by_lower = {n.strip().lower(): n for n in names}
    found = {f: by_lower[s] for f, synonyms in SYNONYMS.items() for s in reversed(synonyms) if s in by_lower}
    found = {f: c for f, c in found.items() if c not in chosen.values() and f not in constants} | dict(chosen)
    if "latency" not in found:
        raise HwnasError(f"{path}: which column is the latency? Give --column latency=NAME; it has {', '.join(names)}")
    if "block" not in found and "network" not in found:
        for field in ("op", "cin", "cout"):
            if field not in found and field not in constants:
                raise HwnasError(
                    f"{path}: which column is {field}? Give --column {field}=NAME or --value {field}=...; it has {', '.join(names)}"
                )
        if not {"size", "height"} & {*found, *constants}:
            raise HwnasError(
                f"{path}: which column is the input's size? Give --column size=NAME, or height and width; it has {', '.join(names)}"
            )
    return found


def _unit_of(column: str) -> str:
    last = column.strip().lower().rsplit("_", 1)[-1]
    if last not in UNITS:
        raise HwnasError(f"column {column!r}: in which unit are its times? Give --unit {', '.join(UNITS)}")
    return last


def _key(where: str, cells: Mapping[str, Any], ops: Mapping[str, str], space: Space | None) -> str:
    if cells.get("network"):
        return _network(where, str(cells["network"]), space)
    if cells.get("block"):
        text = str(cells["block"])
        if text.startswith("net("):
            return text
        try:
            return str(Block.parse(text))
        except HwnasError as error:
            raise HwnasError(f"{where}: {error}") from None
    numbers = {f: _whole(where, f, cells[f]) for f in (*_NUMBERS, "size") if f in cells}
    size = numbers.pop("size", None)
    if size is not None:
        numbers = {"height": size, "width": size, **numbers}
    elif "width" not in numbers and "height" in numbers:
        numbers["width"] = numbers["height"]
    op = str(cells.get("op", "")).strip()
    missing = [f for f in ("cin", "cout", "height") if f not in numbers] + ([] if op else ["op"])
    if missing:
        raise HwnasError(f"{where}: no value for {', '.join(missing)}")
    return str(Block(op=ops.get(op, op), act=str(cells.get("act", "")).strip(), **numbers))


def _network(where: str, text: str, space: Space | None) -> str:
    """A code `0.1.2`, or the choices of an architecture.json as JSON."""
    if space is None:
        raise HwnasError(f"{where}: network {text[:40]!r}: of which space? Give --space")
    try:
        choices = json.loads(text) if text.startswith("{") else None
        z = space.encode(choices) if choices is not None else np.array([int(v) for v in text.replace(",", ".").split(".")])
    except ValueError:
        raise HwnasError(f"{where}: network {text[:40]!r}: expected a code such as 0.1.2, or an architecture's choices as JSON") from None
    if z.shape != space.sizes.shape or (z < 0).any() or (z >= space.sizes).any():
        raise HwnasError(f"{where}: network {text[:40]!r}: no code of {space.name!r}, which has {len(space.sizes)} genes")
    return network_key(space, z)


def _number(where: str, name: str, cell: Any) -> float:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise HwnasError(f"{where}: {name} = {cell!r}: expected a number")
    return value


def _whole(where: str, name: str, cell: Any) -> int:
    value = _number(where, name, cell)
    if value != int(value) or value < 0:
        raise HwnasError(f"{where}: {name} = {cell!r}: expected a whole number")
    return int(value)


def _row(key: str, round: int, latency_ms: float) -> dict[str, Any]:
    sample = Sample((max(1, int(latency_ms * 1e6 * LOOPS + 0.5)),), None, LOOPS)
    return {"key": key, "round": round, "sitting": 1, **{k: v for k, v in sample.to_dict().items() if v is not None}}
