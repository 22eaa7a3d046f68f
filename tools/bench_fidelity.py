"""How well are whole networks predicted? Profiles a space on each device, then measures other, random networks of it.

    python tools/bench_fidelity.py                                  # default mobilenet space, the three CPU devices
    python tools/bench_fidelity.py --devices onnx-cpu --space 'mobilenet(size=224)' --blocks 300

Prints, for each device: error of the plain sum of blocks and of the calibrated model on held-out networks, and how often
the measured latency lay within the 95 % bound. Everything is measured now, into a table of its own under --lut.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from hwnas.device import find_device
from hwnas.measure import Plan, profile
from hwnas.predict import Fidelity, device_model, network_jobs, network_key, profile_space
from hwnas.spaces import load_space
from hwnas.table import Table

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--space", default="mobilenet")
parser.add_argument("--devices", nargs="+", default=["onnx-cpu", "tflite-cpu", "torch-cpu"])
parser.add_argument("--blocks", type=int, default=300)
parser.add_argument("--networks", type=int, default=40, help="for calibration")
parser.add_argument("--held-out", type=int, default=40)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--lut", type=Path, help="default: a new temporary folder")
arguments = parser.parse_args()

space, lut = load_space(arguments.space), arguments.lut or Path(mkdtemp(prefix="hwnas-fidelity-"))
plan = Plan()
held_out = space.sample(arguments.held_out, np.random.default_rng([arguments.seed, 99]))
cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
print(
    f"{space.spec or space.name}: {len(space.blocks)} blocks, {min(arguments.blocks, len(space.blocks))} measured; {cpu}; tables in {lut}"
)
HEADER = ("device", "seconds", "method", "MAPE", "median", "<= 5 %", "<= 10 %", "worst", "bias", "rank", "in bound")
print("{:12} {:>8} {:12} {:>6} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>8}".format(*HEADER))
results = {}
for name in arguments.devices:
    device, started = find_device(name, lut), time.time()
    quietness, _ = profile_space(space, device, lut, blocks=arguments.blocks, networks=arguments.networks, plan=plan, seed=arguments.seed)
    seconds = time.time() - started
    profile(device, network_jobs(space, held_out, device.batch), lut, plan)
    values = Table.read(lut / name / "table.jsonl").values()
    measured = np.array([values[network_key(space, z)] for z in held_out])
    model = device_model(space, lut / name)
    bound = float((measured <= model.upper(held_out, ["latency_ms"])[:, 0]).mean())
    plain = np.array([sum(values.get(str(b), np.nan) for b in space.blocks_of(z)) for z in held_out])
    rows = {"calibrated": (Fidelity.of(model.cost(held_out, ["latency_ms"])[:, 0], measured), f"{bound:8.0%}")}
    if np.isfinite(plain).all():  # every block was measured
        rows = {"plain sum": (Fidelity.of(plain, measured), "")} | rows
    for method, (f, covered) in rows.items():
        print(
            f"{name:12} {seconds:8.0f} {method:12} {f.mape:6.1%} {f.median:7.1%} {f.within_5:7.0%} {f.within_10:7.0%} "
            f"{f.worst:6.1%} {f.bias:+6.1%} {f.spearman:6.3f} {covered}",
            flush=True,
        )
    print(f"{'':12} {quietness}", flush=True)
    results[name] = {"seconds": seconds, "bound": bound, **{m: f.to_dict() for m, (f, _) in rows.items()}}
(lut / "fidelity.json").write_text(json.dumps(results, indent=1))
