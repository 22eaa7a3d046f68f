"""How well are whole networks predicted, and does the bound hold for those that a search picks?

    python tools/bench_fidelity.py                                            # default mobilenet space, the three CPU devices
    python tools/bench_fidelity.py --devices onnx-int8 --lut lut              # any device of `hwnas devices` or of a device.toml
    python tools/bench_fidelity.py --space 'mobilenet(resolutions=(28, 64, 128, 224), stem=8)' --blocks 300
    python tools/bench_fidelity.py --lut DIR --later                          # a later sitting: tables of DIR, 5 sentinel networks
    python tools/bench_fidelity.py --loaded                                   # another process saturates the core meanwhile
    python tools/bench_fidelity.py --small                                    # a few minutes less, and less certain

Prints, for each device, on held-out random networks and on the winners of searches at as many budgets: the error of the plain sum of
blocks and of the calibrated model, and how often the measured latency lay within the 95 % bound. `later` prints both the model as it was
and with the drift that the sentinel networks show. Everything is measured now, into tables of its own under --lut; held-out
networks into a table that the model never sees.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from hwnas.cost import CostModel
from hwnas.device import Device, find_device
from hwnas.measure import Plan, profile
from hwnas.predict import Fidelity, device_model, network_jobs, network_key, profile_space, retime, searched_networks
from hwnas.space import Space
from hwnas.spaces import load_space
from hwnas.table import Table

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--space", default="mobilenet")
parser.add_argument("--devices", nargs="+", default=["onnx-cpu", "tflite-cpu", "torch-cpu"])
parser.add_argument("--blocks", type=int, default=600)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--networks", type=int, default=20, help="for calibration; 38 or more with --searched")
parser.add_argument("--searched", action="store_true", help="half of the networks for calibration are winners of searches")
parser.add_argument("--held-out", type=int, default=50)
parser.add_argument("--winners", type=int, default=40, help="searches, each at its own budget")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--lut", type=Path, help="default: a new temporary folder")
parser.add_argument("--later", action="store_true", help="take the tables that lie in --lut as they are")
parser.add_argument("--loaded", action="store_true", help="keep a busy process on each core")
parser.add_argument("--small", action="store_true", help="120 blocks, 20 held-out networks, 20 winners, 2 rounds")
arguments = parser.parse_args()
if arguments.small:
    arguments.blocks, arguments.held_out, arguments.winners, arguments.rounds = 120, 20, 20, 2
if arguments.later and not arguments.lut:
    parser.error("--later needs --lut DIR, the folder of an earlier run")

HEADER = ("device", "networks", "model", "n", "MAPE", "median", "<= 5 %", "<= 10 %", "worst", "bias", "rank", "in bound")
LINE = "{:11} {:8} {:20} {:>3} {:>6} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>9}"


def measured(space: Space, device: Device, Z: np.ndarray, plan: Plan) -> np.ndarray:
    """(n,) ms of networks, timed into a table of their own."""
    scratch = Path(mkdtemp(prefix="hwnas-held-out-"))
    profile(device, network_jobs(space, Z, device.batch), scratch, plan)
    values = Table.read(scratch / device.name / "table.jsonl").values()
    return np.array([values[network_key(space, z)] for z in Z])


def row(name: str, networks: str, method: str, model: CostModel, Z: np.ndarray, ms: np.ndarray) -> dict[str, float]:
    """Prints a line and returns its figures."""
    predicted, upper = model.cost(Z, ["latency_ms"])[:, 0], model.upper(Z, ["latency_ms"])[:, 0]
    f, covered = Fidelity.of(predicted, ms), int((ms <= upper).sum())
    cells = (
        f"{f.mape:.1%}",
        f"{f.median:.1%}",
        f"{f.within_5:.0%}",
        f"{f.within_10:.0%}",
        f"{f.worst:.1%}",
        f"{f.bias:+.1%}",
        f"{f.spearman:.3f}",
    )
    bound = f"{covered}/{len(ms)}" if model.margin.get("latency_ms") else ""
    print(LINE.format(name, networks, method, len(ms), *cells, bound), flush=True)
    return {**f.to_dict(), "covered": covered, "margin": model.margin.get("latency_ms", 0.0)}


def bench(space: Space, device: Device, lut: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """Profiles (or, later, re-times), then measures held-out networks and winners."""
    started, drift = time.time(), None
    if arguments.later:
        drift = retime(space, device, lut / device.name)
        print(f"{device.name}: {drift}; timed in {time.time() - started:.0f} s")
    else:
        settings = {"blocks": arguments.blocks, "networks": arguments.networks, "searched": arguments.searched, "held_out": 0}
        quietness, _ = profile_space(space, device, lut, plan=plan, seed=arguments.seed, **settings)
        print(f"{device.name}: {quietness}; profiled in {time.time() - started:.0f} s")
    model = device_model(space, lut / device.name)
    models = {"calibrated": model}
    if drift:
        models |= {"with drift": device_model(space, lut / device.name, drift=drift)}
    random = space.sample(arguments.held_out, np.random.default_rng([arguments.seed, 99]))
    picked = searched_networks(models["with drift"] if drift else model, arguments.winners, arguments.seed + 1000)
    both = measured(space, device, np.array([*random, *picked]), plan)
    sets = {"random": (random, both[: len(random)]), "winners": (picked, both[len(random) :])}
    values = Table.read(lut / device.name / "table.jsonl").values()
    plain = np.array([values.get(str(b), np.nan) for b in space.blocks])
    if np.isfinite(plain).all():  # every block was measured
        models = {"plain sum": CostModel(space, {"latency_ms": plain})} | models
    return {f"{which} {method}": row(device.name, which, method, m, *pair) for which, pair in sets.items() for method, m in models.items()}


def main() -> None:
    space, lut = load_space(arguments.space), arguments.lut or Path(mkdtemp(prefix="hwnas-fidelity-"))
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    sizes = sorted({space.input_size(z)[0] for z in space.sample(200, np.random.default_rng(0))})
    count = min(arguments.blocks, len(space.blocks))
    print(
        f"{space.spec or space.name}: {sizes[0]} to {sizes[-1]} px, {len(space.blocks)} blocks, "
        f"{count} measured in {arguments.rounds} rounds; {cpu}; {lut}"
    )
    busy = [sys.executable, "-c", "while True: pass"]
    load = [subprocess.Popen(busy) for _ in range(os.cpu_count() or 1)] if arguments.loaded else []
    try:
        print(LINE.format(*HEADER))
        results = {name: bench(space, find_device(name, lut), lut, Plan(rounds=arguments.rounds)) for name in arguments.devices}
    finally:
        for process in load:
            process.kill()
    name = "later" if arguments.later else "loaded" if arguments.loaded else "fidelity"
    (lut / f"{name}.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
