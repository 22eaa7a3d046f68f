"""`hwnas profile`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..data import load_data
from ..device import find_device
from ..errors import HwnasError
from ..measure import Plan, Quietness
from ..predict import Calibration, Trust, find_trust
from ..profiler import is_estimate, load_profiler
from ..space import Space
from ..spaces import load_space
from ..steps.boards import Profiling, profile_boards
from ..table import Table
from .console import JSON, LUT, bar, out, show_json


def profile(
    device: list[str] = typer.Argument(help="Devices of `hwnas devices`, or names of folders under --lut with a device.toml."),
    space: str = typer.Option(..., "--space", help="Name, name(key=value, ...), or file.py:function."),
    data: str = typer.Option("", "--data", help="Take channels, size and classes from this data set."),
    lut: Path = LUT,
    blocks: int = typer.Option(400, "--blocks", min=1, help="Blocks to measure at most; a predictor fills the others."),
    networks: int = typer.Option(40, "--networks", help="Whole networks to measure for calibration, at least 19."),
    held_out: int = typer.Option(20, "--held-out", min=0, help="Random networks on top, which only the trust report sees."),
    searched: bool = typer.Option(
        False, "--searched", help="Half of --networks are winners of searches: the bound then holds for them, too."
    ),
    rounds: int = typer.Option(8, "--rounds", min=1, help="How often each is measured, in random order."),
    target: float = typer.Option(0.0, "--target", help="Repeat until the median is known within so many %; 0: do not look."),
    limit_s: float = typer.Option(1.0, "--limit-s", help="But for at most so long, per block and round."),
    seed: int = typer.Option(0, "--seed", min=0),
    workers: int = typer.Option(0, "--workers", min=0, help="So many boards at once; 0: all of them. Never two devices of one machine."),
    ray: str = typer.Option("", "--ray", help="ADDRESS of a Ray cluster whose nodes reach the boards. See docs/many-machines.md."),
    json: bool = JSON,
) -> None:
    """Measures the blocks of a space on a device into lut/DEVICE/, and whole networks to calibrate their sum.

    Killed at any moment it loses at most the block in flight: run it again and it goes on. Several boards are measured at once, one
    queue for each; devices of this machine come first, one after another, since they would disturb each other.
    """
    of_data = None
    if data:
        loaded = load_data(data, seed)
        channels, height, _ = loaded.shape
        of_data = {"channels": channels, "size": height, "classes": len(loaded.classes)}
    devices, made = [find_device(name, lut) for name in dict.fromkeys(device)], load_space(space, of_data)
    if not json:
        verb = "estimating" if all(load_profiler(d.runtime).estimate for d in devices) else "measuring"
        count = f"{made.architectures:.3g} architectures of {len(made.blocks)} distinct blocks"
        out.print(f"{made.spec}: {count}; {verb} {min(blocks, len(made.blocks))}", highlight=False)
    plan = Plan(rounds=rounds, target=target / 100, limit_s=limit_s)
    profiling = Profiling(space, of_data, blocks, networks, held_out, searched, plan, seed)
    failed = profile_boards(devices, lut, profiling, workers, ray, bar)
    found = [_found(d.name, made, lut) for d in devices if d.name not in failed]
    if json and found:
        told = [f.to_dict() for f in found]
        show_json(told[0] if len(devices) == 1 else told)
    elif not json:
        for f in found:
            if len(devices) > 1:
                out.print(f"[bold]{f.device}[/bold]", highlight=False)
            f.show()
    if failed:
        raise HwnasError("; ".join(failed.values()))


@dataclass(frozen=True)
class _Found:
    """What a profile of one device came to."""

    device: str
    space_hash: str
    folder: Path
    quietness: Quietness
    calibration: Calibration
    trust: Trust
    estimate: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "device": self.device,
            "space_hash": self.space_hash,
            "estimate": self.estimate,
            "quiet": self.quietness.quiet,
            "verdict": str(self.quietness),
            "advice": self.quietness.advice,
            "margin": self.calibration.margin,
            "plain": self.calibration.plain.to_dict(),
            "held_out": self.calibration.held_out.to_dict(),
            "trust": self.trust.to_dict(),
        }

    def show(self) -> None:
        if self.estimate:
            out.print(f"ESTIMATE from a datasheet: nothing was measured. Table: {self.folder}", highlight=False)
            return
        for key, error in self.quietness.noisiest[:3]:
            out.print(f"noisiest: {key}: known within {2 * error:.1%}", highlight=False)
        out.print(f"sum of blocks alone: {self.calibration.plain}", highlight=False)
        out.print(f"calibrated, left out: {self.calibration.held_out}", highlight=False)
        out.print(f"trust: {self.trust.verdict}; {self.trust}", highlight=False)
        out.print(f"bound at 95 %: predicted + {self.calibration.margin:.1%}. Table: {self.folder}", highlight=False)
        out.print(f"machine: {self.quietness}", highlight=False)
        for advice in self.quietness.advice:
            out.print(f"  to make it quieter: {advice}", highlight=False)


def _found(name: str, space: Space, lut: Path) -> _Found:
    folder = lut / name
    table, trust = Table.read(folder / "table.jsonl"), find_trust(folder, space.hash)
    assert trust is not None  # it is written with the calibration
    calibration = Calibration.load(folder / "calibration.json", space.hash)
    return _Found(name, space.hash, folder, Quietness.of(table), calibration, trust, is_estimate(table.fingerprint))
