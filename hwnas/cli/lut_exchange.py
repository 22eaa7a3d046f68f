"""`hwnas lut merge`, `export` and `import`: tables that change hands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from ..device import Device
from ..errors import HwnasError
from ..lut import (
    Imported,
    check_table,
    export_csv,
    export_folder,
    export_parquet,
    import_csv,
    import_parquet,
    is_hwnas_parquet,
    merge_tables,
    table_path,
)
from ..predict import calibrate
from ..predict.calibration import MIN_NETWORKS
from ..spaces import load_space
from ..table import Table
from .console import JSON, LUT, TABLE, out, show_json

BY = typer.Option("", "--by", help="Your name, for the table's history; left out if not given.")
OVERWRITE = typer.Option(False, "--overwrite", help="Replace what is there.")
MANY = 5  # findings of one kind in the printed list; --json has all


def merge(
    tables: list[str] = typer.Argument(help="Two or more devices or paths."),
    to: str = typer.Option(..., "--to", help="Name of the device whose folder under --lut the result becomes."),
    lut: Path = LUT,
    by: str = BY,
    overwrite: bool = OVERWRITE,
) -> None:
    """One table of several that were measured under one and the same fingerprint.

    Equal rows are kept once; another timing of the same block and round becomes a further round; a failure is dropped where the
    block ran elsewhere.
    """
    paths, folder = [table_path(name, lut) for name in tables], lut / to
    said = merge_tables(paths, folder / "table.jsonl", Device.named(to, {"runtime": "imported"}, f"--to {to!r}").name, by, overwrite)
    settings = Table.read(folder / "table.jsonl").fingerprint.get("device", {})
    Device.named(to, settings, f"--to {to!r}").save(folder / "device.toml")
    out.print(f"{folder}: {said}. Calibrate it: `hwnas lut trust {to} --space SPACE`", highlight=False, soft_wrap=True)


def export(
    table: str = TABLE,
    to: Path = typer.Argument(
        help="FILE.csv: values for a spreadsheet; FILE.parquet: all raw timings; else a folder, named as the device shall be known."
    ),
    lut: Path = LUT,
    by: str = BY,
    overwrite: bool = OVERWRITE,
) -> None:
    """A table for others: facts only, no addresses, no paths; with its content hash and history."""
    path = table_path(table, lut)
    if to.exists() and not overwrite and to.suffix in (".csv", ".parquet"):
        raise HwnasError(f"{to}: is there already: give another name, or --overwrite")
    if to.suffix == ".csv":
        said = export_csv(path, to)
    elif to.suffix == ".parquet":
        said = export_parquet(path, to, by)
    else:
        said = export_folder(path, to, by, overwrite)
    out.print(f"{to}: {said}", highlight=False, soft_wrap=True)


def import_(
    file: Path = typer.Argument(help="A .csv or .parquet: your own, or one that `hwnas lut export` wrote."),
    device: str = typer.Option("", "--device", help="Name of the device; its folder under --lut is made."),
    space: str = typer.Option("", "--space", help="Check that the blocks are those of this space; needed for whole networks."),
    column: list[str] = typer.Option([], "--column", help="FIELD=COLUMN, e.g. latency=time or cin=channels_in; several: a=b,c=d."),
    value: list[str] = typer.Option([], "--value", help="FIELD=VALUE for all rows, e.g. act=relu,stride=1."),
    op: list[str] = typer.Option([], "--op", help="YOURS=OURS, e.g. InvertedResidual=mbconv."),
    unit: str = typer.Option("", "--unit", help="Of the latency: ns, us, ms, s. Default: as the column's name ends (time_us)."),
    fact: list[str] = typer.Option([], "--fact", help="host.cpu=..., runtime.name=..., runtime.version=...: under what it was measured."),
    runtime: str = typer.Option("imported", "--runtime", help="A profiler of `hwnas devices`, if files shall be certified on the device."),
    threads: int = typer.Option(1, "--threads"),
    dtype: str = typer.Option("fp32", "--dtype"),
    batch: int = typer.Option(1, "--batch"),
    overhead: float = typer.Option(0.0, "--overhead-us", help="What one call costs that is not the block, in us; needed to calibrate."),
    lut: Path = LUT,
    by: str = BY,
    overwrite: bool = OVERWRITE,
    json: bool = JSON,
) -> None:
    """Your own measurements as a table: a row for each measurement of a block, in your own columns.

    A block is op, cin, cout, size (or height and width), and where they are not 1 or none: stride, kernel, expand, se, act; or its key
    in one column. A whole network is its code in a column `network`. Usual names are found (in_channels, kernel_size, time_us, ...).

        hwnas lut import my.csv --device mine --column latency=time --unit us --op IR=mbconv --space "mobilenet(size=224)"
    """
    if not file.is_file():
        raise HwnasError(f"{file}: there is no such file")
    if is_hwnas_parquet(file):
        name = device or file.stem
        done = import_parquet(file, lut / name, name, by, overwrite)
    else:
        if not device:
            raise HwnasError("--device is missing: under which name shall the table be known?")
        made = load_space(space) if space else None
        chosen = Device.named(device, {"runtime": runtime, "threads": threads, "dtype": dtype, "batch": batch}, "hwnas lut import")
        done = import_csv(
            file,
            lut / device,
            chosen,
            columns=_pairs("--column", column),
            constants=_pairs("--value", value),
            unit=unit,
            ops=_pairs("--op", op),
            facts=_pairs("--fact", fact, split=False),
            space=made,
            overhead_ms=overhead / 1000 if overhead else None,
            by=by,
            overwrite=overwrite,
        )
        if made and done.networks >= MIN_NETWORKS and overhead:
            calibrate(made, lut / device)
    folder = lut / (device or file.stem)
    if json:
        show_json({**done.__dict__, "table": str(folder / "table.jsonl"), "ok": check_table(folder / "table.jsonl").ok})
        return
    _tell(done, folder)


def _pairs(option: str, texts: Sequence[str], split: bool = True) -> dict[str, str]:
    found = {}
    for part in (p for text in texts for p in (text.split(",") if split else [text])):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise HwnasError(f"{option} {part!r}: expected NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _tell(done: Imported, folder: Path) -> None:
    out.print(f"{folder}: {done.blocks} blocks, {done.networks} networks; content {done.content[:16]}", highlight=False)
    if done.columns:
        out.print("read: " + ", ".join(f"{f} from {c!r}" for f, c in done.columns.items()), highlight=False, markup=False)
    if done.unused:
        out.print(f"not used: {', '.join(done.unused)}", highlight=False, markup=False)
    if done.of_space:
        out.print(f"{done.of_space[0]} of the space's {done.of_space[1]} blocks are in it; the others will be predicted", highlight=False)
    if not (folder / "trust.json").exists():
        out.print(
            "no calibration: it needs 19 whole networks and --overhead-us; without, `hwnas search --force` takes plain sums",
            highlight=False,
        )
    findings = [f for f in check_table(folder / "table.jsonl").findings if f.check != "private"]
    for f in findings[:MANY]:
        out.print(f"  {f}", highlight=False, markup=False)
