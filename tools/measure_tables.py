"""Measures the tables that come with hwnas: every CPU runtime of this machine, on the spaces of the built-in experiments.

    python tools/measure_tables.py xeon-avx512                       # into lut/shipped/xeon-avx512-onnx, ...: 10 to 15 minutes
    python tools/measure_tables.py my-laptop --devices onnx-cpu tflite-cpu --lut /tmp/tables
    python tools/measure_tables.py xeon-avx512 --anew                # measures all of it again and replaces what is there

MACHINE names the processor, and with the runtime each table: never a built-in device (`onnx-cpu`), so that nobody's own table is in its
way. All blocks of both spaces are measured, 40 networks of each for calibration and 20 for the trust report. Killed, it goes on where it
stopped (the work lies in build/tables); a device is published when all of it is there, as `hwnas lut export` does: facts only. Exit code 1
if `hwnas lut check` finds an error in one, or if its trust report is bad.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from hwnas.device import BUILT_IN, Device
from hwnas.lut import check_table, export_folder
from hwnas.measure import Plan, Quietness
from hwnas.predict import Trust, profile_space
from hwnas.profiler import load_profiler
from hwnas.shipped import SHIPPED
from hwnas.space import Space
from hwnas.spaces import load_space
from hwnas.steps import load_experiment
from hwnas.table import Table

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ("quickstart", "fashion-mnist")
NETWORKS, HELD_OUT = 40, 20  # as `hwnas profile` does
GOAL_MINUTES = 15.0


def measure(device: Device, spaces: list[Space], work: Path, rounds: int) -> Quietness:
    """All blocks of the spaces, and networks, into work/<device>."""
    for space in spaces:
        quietness, _ = profile_space(
            space, device, work, blocks=len(space.blocks), networks=NETWORKS, held_out=HELD_OUT, plan=Plan(rounds=rounds)
        )
    return quietness


def publish(folder: Path, out: Path) -> list[str]:
    """Replaces the table at `out`; returns what is wrong with it."""
    if out.exists():
        shutil.rmtree(out)
    export_folder(folder / "table.jsonl", out)
    wrong = [str(f) for f in check_table(out / "table.jsonl").findings if f.level == "error"]
    reports = Trust.load_all(out / "trust.json")
    for report in reports:
        print(f"    {report.space.partition('(')[0]}: {report}", flush=True)
    return [f"{out.name}: {w}" for w in [*wrong, *(r.verdict for r in reports if r.reasons)]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine", metavar="MACHINE")
    parser.add_argument("--devices", nargs="+", default=[n for n, d in BUILT_IN.items() if d.runtime not in ("gpu", "mnn")])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--lut", type=Path, default=SHIPPED, help="where the tables are published")
    parser.add_argument("--work", type=Path, help="default: build/tables/MACHINE")
    parser.add_argument("--anew", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    work = options.work or ROOT / "build/tables" / options.machine
    if options.anew and work.exists():
        shutil.rmtree(work)
    spaces = [load_space(load_experiment(name).space) for name in EXPERIMENTS]
    began, wrong, bytes_ = time.monotonic(), [], 0
    for name in options.devices:
        if name not in BUILT_IN:
            parser.error(f"--devices: {name!r} is none of {', '.join(BUILT_IN)}")
        if reason := load_profiler(BUILT_IN[name].runtime).probe():
            print(f"{name}: left out: {reason}")
            continue
        started = time.monotonic()
        quietness = measure(BUILT_IN[name], spaces, work, options.rounds)
        rows = len(Table.read(work / name / "table.jsonl").keys)
        out = options.lut / f"{options.machine}-{name.replace('-cpu', '').replace('cpu-', '')}"
        print(f"{out.name}: {rows} blocks and networks in {(time.monotonic() - started) / 60:.1f} minutes; {quietness}", flush=True)
        wrong += publish(work / name, out)
        bytes_ += sum(p.stat().st_size for p in out.iterdir())
    minutes = (time.monotonic() - began) / 60
    print(f"{minutes:.1f} minutes (goal: {GOAL_MINUTES:g}), {bytes_ / 1e6:.1f} MB in {options.lut}")
    print("\n".join(["wrong:", *wrong]) if wrong else "every table is sound, and trusted")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
