"""Commands that look: `hwnas devices`, `hwnas lut show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from ..block import Block
from ..device import BUILT_IN, find_device
from ..errors import HwnasError
from ..measure import Quietness
from ..plugins import PROFILERS, installed
from ..profiler import load_profiler
from ..table import Table
from .console import JSON, LUT, out, show_json, show_table

lut = typer.Typer(help="Look at the tables of devices.", no_args_is_help=True)


def devices(lut: Path = LUT, json: bool = JSON) -> None:
    """Installed profilers and known devices: what runs here, what is missing and how to install it."""
    rows = []
    names = list(dict.fromkeys([*BUILT_IN, *(p.parent.name for p in sorted(lut.glob("*/device.toml")))]))
    for name in names:
        device = find_device(name, lut)
        try:
            reason = load_profiler(device.runtime).probe()
        except HwnasError as error:
            reason = str(error)
        table = lut / name / "table.jsonl"
        measured = len(Table.read(table).keys) if table.exists() else 0
        facts = {"device": name, "profiler": device.runtime, "dtype": device.dtype, "threads": device.threads}
        rows.append({**facts, "runs_here": reason is None, "reason": reason, "measured": measured})
    unused = [p for p in installed(PROFILERS) if p not in {r["profiler"] for r in rows}]
    if json:
        show_json({"devices": rows, "other_profilers": unused})
        return
    body = []
    for r in rows:
        here = "[green]yes[/green]" if r["runs_here"] else "no"
        body.append((r["device"], r["profiler"], r["dtype"], r["threads"], here, r["measured"] or "", r["reason"] or ""))
    show_table("devices", ["device", "profiler", "dtype", ">threads", "runs here", ">rows", "what is missing"], body)
    if unused:
        out.print(f"profilers without a device yet: {', '.join(unused)} (name one in {lut}/NAME/device.toml)")


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
    values, noise, quietness = table.values(), table.noise(), Quietness.of(table)
    blocks = {k: v for k, v in values.items() if not k.startswith("net(")}
    order = sorted(blocks, key=lambda k: -blocks[k])
    if json:
        data: dict[str, Any] = {
            "device": table.device,
            "fingerprint": table.fingerprint,
            "quiet": quietness.quiet,
            "verdict": str(quietness),
        }
        data |= {"rows": [{"key": k, "latency_ms": values[k], "noise": noise[k]} for k in values], "failed": table.failed}
        show_json(data)
        return
    host, runtime = table.fingerprint.get("host", {}), table.fingerprint.get("runtime", {})
    out.print(f"[bold]{table.device}[/bold]  {runtime.get('name')} {runtime.get('version')} on {host.get('cpu', host)}", highlight=False)
    out.print(f"{len(blocks)} blocks, {len(values) - len(blocks)} networks, {len(table.failed)} failed; {quietness}", highlight=False)
    rows = [(str(Block.parse(k)), f"{1000 * blocks[k]:.1f}", f"{noise[k]:.1%}") for k in order[: slowest or None]]
    show_table("slowest blocks" if slowest else "blocks", ["block", ">us", ">rounds apart"], rows)
    for key, reason in table.failed.items():
        out.print(f"failed: {key}: {reason}", highlight=False)
