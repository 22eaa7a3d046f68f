"""How fast and how good the searches are, with their peers in the same run.

    python tools/bench_search.py evolution [--generations 500] [--peers FOLDER]
    python tools/bench_search.py exact
    python tools/bench_search.py nasbench --table nasbench201_cifar10_9devices.parquet [--seeds 10]
    python tools/bench_search.py fleet [--devices 100]

evolution: population 100 under a latency limit, scored by an untrained MLP of 3 x 400. Beside it, where they are installed, pymoo's genetic
    algorithm and optuna's NSGA-II (3,000 trials only), and once-for-all's EvolutionFinder, where
    `pip install --no-deps ofa==0.1.0.post202307202001` was run and FOLDER holds an `ofa_shim.py` that lets it import with today's
    torch. It gets the same scores, and the same table through a dictionary, which is faster than its own look-up code.
exact: a knapsack of 20 slots x 12 candidates, proved by the mixed-integer program.
nasbench: NAS-Bench-201 (Dong & Yang 2020; latencies of HELP, Lee et al. 2021), accuracy seen only for queried cells, <= 300 of them.
fleet: searches for many devices over one surrogate; time and memory against the number of devices and of evaluations.

One thread; CPU-seconds of this process.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import sys
import time
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from search_peers import DEPTH, EXPANDS, KERNELS, RESOLUTIONS, STAGES, Problem, installed

from hwnas.block import Block
from hwnas.budget import Budget, Limit
from hwnas.cost import CostModel
from hwnas.gene import Gene
from hwnas.search import METHODS, Evolution, Feasible, Target, evolve
from hwnas.search.exact import optimum
from hwnas.search.pairs import GenePairs
from hwnas.search.surrogate import surrogate_search
from hwnas.slot import Slot
from hwnas.space import Codes, Space
from hwnas.spaces import mobilenet, nasbench201

console = Console(width=140)


class Clocked:
    """A function that adds up the CPU-seconds it takes."""

    def __init__(self, call: Callable):
        self.call, self.total_s = call, 0.0

    def __call__(self, *arguments: object) -> object:
        started = time.process_time()
        out = self.call(*arguments)
        self.total_s += time.process_time() - started
        return out


# ---- evolution ----------------------------------------------------------------------------------------------------------------


def ofa_space() -> Space:
    """Once-for-all's MobileNetV3 space: 20 layers, kernel and expansion each, depth of 5 stages, 5 resolutions."""
    widths = ((24,), (40,), (80,), (112,), (160,))
    return mobilenet(
        3, 224, 1000, resolutions=RESOLUTIONS, stem=16, widths=widths, depth=DEPTH, strides=(2, 2, 2, 1, 2),
        kernels=KERNELS, expands=EXPANDS, squeezes=(0,), acts=("relu",),
    )  # fmt: skip


class Features:
    """Codes -> what once-for-all's predictor reads: one-hot kernel and expansion of each layer that runs, and resolution."""

    def __init__(self, space: Space):
        layers = [(s, j) for s in range(1, STAGES + 1) for j in range(DEPTH)]
        self.kernels = [space.index[f"s{s}_l{j + 1}_kernel"] for s, j in layers]
        self.expands = [space.index[f"s{s}_l{j + 1}_expand"] for s, j in layers]
        self.depths = [space.index[f"s{s}_depth"] for s, _ in layers]
        self.layer, self.resolution = np.array([j for _, j in layers]), space.index["resolution"]

    def __call__(self, Z: Codes) -> np.ndarray:
        runs = (Z[:, self.depths] >= self.layer)[:, :, None]
        hot = [(Z[:, columns, None] == np.arange(3)) & runs for columns in (self.kernels, self.expands)]
        where = Z[:, [self.resolution]] == np.arange(len(RESOLUTIONS))
        return np.concatenate([where, *(h.reshape(len(Z), -1) for h in hot)], 1).astype(np.float32)


def mlp(inputs: int) -> torch.nn.Sequential:
    torch.manual_seed(0)
    sizes = [inputs, 400, 400, 400]
    layers = [m for a, b in zip(sizes, sizes[1:]) for m in (torch.nn.Linear(a, b), torch.nn.ReLU(inplace=True))]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(400, 1, bias=False))
    for layer in net[::2]:
        torch.nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)  # scores that differ
    return net.eval()


