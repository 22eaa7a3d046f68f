"""`hwnas devices`."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from ..device import BUILT_IN, find_device
from ..errors import HwnasError
from ..plugins import PROFILERS, installed
from ..profiler import load_profiler
from ..shipped import device_names, table_folder
from ..table import Table
from ..transports.reach import load_reaches
from .console import JSON, LUT, out, show_json, show_table


def devices(lut: Path = LUT, json: bool = JSON) -> None:
    """Installed profilers and known devices: what runs here, what is missing and how to install it."""
    rows = []
    reaches = load_reaches()
    names = list(dict.fromkeys([*BUILT_IN, *device_names(lut)]))
    for name in names:
        device = find_device(name, lut)
        reach = reaches.get(name)
        try:
            profiler = load_profiler(device.runtime)
            reason, estimate = profiler.probe() if reach is None else None, profiler.estimate  # else `hwnas device probe` tells
        except HwnasError as error:
            reason, estimate = str(error), False
        table = table_folder(lut, name) / "table.jsonl"
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
