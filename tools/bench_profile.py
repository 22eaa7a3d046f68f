"""How long does profiling take, and does it repeat? For each runtime of this machine, on a space of 300 distinct blocks.

    python tools/bench_profile.py --lut tables                      # minutes for 300 blocks; time to prepare one
    python tools/bench_profile.py --lut tables --again              # an hour or more later: the same in new processes, and how far apart
    python tools/bench_profile.py --blocks 20 --rounds 2 --devices onnx-cpu tflite-cpu      # a minute

The first profile's tables stay in `LUT/first`; `--again` measures into `LUT/again` and compares block by block. Preparing is from a
torch module to the file on disk. Goals: at most 4 minutes a device; at most 15 ms to prepare an fp32 block, 150 ms an int8 one (MNN's own
converter takes what it takes); at most 3 % median difference between two profiles.

It begins no further device after --minutes; run it again and it goes on, killed or not (the minutes of a killed device add up), and
prints the whole table.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import torch

from hwnas.device import BUILT_IN, Device
from hwnas.files import write_atomic
from hwnas.measure import Job, Plan, Quietness, profile
from hwnas.profiler import load_profiler
from hwnas.spaces import load_space
from hwnas.table import Table

GOAL_MINUTES, GOAL_PREPARE_MS, GOAL_INT8_MS, GOAL_APART = 4.0, 15.0, 150.0, 0.03
EXTRA = (Device(name="tflite-builtin", runtime="tflite", options={"xnnpack": False}),)


def runtimes(names: list[str]) -> list[Device]:
    """Devices by name, or all that run here."""
    known = BUILT_IN | {d.name: d for d in EXTRA}
    if unknown := set(names) - known.keys():
        raise SystemExit(f"unknown devices {', '.join(sorted(unknown))}: known are {', '.join(known)}")
    chosen = [known[name] for name in names] or [d for d in known.values() if d not in EXTRA]
    return [d for d in chosen if load_profiler(d.runtime).probe() is None]


def prepare_ms(device: Device, jobs: dict[str, Job], count: int) -> np.ndarray:
    """Milliseconds from module to file for some of the jobs; one is prepared beforehand, because imports are paid once."""
    profiler, times = load_profiler(device.runtime), []
    some = list(jobs.values())[:: max(1, len(jobs) // count)][:count]
    with tempfile.TemporaryDirectory() as folder:
        for job in [some[0], *some]:
            module = job.module()
            start = time.perf_counter()
            profiler.build(module, job.shapes, device, Path(folder) / f"block{profiler.suffix}")
            times.append(1000 * (time.perf_counter() - start))
    return np.array(times[1:])


def apart(first: Path, again: Path) -> tuple[np.ndarray, float]:
    """(blocks,) how far the second profile's value of each block is from the first's, as a fraction; and the hours between the two."""
    tables = [Table.read(path / "table.jsonl") for path in (first, again)]
    a, b = (table.values() for table in tables)
    keys = [key for key in a if key in b]
    made = [datetime.fromisoformat(json.loads((path / "table.jsonl").open().readline())["created"]) for path in (first, again)]
    return np.array([b[key] / a[key] - 1 for key in keys]), (made[1] - made[0]).total_seconds() / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=[], help="default: all that run here")
    parser.add_argument("--space", default="mobilenet", help="the first --blocks blocks of it, spread over the space")
    parser.add_argument("--blocks", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    parser.add_argument("--prepare", type=int, default=40, help="blocks whose preparation is timed")
    parser.add_argument("--lut", type=Path, default=Path("build/bench-profile"), help="where the tables of both profiles lie")
    parser.add_argument("--again", action="store_true", help="profile a second time and compare with the first")
    parser.add_argument("--minutes", type=float, default=11.0, help="after which no further device is begun")
    options = parser.parse_args()
    torch.set_num_threads(1)

    space, began = load_space(options.space), time.monotonic()
    chosen = [space.blocks[i] for i in np.linspace(0, len(space.blocks) - 1, min(options.blocks, len(space.blocks))).astype(int)]
    cpu = next((x.split(":")[1].strip() for x in open("/proc/cpuinfo") if x.startswith("model name")), platform.processor())
    print(f"{len(chosen)} of {len(space.blocks)} blocks of {space.spec or space.name}, {options.rounds} rounds; {cpu}; {time.ctime()}")
    print(f"goals: {GOAL_MINUTES:g} minutes for 300 blocks, {GOAL_PREPARE_MS:g} ms to prepare one (int8 {GOAL_INT8_MS:g}),", end=" ")
    print(f"two profiles {GOAL_APART:.0%} apart")
    compared = f" {'hours apart':>11} {'median apart':>12} {'p90':>6} {'bias':>6}" if options.again else ""
    print(f"{'device':16} {'minutes':>7} {'failed':>6} {'prepare ms':>10} {'p90':>6} {'known within':>12}{compared}  machine")
    folder, missed, left = options.lut / ("again" if options.again else "first"), [], []
    for device in runtimes(options.devices):
        jobs = {str(block): Job.of(block, device.batch) for block in chosen}
        first = options.lut / "first" / device.name
        if options.again and not (first / "table.jsonl").exists():
            print(f"{device.name:16} no table at {first}: run without --again first, an hour or more before")
            continue
        log = folder / device.name / "bench.json"
        spent = json.loads(log.read_text()) if log.exists() else {"minutes": 0.0, "done": False}
        if not spent["done"] and (time.monotonic() - began) / 60 >= options.minutes:
            left.append(device.name)
            continue
        if "prepare_ms" not in spent:
            times = prepare_ms(device, jobs, options.prepare)
            spent["prepare_ms"], spent["prepare_p90_ms"] = float(np.median(times)), float(np.percentile(times, 90))
        if spent["done"]:
            quietness = Quietness.of(Table.read(folder / device.name / "table.jsonl"))
        else:
            start = time.monotonic()
            try:
                quietness = profile(device, jobs, folder, Plan(rounds=options.rounds))
                spent["done"] = True
            finally:
                spent["minutes"] += (time.monotonic() - start) / 60
                write_atomic(log, json.dumps(spent))
        line = f"{device.name:16} {spent['minutes']:7.1f} {quietness.failed:6} {spent['prepare_ms']:10.1f} {spent['prepare_p90_ms']:6.1f}"
        line += f" {2 * quietness.error:12.1%}"
        if spent["minutes"] > GOAL_MINUTES * max(len(chosen) / 300, 1):
            missed.append(f"{device.name}: over {GOAL_MINUTES:g} minutes for 300 blocks")
        if spent["prepare_ms"] > (goal := GOAL_INT8_MS if device.dtype == "int8" else GOAL_PREPARE_MS):
            missed.append(f"{device.name}: over {goal:g} ms to prepare a block")
        if options.again:
            difference, hours = apart(first, folder / device.name)
            median = float(np.median(np.abs(difference)))
            line += f" {hours:11.1f} {median:12.1%} {np.percentile(np.abs(difference), 90):6.1%} {np.median(difference):+6.1%}"
            if median > GOAL_APART:
                missed.append(f"{device.name}: the profiles are over {GOAL_APART:.0%} apart")
        print(f"{line}  {quietness}", flush=True)
    print("\n".join(["missed:", *missed]) if missed else "all goals met by these")
    if left:
        print(f"not yet: {', '.join(left)}: run the same command again")


if __name__ == "__main__":
    main()
