"""How well does a latency transfer to a device it was not measured on? Leave one device out, on NAS-Bench-201.

    python tools/bench_transfer.py nasbench201_devices.parquet             # 20 seeds; about ten minutes
    python tools/bench_transfer.py nasbench201_devices.parquet --seeds 3

The file: columns op0 .. op5 (0 none, 1 skip, 2 conv1x1, 3 conv3x3, 4 avgpool; the six edges of a cell) and one column
`ms_<device>` for each device, latencies in ms; those of HELP (Lee et al. 2021, https://github.com/HayeonLee/HELP) in that
form. Each device in turn is the new one, 10 and 100 cells of it are measured, all others are predicted. Cells under 0.5 ms
on any device (they are disconnected) are dropped.

Baseline: RidgeCV on the standardised log-latencies of the other devices, cells drawn at random. Ours: hwnas.predict.Transfer, cells chosen
by it, and drawn at random for comparison.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from hwnas.predict import Transfer

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("parquet")
parser.add_argument("--seeds", type=int, default=20)
parser.add_argument("--measured", type=int, nargs="+", default=[10, 100])
args = parser.parse_args()

file = pq.read_table(args.parquet)
devices = [c for c in file.column_names if c.startswith("ms_")]
codes = np.stack([file[f"op{i}"].to_numpy() for i in range(6)], 1).astype(int)
ms = np.stack([file[d].to_numpy() for d in devices], 1).astype(float)
kept = (ms >= 0.5).all(1)
codes, ms = codes[kept], ms[kept]
rounded = [bool((column == column.round()).all()) for column in ms.T]
METHODS = ("ridge, random", "ours, random", "ours, chosen")
error = {(m, k): np.zeros((len(devices), args.seeds)) for m in METHODS for k in args.measured}  # 1 - Spearman
within = {key: np.zeros((len(devices), args.seeds)) for key in error}
covered = {key: np.zeros((len(devices), args.seeds)) for key in error}


def record(method: str, k: int, d: int, seed: int, rows: np.ndarray, predicted: np.ndarray, deviation: np.ndarray | None = None) -> None:
    rest = np.setdiff1d(np.arange(len(ms)), rows)
    truth, p = ms[rest, d], predicted[rest]
    error[method, k][d, seed] = 1 - spearmanr(p, truth).statistic
    within[method, k][d, seed] = (np.abs(p / truth - 1) <= 0.1).mean()
    if deviation is not None:
        covered[method, k][d, seed] = (np.abs(p - truth) <= 1.96 * deviation[rest]).mean()


print(f"{len(ms)} cells, {len(devices)} devices, {args.seeds} seeds")
for d, name in enumerate(devices):
    start = time.perf_counter()
    sources = np.delete(ms, d, 1)
    logs = (np.log(sources) - np.log(sources).mean(0)) / np.log(sources).std(0)
    transfer = Transfer(codes, sources)
    for seed in range(args.seeds):
        rng = np.random.default_rng(seed)
        for k in args.measured:
            rows = rng.choice(len(ms), k, replace=False)
            ridge = RidgeCV(alphas=np.logspace(-3, 3, 13)).fit(logs[rows], np.log(ms[rows, d]))
            record("ridge, random", k, d, seed, rows, np.exp(ridge.predict(logs)))
            record("ours, random", k, d, seed, rows, *transfer.fit(rows, ms[rows, d]).predict())
            rows = transfer.choose(k, seed)
            record("ours, chosen", k, d, seed, rows, *transfer.fit(rows, ms[rows, d]).predict())
    figures = "  ".join(f"{m} {k}: {error[m, k][d].mean():.4f} {within[m, k][d].mean():4.0%}" for m, k in error)
    print(f"{name[3:]:16} {figures}  ({time.perf_counter() - start:.0f} s)", flush=True)

print(f"\n{'method':16} {'measured':>8} {'1 - Spearman':>13} {'to ridge':>9} {'within 10 %':>12} {'in 95 % interval':>17}")
for k in args.measured:
    for m in METHODS:
        ratio = error[m, k].mean() / error["ridge, random", k].mean() - 1
        fine = within[m, k][~np.array(rounded)].mean()
        interval = f"{covered[m, k].mean():17.0%}" if m != METHODS[0] else ""
        print(f"{m:16} {k:8} {error[m, k].mean():13.4f} {ratio:+9.0%} {fine:12.1%} {interval}")
print(f"within 10 %: of the devices that are not rounded to whole milliseconds ({len(rounded) - sum(rounded)} of {len(rounded)})")
