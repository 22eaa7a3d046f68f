"""Step 1: measure every device of the experiment."""

from __future__ import annotations

from ..device import find_device
from ..measure import Plan, Quietness
from ..predict import Calibration, profile_space
from .progress import Show, pace, silent
from .run_folder import RunFolder, read_stamped, stamp, write_json


def profile_devices(run: RunFolder, show: Show = silent) -> dict[str, tuple[Quietness, Calibration]]:
    """Device -> how quiet it was and how well whole networks are predicted; devices done already are left out."""
    settings, done = run.experiment.profile, {}
    for name in run.experiment.devices:
        device = find_device(name, run.lut)
        log = run.lut / name / "profiled.json"
        mark = stamp(run.space.hash, device.settings, settings.model_dump(), run.experiment.seed)
        if read_stamped(log, mark):
            continue
        plan = Plan(rounds=settings.rounds, repeats=settings.repeats)
        with show(f"profile {name}") as advance:
            done[name] = profile_space(
                run.space,
                device,
                run.lut,
                blocks=settings.blocks,
                networks=settings.networks,
                held_out=settings.held_out,
                searched=settings.searched,
                plan=plan,
                seed=run.experiment.seed,
                report=pace(advance, plan.rounds),
            )
        write_json(log, {"stamp": mark, "space": run.space.spec, "space_hash": run.space.hash, **settings.model_dump()})
    return done
