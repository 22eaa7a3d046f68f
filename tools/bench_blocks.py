"""How well are blocks predicted that were not measured? Measures a pool of blocks, then predicts most of it from few.

    python tools/bench_blocks.py                                   # 320 blocks of the default space, ONNX Runtime and TFLite
    python tools/bench_blocks.py --blocks 120 --devices onnx-cpu   # smaller
    python tools/bench_blocks.py --lut FOLDER                      # goes on in, or only looks at, tables made before

Goal: with 20 % of the blocks shown, the others within 2 % in the median.

Prints the median and the 90th percentile of |predicted / measured - 1| over the blocks that were not shown, for 10, 20 and 40 % shown, and
how many lie in the 95 % interval. Baselines in the same run: least squares alone, and a random forest. What a typical block is known within
(95 %) is printed, too: no predictor can be much better than a third of that.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from sklearn.ensemble import RandomForestRegressor

from hwnas.device import find_device
from hwnas.measure import Job, Plan, profile
from hwnas.predict import BlockPredictor, choose_blocks
from hwnas.predict.block_nodes import block_shapes, count_sums
from hwnas.spaces import load_space
from hwnas.table import Table

GOAL = 0.02
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--space", default="mobilenet(channels=3, size=96, classes=100)")
parser.add_argument("--devices", nargs="+", default=["onnx-cpu", "tflite-cpu"])
parser.add_argument("--blocks", type=int, default=320, help="Blocks in the pool, drawn from the space.")
parser.add_argument("--rounds", type=int, default=Plan().rounds)
parser.add_argument("--lut", type=Path, default=Path("build/bench-blocks"), help="Killed, it goes on there.")
args = parser.parse_args()

space, lut = load_space(args.space), args.lut
pool = list(space.blocks)
if args.blocks < len(pool):
    pool = [pool[i] for i in sorted(np.random.default_rng(0).choice(len(pool), args.blocks, replace=False))]


def least_squares(shown, ms, rest):
    sums = count_sums(shown)
    scale = np.maximum(sums.max(0), 1e-12)
    weights = nnls(sums / scale / ms[:, None], np.ones(len(ms)))[0] / scale
    return count_sums(rest) @ weights, None


def forest(shown, ms, rest):
    features = lambda blocks: np.column_stack([block_shapes(blocks), np.log1p(count_sums(blocks))])
    return np.exp(RandomForestRegressor(300, random_state=0).fit(features(shown), np.log(ms)).predict(features(rest))), None


def ours(shown, ms, rest):
    return BlockPredictor().fit(shown, ms).predict(rest)


def at_random(blocks, n):
    return [blocks[i] for i in np.random.default_rng(1).choice(len(blocks), n, replace=False)]


METHODS = {"least squares": (least_squares, choose_blocks), "random forest": (forest, choose_blocks)}
METHODS |= {"ours, random": (ours, at_random), "ours, chosen": (ours, choose_blocks)}
print(f"{len(pool)} of the {len(space.blocks)} blocks of {space.spec}; error in %: median / 90th percentile, share in the 95 % interval")
for name in args.devices:
    quietness = profile(find_device(name, lut), {str(b): Job.of(b) for b in pool}, lut, Plan(rounds=args.rounds))
    table = Table.read(lut / name / "table.jsonl")
    values = table.values()
    blocks = [b for b in pool if str(b) in values]
    ms = {b: values[str(b)] for b in blocks}
    print(
        f"\n{name}: a typical block known within {2 * quietness.error:.1%}\n{'':16}"
        + "".join(f"{share:>22.0%}" for share in (0.1, 0.2, 0.4))
    )
    for method, (predict, choose) in METHODS.items():
        cells, medians = [], []
        for share in (0.1, 0.2, 0.4):
            shown = choose(blocks, round(share * len(blocks)))
            rest = [b for b in blocks if b not in set(shown)]
            truth = np.array([ms[b] for b in rest])
            predicted, deviation = predict(shown, np.array([ms[b] for b in shown]), rest)
            error = np.abs(predicted / truth - 1)
            medians.append(float(np.median(error)))
            inside = "" if deviation is None else f" {np.mean(np.abs(np.log(predicted / truth)) <= 1.96 * deviation):4.0%}"
            cells.append(f"{100 * np.median(error):5.1f} / {100 * np.quantile(error, 0.9):4.1f}{inside}")
        goal = f"  20 %: median <= {100 * GOAL:g} % {'met' if medians[1] <= GOAL else 'MISSED'}" if method.startswith("ours") else ""
        print(f"{method:16}" + "".join(f"{cell:>22}" for cell in cells) + goal, flush=True)