def evolution(options: argparse.Namespace) -> None:
    space = ofa_space()
    counted = CostModel(space)
    noise = np.random.default_rng(0).uniform(0.7, 1.3, len(space.blocks))
    latency = counted.tables["macs"] / 9e6 * noise + 0.15  # ms; any numbers cost the same
    model = CostModel(space, {"latency_ms": latency})
    limit = float(np.quantile(model.cost(space.sample(300, np.random.default_rng(0)), ["latency_ms"]), 0.35))
    target = Target.of(Budget("toy", (Limit("latency", limit),), ""), model)
    features, net = Features(space), mlp(5 + 2 * 3 * STAGES * DEPTH)
    plan = Evolution(100, options.generations + 1, 25, 0.1)
    table = Table("search", "evaluations", "CPU-s", "of which forward", "beside it", "best score")

    @torch.inference_mode()
    def forward(x: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(x)).squeeze(1).numpy()

    for seed in range(options.seeds or 3):
        passes = Clocked(forward)
        started = time.process_time()
        found = evolve(Feasible(model, target, 0.0), lambda Z: passes(features(Z)), plan, seed)  # noqa: B023
        total = time.process_time() - started
        row = (f"{total:.2f}", f"{passes.total_s:.2f}", f"{total - passes.total_s:.2f}", f"{found.best_accuracy:.4f}")
        table.add_row(f"hwnas, seed {seed}", f"{len(found.codes):,}", *row)
        for name, peer in installed().items():
            passes = Clocked(forward)
            problem = Problem(space, model, features, passes, limit)
            started = time.process_time()
            count, best = peer(problem, options.generations, seed)
            total = time.process_time() - started
            row = (f"{total:.2f}", f"{passes.total_s:.2f}", f"{total - passes.total_s:.2f}", f"{best:.4f}")
            table.add_row(f"{name}, seed {seed}", f"{count:,}", *row)
    console.print(table)
    console.print(
        f"latency limit {limit:.1f} ms, at which 35 % of random architectures are feasible; {space.architectures:.2g} architectures"
    )


# ---- exact --------------------------------------------------------------------------------------------------------------------


def knapsack(slots: int, candidates: int) -> Space:
    def slot(i: int) -> Slot:
        gene = Gene.one(f"g{i}", range(candidates))
        return Slot.of(f"s{i}", f"n{i}", f"n{i + 1}", {"k": gene}, lambda k: Block("conv", 4, 4, 6, 6, kernel=1, expand=k + 1))

    return Space("knapsack", tuple(slot(i) for i in range(slots)), f"n{slots}")


def exact(options: argparse.Namespace) -> None:
    space = knapsack(20, 12)
    genes = GenePairs(space)
    table = Table("instance", "limits", "pairs of genes", "value", "gap", "wall s", "CPU-s")
    for seed, count, pairs in product(range(options.seeds or 5), (1, 3), (0, 4, 8)):
        rng = np.random.default_rng(100 + seed)
        costs = rng.gamma(2.0, 1.0, (count, len(space.members)))
        gain = np.sqrt(costs[0]) + rng.normal(0, 0.15, len(space.members))  # what costs more is worth more
        sums = costs[:, space.rows(space.sample(500, rng))].sum(2)
        names = [genes.names[i] for i in rng.choice(len(genes.names), pairs, replace=False)]
        together = [genes.fitted(n, rng.normal(0, 0.15, 144)) for n in names]
        started = time.process_time()
        found = optimum(space, gain, list(costs), np.percentile(sums, 35, axis=1).tolist(), pairs=together)
        spent = time.process_time() - started
        table.add_row(str(seed), str(count), str(pairs), f"{found.value:.4f}", f"{found.gap:.1g}", f"{found.total_s:.2f}", f"{spent:.2f}")
    console.print(table)


# ---- nasbench -----------------------------------------------------------------------------------------------------------------


class Measured(Feasible):
    """NAS-Bench-201 under a limit on the measured latency of whole cells."""

    def __init__(self, model: CostModel, latency_ms: np.ndarray, limit_ms: float):
        self.model, self.keeps = model, latency_ms <= limit_ms  # (cells,) bool, by number

    def __call__(self, Z: Codes, rows: np.ndarray | None = None) -> np.ndarray:
        return self.keeps[number(Z)]

    def identity(self, Z: Codes, rows: np.ndarray) -> np.ndarray:
        """Every cell of the table is one of its own: those that compute the same were trained apart, and differ by their noise."""
        return number(Z)

    def sample(self, n: int, rng: np.random.Generator, tries: int = 30) -> Codes:
        picked = rng.permutation(np.flatnonzero(self.keeps))[:n]
        return np.stack(np.unravel_index(picked, (5,) * 6), 1)


def number(Z: Codes) -> np.ndarray:
    """Cells (n, 6) -> their numbers, the last edge fastest."""
    return np.ravel_multi_index(tuple(Z.T), (5,) * 6)


