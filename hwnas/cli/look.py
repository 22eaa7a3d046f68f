"""Commands that look: `hwnas devices`, `hwnas lut show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from ..block import Block
from ..device import BUILT_IN, find_device
from ..errors import HwnasError
from ..measure import Quietness, metrics_of
from ..plugins import PROFILERS, installed
from ..profiler import is_estimate, load_profiler
from ..table import Table
from ..transports.reach import load_reaches
from .console import JSON, LUT, out, show_json, show_table

# Column of `hwnas lut show` -> field of a row, and how many of the field's units one of the column's is.
COLUMNS = {
    ">p95 us": ("p95_ms", 1e-3),
    ">first run us": ("first_run_ms", 1e-3),
    ">load ms": ("load_ms", 1.0),
    ">peak MB": ("peak_rss_bytes", 1e6),
    ">energy mJ": ("energy_mj", 1.0),
    ">M instructions": ("instructions", 1e6),
}
lut = typer.Typer(help="Look at the tables of devices.", no_args_is_help=True)


def devices(lut: Path = LUT, json: bool = JSON) -> None:
    """Installed profilers and known devices: what runs here, what is missing and how to install it."""
    rows = []
    reaches = load_reaches()
    names = list(dict.fromkeys([*BUILT_IN, *(p.parent.name for p in sorted(lut.glob("*/device.toml")))]))
    for name in names:
        device = find_device(name, lut)
        reach = reaches.get(name)
        try:
            profiler = load_profiler(device.runtime)
            reason, estimate = profiler.probe() if reach is None else None, profiler.estimate  # else `hwnas device probe` tells
        except HwnasError as error:
            reason, estimate = str(error), False
        table = lut / name / "table.jsonl"
        measured = len(Table.read(table).keys) if table.exists() else 0
        facts = {"device": name, "profiler": device.runtime, "dtype": device.dtype, "threads": device.threads}
        facts |= {"runs_here": reason is None and reach is None, "reached_by": str(reach or "this machine"), "reason": reason}
        rows.append({**facts, "estimate": estimate, "measured": measured})
    unused = [p for p in installed(PROFILERS) if p not in {r["profiler"] for r in rows}]
    if json:
        show_json({"devices": rows, "other_profilers": unused})
        return
    body = []
    for r in rows:
        here = "estimate" if r["estimate"] else Text("yes", style="green") if r["runs_here"] else "no" if r["reason"] else r["reached_by"]
        body.append((r["device"], r["profiler"], r["dtype"], r["threads"], here, r["measured"] or "", r["reason"] or ""))
    show_table("devices", ["device", "profiler", "dtype", ">threads", "runs here", ">rows", "what is missing"], body)
    if unused:
        out.print(f"profilers without a device yet: {', '.join(unused)} (`hwnas device add NAME --runtime PROFILER`)")


@lut.command()
def show(
    device: str = typer.Argument(help="A device with a table."),
    lut: Path = LUT,
    slowest: int = typer.Option(10, "--slowest", help="How many blocks to list; 0 lists all."),
    json: bool = JSON,
) -> None:
    """What a device's table holds: under what it was measured, how quiet the machine was, its slowest blocks."""
    path = lut / device / "table.jsonl"
    if not path.exists():
        find_device(device, lut)  # an unknown name is the likelier mistake
        raise HwnasError(f"device {device!r}: no table at {path}: run `hwnas profile {device} --space SPACE`")
    table = Table.read(path)
    values, noise, others, quietness = table.values(), table.noise(), metrics_of(table), Quietness.of(table)
    blocks = {k: v for k, v in values.items() if not k.startswith("net(")}
    order = sorted(blocks, key=lambda k: -blocks[k])
    if json:
        data: dict[str, Any] = {
            "device": table.device,
            "fingerprint": table.fingerprint,
            "estimate": is_estimate(table.fingerprint),
            "quiet": quietness.quiet,
            "verdict": str(quietness),
        }
        rows = [
            {"key": k, "latency_ms": values[k], "noise": noise[k]} | {f: told[k] for f, told in others.items() if k in told} for k in values
        ]
        data |= {"rows": rows, "failed": table.failed}
        show_json(data)
        return
    host, runtime = table.fingerprint.get("host", {}), table.fingerprint.get("runtime", {})
    estimate = is_estimate(table.fingerprint)
    where = "" if estimate else f" on {host.get('cpu', host)}"
    out.print(f"[bold]{table.device}[/bold]  {runtime.get('name')} {runtime.get('version')}{where}", highlight=False)
    verdict = "[yellow]ESTIMATE[/yellow] from a datasheet: nothing was measured" if estimate else str(quietness)
    out.print(f"{len(blocks)} blocks, {len(values) - len(blocks)} networks, {len(table.failed)} failed; {verdict}", highlight=False)
    shown = {column: (told, scale) for column, (f, scale) in COLUMNS.items() if (told := others.get(f))}
    body = []
    for k in order[: slowest or None]:
        more = [f"{told[k] / scale:.3g}" if k in told else "" for told, scale in shown.values()]
        body.append((str(Block.parse(k)), f"{1000 * blocks[k]:.1f}", f"{noise[k]:.1%}", *more))
    show_table("slowest blocks" if slowest else "blocks", ["block", ">us", ">rounds apart", *shown], body)
    for key, reason in table.failed.items():
        out.print(f"failed: {key}: {reason}", highlight=False)
