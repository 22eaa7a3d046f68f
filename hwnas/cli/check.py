"""`hwnas check`."""

from __future__ import annotations

from pathlib import Path

import typer

from ..conformance import run_checks
from ..device import BUILT_IN, Device, find_device
from ..errors import HwnasError
from ..profiler import load_profiler
from .console import JSON, LUT, out, show_json


def check(
    profiler: str = typer.Argument(help="A profiler: the name of its entry point, as `hwnas devices` lists it."),
    device: str = typer.Option("", "--device", help="Check it as this device uses it (options, dtype, threads)."),
    lut: Path = LUT,
    json: bool = JSON,
) -> None:
    """Checks that a device profiler keeps what hwnas relies on: for authors of plugins, and for boards one does not trust.

    Each check says what is wrong and what would be right. Exit code 1 if one fails. The same checks are a pytest class:
    hwnas.conformance.Conformance.
    """
    found = load_profiler(profiler)
    named = next((d for d in BUILT_IN.values() if d.runtime == profiler), Device(name=profiler, runtime=profiler))
    chosen = find_device(device, lut) if device else named
    if chosen.runtime != profiler:
        raise HwnasError(f"device {chosen.name!r} uses the profiler {chosen.runtime!r}, not {profiler!r}: name one of the two only")
    if reason := found.probe():
        raise HwnasError(f"profiler {profiler!r} does not run here: {reason}")
    results = []
    for result in run_checks(chosen, found):
        results.append(result)
        if not json:
            out.print(f"[green]ok[/green]    {result.check}" if result.problem is None else f"[red]FAIL[/red]  {result.check}: ", end="")
            out.print(f"  [dim]{result.what}[/dim]" if result.problem is None else result.problem, markup=result.problem is None)
    failed = [r for r in results if r.problem is not None]
    if json:
        rows = [{"check": r.check, "ok": r.problem is None, "problem": r.problem} for r in results]
        show_json({"profiler": profiler, "device": chosen.name, "passed": not failed, "checks": rows})
    else:
        out.print(f"{profiler} ({chosen.name}): {len(results) - len(failed)} of {len(results)} checks passed", highlight=False)
    if failed:
        raise typer.Exit(1)
