"""`hwnas transfer`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from ..device import find_device
from ..measure import Plan
from ..predict import transfer_space
from ..spaces import load_space
from .console import JSON, LUT, bar, out, show_json


def transfer(
    device: str = typer.Argument(help="The new device: one of `hwnas devices`, or the name of a folder under --lut with a device.toml."),
    sources: str = typer.Option(..., "--from", help="Devices profiled on this space, or tables that come with hwnas, separated by commas."),
    space: str = typer.Option(..., "--space", help="Name, name(key=value, ...), or file.py:function."),
    lut: Path = LUT,
    networks: int = typer.Option(10, "--networks", help="Whole networks to measure on the new device, at least 3."),
    rounds: int = typer.Option(8, "--rounds", help="How often each is measured, in random order."),
    json: bool = JSON,
) -> None:
    """Predicts a space on a new device from other devices' tables and a few networks measured on it.

    Seconds instead of minutes: the networks that tell most are chosen, built, and timed on the device; what they correct is folded
    into one latency for each block, in lut/DEVICE/transfer.json, from which `hwnas search` goes on as from a profile. A profile of
    its own (`hwnas profile DEVICE`) takes its place as soon as there is one.
    """
    names = [name.strip() for name in sources.split(",") if name.strip()]
    chosen, made = find_device(device, lut), load_space(space)
    for name in names:
        find_device(name, lut)
    with bar(f"transfer {device}") as advance:
        quietness, found = transfer_space(
            made,
            chosen,
            names,
            lut,
            networks=networks,
            plan=Plan(rounds=rounds),
            report=lambda i, n, key, sample: advance(i, n, "networks"),
        )
    if json:
        fields = {"device": device, "space_hash": made.hash, "quiet": quietness.quiet, "verdict": str(quietness)}
        show_json({**fields, **asdict(found)})
        return
    out.print(f"machine: {quietness}", highlight=False)
    out.print(f"each left out of the fit: {found.left_out}", highlight=False)
    out.print(f"bound at 95 %: predicted + {found.margin:.1%}. Of {made.spec}: {lut / device / 'transfer.json'}", highlight=False)
