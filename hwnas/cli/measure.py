"""`hwnas profile`."""

from __future__ import annotations

from pathlib import Path

import typer

from ..data import load_data
from ..device import find_device
from ..measure import Plan
from ..predict import find_trust, profile_space
from ..profiler import load_profiler
from ..spaces import load_space
from ..steps.progress import pace
from .console import JSON, LUT, bar, out, show_json


def profile(
    device: str = typer.Argument(help="A device of `hwnas devices`, or the name of a folder under --lut with a device.toml."),
    space: str = typer.Option(..., "--space", help="Name, name(key=value, ...), or file.py:function."),
    data: str = typer.Option("", "--data", help="Take channels, size and classes from this data set."),
    lut: Path = LUT,
    blocks: int = typer.Option(400, "--blocks", help="Blocks to measure at most; a predictor fills the others."),
    networks: int = typer.Option(40, "--networks", help="Whole networks to measure for calibration, at least 19."),
    held_out: int = typer.Option(20, "--held-out", help="Random networks on top, which only the trust report sees."),
    searched: bool = typer.Option(
        False, "--searched", help="Half of --networks are winners of searches: the bound then holds for them, too."
    ),
    rounds: int = typer.Option(6, "--rounds", help="How often each is measured, in random order."),
    target: float = typer.Option(0.0, "--target", help="Repeat until the median is known within so many %; 0: do not look."),
    limit_s: float = typer.Option(1.0, "--limit-s", help="But for at most so long, per block and round."),
    seed: int = typer.Option(0, "--seed"),
    json: bool = JSON,
) -> None:
    """Measures the blocks of a space on a device into lut/DEVICE/, and whole networks to calibrate their sum.

    Killed at any moment it loses at most the block in flight: run it again and it goes on.
    """
    of_data = None
    if data:
        loaded = load_data(data, seed)
        channels, height, _ = loaded.shape
        of_data = {"channels": channels, "size": height, "classes": len(loaded.classes)}
    chosen, made = find_device(device, lut), load_space(space, of_data)
    estimate = load_profiler(chosen.runtime).estimate
    if not json:
        verb = "estimating" if estimate else "measuring"
        count = f"{made.architectures:.3g} architectures of {len(made.blocks)} distinct blocks"
        out.print(f"{made.spec}: {count}; {verb} {min(blocks, len(made.blocks))}", highlight=False)
    with bar(f"profile {device}") as advance:
        quietness, calibration = profile_space(
            made,
            chosen,
            lut,
            blocks=blocks,
            networks=networks,
            held_out=held_out,
            searched=searched,
            plan=Plan(rounds=rounds, target=target / 100, limit_s=limit_s),
            seed=seed,
            report=pace(advance, rounds),
        )
    trust = find_trust(lut / device, made.hash)
    assert trust is not None  # it is written with the calibration
    if json:
        show_json(
            {
                "device": device,
                "space_hash": made.hash,
                "estimate": estimate,
                "quiet": quietness.quiet,
                "verdict": str(quietness),
                "advice": quietness.advice,
                "margin": calibration.margin,
                "plain": calibration.plain.to_dict(),
                "held_out": calibration.held_out.to_dict(),
                "trust": trust.to_dict(),
            }
        )
        return
    if estimate:
        out.print(f"ESTIMATE from a datasheet: nothing was measured. Table: {lut / device}", highlight=False)
        return
    for key, noise in quietness.noisiest[:3]:
        out.print(f"noisiest: {key}: rounds {noise:.1%} apart", highlight=False)
    out.print(f"sum of blocks alone: {calibration.plain}", highlight=False)
    out.print(f"calibrated, left out: {calibration.held_out}", highlight=False)
    out.print(f"trust: {trust.verdict}; {trust}", highlight=False)
    out.print(f"bound at 95 %: predicted + {calibration.margin:.1%}. Table: {lut / device}", highlight=False)
    out.print(f"machine: {quietness}", highlight=False)
    for advice in quietness.advice:
        out.print(f"  to make it quieter: {advice}", highlight=False)
