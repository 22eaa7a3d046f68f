"""Step 1: measure every device of the experiment."""

from __future__ import annotations

from ..device import find_device
from ..errors import HwnasError
from ..measure import Plan, Quietness
from ..predict import Calibration
from ..predict.calibration import CALIBRATIONS
from ..table import Table
from .boards import Profiling, profile_boards
from .progress import Show, silent
from .run_folder import RunFolder, read_stamped, stamp, write_json


def profile_devices(run: RunFolder, show: Show = silent, workers: int = 0, ray: str = "") -> dict[str, tuple[Quietness, Calibration]]:
    """Device -> how quiet it was and how well whole networks are predicted; devices done already are left out.

    Boards are measured `workers` at once (0: all), see `profile_boards`. Raises HwnasError when one could not be; the others are kept.
    """
    settings, seed, marks = run.experiment.profile, run.experiment.seed, {}
    for name in run.experiment.devices:
        device = find_device(name, run.lut)
        mark = stamp(run.space.hash, device.settings, settings.model_dump(), seed, CALIBRATIONS.format)
        if not read_stamped(run.lut / name / "profiled.json", mark):
            marks[name] = mark
    plan = Plan(rounds=settings.rounds, repeats=settings.repeats)
    counts = {"blocks": settings.blocks, "networks": settings.networks, "held_out": settings.held_out}
    profiling = Profiling(run.experiment.space, run.space_arguments, **counts, searched=settings.searched, plan=plan, seed=seed)
    failed = profile_boards([find_device(name, run.lut) for name in marks], run.lut, profiling, workers, ray, show)
    done = {}
    for name, mark in marks.items():
        if name not in failed:
            folder = run.lut / name
            about = {"space": run.space.spec, "space_hash": run.space.hash, **settings.model_dump()}
            write_json(folder / "profiled.json", {"stamp": mark, **about})
            calibration = Calibration.load(folder / "calibration.json", run.space.hash)
            done[name] = Quietness.of(Table.read(folder / "table.jsonl")), calibration
    if failed:
        raise HwnasError("; ".join(failed.values()))
    return done
