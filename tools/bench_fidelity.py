"""How well are whole networks predicted, and does the bound hold for those that a search picks? Prints the figures beside the goals.

    python tools/bench_fidelity.py                            # all runtimes of this machine, fp32 and int8: two minutes for each
    python tools/bench_fidelity.py --later                    # hours later: the same tables, five networks timed again
    python tools/bench_fidelity.py --loaded                   # another process saturates the core meanwhile
    python tools/bench_fidelity.py --devices onnx-cpu --space mobilenet --blocks 400    # four fifths of the blocks are predicted
    python tools/bench_fidelity.py --small                    # less, and less certain: a try

It begins no further device after --minutes; run it again and it goes on (killed, too) and prints the whole table. What is done lies in
--lut, --anew forgets it.

For each device: blocks, networks for calibration and held-out random networks are timed in one sitting, interleaved, networks in more
rounds than blocks, since what their own timing is off by (`own`: its standard error) counts as an error of the prediction; the model is
fitted without the held-out ones. Then come the winners of searches at as many budgets, and five networks of the calibration among them:
printed are the model as it was and with the drift that the five show. Printed for each: its error, and how often the measured latency lay
within the 95 % bound; for random networks also the error of the plain sum of blocks. `--later` times all of them again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.cost import CostModel
from hwnas.device import BUILT_IN, Device, find_device
from hwnas.files import write_atomic
from hwnas.measure import Plan, profile
from hwnas.predict import Calibration, Drift, Fidelity, device_model, network_jobs, network_key, profile_space, searched_networks
from hwnas.predict.drift import sentinel_networks
from hwnas.predict.networks import code_of
from hwnas.profiler import load_profiler
from hwnas.space import Space
from hwnas.spaces import load_space
from hwnas.table import Table

SPACE = (
    "mobilenet(resolutions=(28, 64, 128, 224), stem=8, widths=((16,), (24,), (40,), (80,)), strides=(2, 2, 2, 2), depth=3, "
    "expands=(3, 6), acts=('relu',))"
)
DEVICES = [name for name, device in BUILT_IN.items() if device.runtime not in ("gpu", "mnn")]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--space", default=SPACE, help="default: four stages, 28 to 224 px, 392 blocks")
parser.add_argument("--devices", nargs="+", default=DEVICES)
parser.add_argument("--blocks", type=int, default=400)
parser.add_argument("--rounds", type=int, default=Plan().rounds)
parser.add_argument("--network-rounds", type=int, default=24, help="of whole networks")
parser.add_argument("--networks", type=int, default=20, help="for calibration; 38 or more with --searched")
parser.add_argument("--searched", action="store_true", help="half of the networks for calibration are winners of searches")
parser.add_argument("--held-out", type=int, default=50)
parser.add_argument("--winners", type=int, default=40, help="searches, each at its own budget")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--lut", type=Path, default=Path("build/bench-fidelity"), help="where tables and results lie")
parser.add_argument("--minutes", type=float, default=11.0, help="after which no further device is begun")
parser.add_argument("--later", action="store_true", help="take the tables that lie in --lut as they are")
parser.add_argument("--loaded", action="store_true", help="keep a busy process on each core; tables of their own in LUT/loaded")
parser.add_argument("--anew", action="store_true", help="forget what was measured before in this mode")
parser.add_argument("--small", action="store_true", help="60 blocks, 20 held-out networks, 10 winners, 2 rounds")
arguments = parser.parse_args()
if arguments.small:
    arguments.blocks, arguments.held_out, arguments.winners, arguments.rounds, arguments.network_rounds = 60, 20, 10, 2, 4

HEADER = ("device", "networks", "model", "n", "own", "MAPE", "median", "<= 5 %", "<= 10 %", "worst", "bias", "rank", "in bound", "goal")
LINE = "{:15} {:8} {:10} {:>3} {:>5} {:>6} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6} {:>9}  {}"


def goals(device: Device) -> dict[str, float]:
    """Of random networks: mape and bias at most, within_5 and within_10 at least."""
    if arguments.loaded:
        return {"mape": 0.025}
    if arguments.later:
        return {"mape": 0.02, "within_5": 0.97, "within_10": 0.995}
    mape = {"cpu": 0.03, "tflite": 0.01}.get(device.runtime, 0.015)
    return {"mape": mape, "bias": 0.005} | ({} if device.runtime == "cpu" else {"within_5": 0.99})


def figures(model: CostModel, Z: np.ndarray, ms: np.ndarray) -> dict[str, float]:
    """Of networks Z (n, genes) that took ms (n,)."""
    predicted, upper = model.cost(Z, ["latency_ms"])[:, 0], model.upper(Z, ["latency_ms"])[:, 0]
    margin = model.margin.get("latency_ms", 0.0)
    return {**Fidelity.of(predicted, ms).to_dict(), "covered": int((ms <= upper).sum()), "margin": margin}


def verdict(found: dict[str, float], goal: dict[str, float]) -> str:
    """`MAPE <= 1.5% met, bias <= 0.5% missed`."""
    parts = []
    for name, limit in goal.items():
        least = name.startswith("within")
        met = found[name] >= limit if least else abs(found[name]) <= limit
        parts.append(f"{name.replace('within_', '<= ')}{' % of' if least else ' <='} {limit:.1%} {'met' if met else 'MISSED'}")
    return ", ".join(parts)


def show(device: Device, results: dict[str, dict[str, float]]) -> None:
    judged = "random drift" if arguments.later else "random calibrated"
    for key, f in results.items():
        which, method = key.split(" ", 1)
        cells = (f"{f[n]:.1%}" for n in ("own", "mape", "median", "within_5", "within_10", "worst"))
        bound = f"{f['covered']}/{f['networks']} +{f['margin']:.0%}" if f["margin"] else ""
        goal = verdict(f, goals(device)) if key == judged else ""
        print(
            LINE.format(device.name, which, method, f["networks"], *cells, f"{f['bias']:+.1%}", f"{f['spearman']:.3f}", bound, goal),
            flush=True,
        )


def latencies(table: Table, space: Space, Z: np.ndarray) -> tuple[np.ndarray, float]:
    """((n,) ms of networks, NaN for one that failed; mean standard error of their timing, relative)."""
    values, errors, keys = table.values(), table.standard_error(), [network_key(space, z) for z in Z]
    return np.array([values.get(k, np.nan) for k in keys]), float(np.mean([errors[k] for k in keys if k in errors]))


def sitting(space: Space, device: Device, lut: Path, name: str, networks: list[np.ndarray], plan: Plan) -> tuple[Table, Drift]:
    """(table in lut/NAME of the networks, how fast the device was meanwhile by five of the calibration, timed among them)."""
    calibration = Calibration.load(lut / device.name / "calibration.json", space.hash)
    again = sentinel_networks(calibration)
    quietness = profile(device, network_jobs(space, [*map(code_of, again), *networks], device.batch), lut / name, plan)
    table, then = Table.read(lut / name / device.name / "table.jsonl"), Table.read(lut / device.name / "table.jsonl").values()
    now = table.values()
    drift = Drift.of({k: now[k] / then[k] for k in again if k in now}, (), calibration.table_fingerprint)
    print(f"{device.name}, {name}: {quietness}; {drift}", flush=True)
    return table, drift


def bench(space: Space, device: Device, lut: Path, plan: Plan) -> dict[str, dict[str, float]]:
    """Profiles, or times networks again later; `random calibrated` and the like -> figures."""
    started, folder = time.time(), lut / device.name
    random = list(space.sample(arguments.held_out, np.random.default_rng([arguments.seed, 41])))  # those that profile_space holds out
    often = replace(plan, rounds=max(plan.rounds, arguments.network_rounds))
    if not arguments.later:
        settings = {"blocks": arguments.blocks, "networks": arguments.networks, "searched": arguments.searched, "seed": arguments.seed}
        quietness, _ = profile_space(space, device, lut, plan=plan, network_rounds=often.rounds, held_out=arguments.held_out, **settings)
        print(f"{device.name}: {quietness}", flush=True)
    model, first = device_model(space, folder), Table.read(folder / "table.jsonl")
    picked = list(searched_networks(model, arguments.winners, arguments.seed + 1000))
    if arguments.later:
        then, drift = sitting(space, device, lut, "later", [*random, *picked], often)
        timed = {"random": (random, then), "winners": (picked, then)}
    else:
        then, drift = sitting(space, device, lut, "winners", picked, often)
        timed = {"random": (random, first), "winners": (picked, then)}
    results, blocks = {}, first.values()
    for which, (Z, table) in timed.items():
        models = {"calibrated": model}
        if table is not first:
            models["drift"] = device_model(space, folder, drift=drift)
        elif np.isfinite(plain := np.array([blocks.get(str(b), np.nan) for b in space.blocks])).all():  # all were measured
            models = {"plain sum": CostModel(space, {"latency_ms": plain})} | models
        ms, own = latencies(table, space, np.array(Z))
        ran = np.isfinite(ms)
        results |= {f"{which} {method}": figures(m, np.array(Z)[ran], ms[ran]) | {"own": own} for method, m in models.items()}
    print(f"{device.name}: {(time.time() - started) / 60:.1f} minutes", flush=True)
    return results


def main() -> None:
    space, began = load_space(arguments.space), time.monotonic()
    lut = arguments.lut / "loaded" if arguments.loaded else arguments.lut
    mode = "later" if arguments.later else "sitting"
    state = lut / f"{mode}.json"
    if arguments.anew:
        shutil.rmtree(lut / "later" if arguments.later else lut, ignore_errors=True)
        state.unlink(missing_ok=True)
    done: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    sizes = sorted({space.input_size(z)[0] for z in space.sample(200, np.random.default_rng(0))})
    count = min(arguments.blocks, len(space.blocks))
    print(f"{space.spec or space.name}: {sizes[0]} to {sizes[-1]} px, {len(space.blocks)} blocks, {count} measured; {cpu}; {lut}, {mode}")
    devices = [find_device(name, lut) for name in arguments.devices]
    left = [d.name for d in devices if d.name not in done]
    busy = [sys.executable, "-c", "while True: pass"]
    load = [subprocess.Popen(busy) for _ in range(os.cpu_count() or 1)] if arguments.loaded and left else []
    try:
        for device in devices:
            if device.name in done:
                continue
            if reason := load_profiler(device.runtime).probe():
                print(f"{device.name}: left out: {reason}")
            elif (time.monotonic() - began) / 60 < arguments.minutes:
                done[device.name] = bench(space, device, lut, Plan(rounds=arguments.rounds))
                write_atomic(state, json.dumps(done, indent=1))
                left.remove(device.name)
    finally:
        for process in load:
            process.kill()
    print("\n" + LINE.format(*HEADER))
    for device in devices:
        if device.name in done:
            show(device, done[device.name])
    if left:
        print(f"not yet: {', '.join(left)}: run the same command again")


if __name__ == "__main__":
    main()