def nasbench(options: argparse.Namespace) -> None:
    if not options.table:
        raise SystemExit("nasbench needs --table FILE.parquet with columns op0..op5, cifar10_val200 and ms_DEVICE")
    import pyarrow.parquet as pq

    data = pq.read_table(options.table)
    cells = np.stack([data[f"op{i}"].to_numpy() for i in range(6)], 1).astype(np.int64)
    order = np.argsort(number(cells))
    assert (number(cells)[order] == np.arange(5**6)).all()
    accuracy = data["cifar10_val200"].to_numpy()[order]
    accuracy = accuracy / 100 if accuracy.max() > 1 else accuracy
    space = nasbench201(width=4, cells=1)
    model, plan = CostModel(space), Evolution(50, 6)
    methods = {
        "surrogate": surrogate_search,
        "evolution": lambda f, s, p, seed: METHODS["evolution"](f, s, Evolution(25, 12), seed, None),
        "local": lambda f, s, p, seed: METHODS["local"](f, s, p, seed, None),
        "rl": lambda f, s, p, seed: METHODS["rl"](f, s, p, seed, None),
        "regularised": lambda f, s, p, seed: METHODS["regularised"](f, s, Evolution(50, 6, 10), seed, None),
        "random": lambda f, s, p, seed: METHODS["random"](f, s, p, seed, None),
    }
    devices = [c for c in data.column_names if c.startswith("ms_")]
    regrets: dict[str, list[float]] = {name: [] for name in methods}
    queries: dict[str, int] = dict.fromkeys(methods, 0)
    spent: dict[str, float] = dict.fromkeys(methods, 0.0)
    for device in devices:
        latency = data[device].to_numpy()[order]
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            feasible = Measured(model, latency, float(np.quantile(latency, share)))
            optimum_here = accuracy[feasible.keeps].max()
            for name, method in methods.items():
                for seed in range(options.seeds or 1):
                    started = time.process_time()
                    found = method(feasible, lambda Z: accuracy[number(Z)], plan, seed)
                    spent[name] += time.process_time() - started
                    assert feasible(found.codes).all(), "an infeasible cell was queried"
                    regrets[name].append(float(optimum_here - found.best_accuracy))
                    queries[name] = max(queries[name], len(found.codes))
    table = Table("method", "queries at most", "median below optimum", "mean", "worst", "optimum found", "within 0.1 %", "CPU-s a search")
    for name, found in regrets.items():
        r = np.array(found)
        row = [f"{np.median(r):.3%}", f"{r.mean():.3%}", f"{r.max():.3%}", f"{(r <= 0).mean():.0%}", f"{(r <= 0.001).mean():.0%}"]
        table.add_row(name, str(queries[name]), *row, f"{spent[name] / len(r):.2f}")
    console.print(table)
    console.print(f"{len(devices)} devices x 5 budgets x {options.seeds or 1} seeds; validation accuracy; every query was feasible")


# ---- fleet --------------------------------------------------------------------------------------------------------------------


def fleet(options: argparse.Namespace) -> None:
    space = ofa_space()
    macs, features, net = CostModel(space).tables["macs"], Features(space), mlp(5 + 2 * 3 * STAGES * DEPTH)

    @torch.inference_mode()
    def score(Z: Codes) -> np.ndarray:
        return net(torch.from_numpy(features(Z))).squeeze(1).numpy()

    rows: list[tuple[int, int, float]] = []
    table = Table("devices", "evaluations each", "wall s", "CPU-s", "CPU-s a device", "peak memory MB")
    for count, generations in ((options.devices // 10, 50), (options.devices, 10), (options.devices, 50), (options.devices // 10, 500)):
        started, wall = time.process_time(), time.perf_counter()
        for k in range(count):
            rng = np.random.default_rng(k)
            latency = macs / rng.uniform(3e6, 3e7) * rng.uniform(0.6, 1.5, len(macs)) + 0.1
            model = CostModel(space, {"latency_ms": latency})
            target = Target.of(Budget("toy", (Limit("latency", 0.3, relative=True),), ""), model)
            evolve(Feasible(model, target, 0.0), score, Evolution(100, generations, 25, 0.1), 0)
        spent, taken = time.process_time() - started, time.perf_counter() - wall
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add_row(str(count), f"{100 * generations:,}", f"{taken:.1f}", f"{spent:.1f}", f"{spent / count:.2f}", f"{peak:.0f}")
        rows.append((count, 100 * generations, spent))
    console.print(table)
    few, less, many, more = rows
    by_devices = np.log(many[2] / few[2]) / np.log(many[0] / few[0])
    by_candidates = np.log(many[2] / less[2]) / np.log(many[1] / less[1])
    console.print(
        f"CPU time grows as devices^{by_devices:.2f} and candidates^{by_candidates:.2f}; peak memory is that of the whole process so far"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["evolution", "exact", "nasbench", "fleet"])
    arguments.add_argument("--generations", type=int, default=500)
    arguments.add_argument("--seeds", type=int, default=0)
    arguments.add_argument("--peers", default="", help="folder with ofa_shim.py")
    arguments.add_argument("--table", default="", help="NAS-Bench-201 with latencies, as parquet")
    arguments.add_argument("--devices", type=int, default=100)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    sys.path += [options.peers] * bool(options.peers)
    {"evolution": evolution, "exact": exact, "nasbench": nasbench, "fleet": fleet}[options.what](options)


if __name__ == "__main__":
    main()
