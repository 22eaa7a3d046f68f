"""How fast and how good the searches are, with their peers in the same run.

    python tools/bench_search.py evolution [--generations 500] [--peers FOLDER]
    python tools/bench_search.py exact
    python tools/bench_search.py nasbench --table nasbench201_cifar10_9devices.parquet [--seeds 10]
    python tools/bench_search.py fleet [--devices 100]

evolution: population 100 under a latency limit, scored by an untrained MLP of 3 x 400. Beside it once-for-all's EvolutionFinder, where
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

import contextlib
import importlib
import io
import random
import sys
import time
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hwnas.budget import Budget, Limit
from hwnas.cost import CostModel
from hwnas.search import Evolution, Feasible, Target, evolve
from hwnas.space import Codes, Space
from hwnas.spaces import mobilenet

console = Console(width=140)
RESOLUTIONS, KERNELS, EXPANDS, STAGES, DEPTH = (160, 176, 192, 208, 224), (3, 5, 7), (3, 4, 6), 5, 4


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
    torch.set_num_threads(1)
    space = ofa_space()
    counted = CostModel(space)
    noise = np.random.default_rng(0).uniform(0.7, 1.3, len(space.blocks))
    latency = counted.tables["macs"] / 9e6 * noise + 0.15  # ms; any numbers cost the same
    model = CostModel(space, {"latency_ms": latency})
    limit = float(np.quantile(model.cost(space.sample(300, np.random.default_rng(0)), ["latency_ms"]), 0.35))
    target = Target.of(Budget("toy", (Limit("latency", limit),), ""), model)
    features, net = Features(space), mlp(5 + 2 * 3 * STAGES * DEPTH)
    plan = Evolution(100, options.generations + 1, 25, 0.1)
    table = Table("search", ">evaluations".lstrip(">"), "CPU-s", "of which forward", "beside it", "best score")

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
        if options.peers:
            passes = Clocked(forward)
            started = time.process_time()
            count, best = ofa_search(space, model, features, passes, limit, options, seed)
            total = time.process_time() - started
            row = (f"{total:.2f}", f"{passes.total_s:.2f}", f"{total - passes.total_s:.2f}", f"{best:.4f}")
            table.add_row(f"once-for-all, seed {seed}", f"{count:,}", *row)
    console.print(table)
    console.print(
        f"latency limit {limit:.1f} ms, at which 35 % of random architectures are feasible; {space.architectures:.2g} architectures"
    )


def ofa_search(
    space: Space, model: CostModel, features: Features, passes: Clocked, limit: float, options: argparse.Namespace, seed: int
) -> tuple[int, float]:
    """once-for-all's own EvolutionFinder, encoder and features; latency from one dictionary look-up a layer."""
    sys.path.insert(0, options.peers)
    importlib.import_module("ofa_shim")
    from ofa.nas.accuracy_predictor import MobileNetArchEncoder
    from ofa.nas.search_algorithm import EvolutionFinder

    encoder = MobileNetArchEncoder(list(RESOLUTIONS), list(KERNELS), list(EXPANDS), [1, 2, 3, 4], STAGES)
    counted = 0
    price = {str(b): t for b, t in zip(space.blocks, model.tables["latency_ms"])}
    keys: dict[tuple, float] = {}
    for slot in space.slots:
        axes = slot.axes
        for values in product(*(range(len(g.values)) for g in axes)):
            chosen = slot.chosen(dict(zip(axes, values))) or []
            named = {g.name.split("_")[-1]: g.options[v] for g, v in zip(axes, values)}
            cost = sum(price[str(b)] for b in map(slot.at, chosen) if b)
            if chosen:
                keys[slot.name, named["resolution"], named.get("kernel"), named.get("expand")] = cost

    class Efficiency:
        def get_efficiency(self, arch: dict) -> float:
            r = arch["image_size"]
            total = keys["stem", r, None, None] + keys["head", r, None, None]
            for i in range(STAGES * DEPTH):
                stage, j = divmod(i, DEPTH)
                if j < arch["d"][stage]:
                    total += keys[f"s{stage + 1}_l{j + 1}", r, arch["ks"][i], arch["e"][i]]
            return total

    class Accuracy:
        arch_encoder = encoder

        def predict_acc(self, archs: list[dict]) -> torch.Tensor:
            nonlocal counted
            counted += len(archs)
            return torch.from_numpy(passes(np.array([encoder.arch2feature(a) for a in archs])[:, order].astype(np.float32)))

    # once-for-all's features: resolution, kernels, expansions, each in the order of its lists: those of Features
    order = np.arange(encoder.n_dim)
    random.seed(seed)
    np.random.seed(seed)
    efficiency, accuracy = Efficiency(), Accuracy()
    for arch in [encoder.random_sample_arch() for _ in range(20)]:  # the same scores and latencies for both
        z = _code(space, arch)[None]
        assert np.isclose(model.cost(z, ["latency_ms"])[0, 0], efficiency.get_efficiency(arch))
        assert (features(z)[0] == encoder.arch2feature(arch)).all()
    finder = EvolutionFinder(efficiency, accuracy, population_size=100, max_time_budget=options.generations, parent_ratio=0.25)
    with contextlib.redirect_stdout(io.StringIO()):
        _, best = finder.run_evolution_search(limit)
    return counted, best[0]


def _code(space: Space, arch: dict) -> np.ndarray:
    choices: dict[str, object] = {g.name: g.decode(0) for g in space.genes}
    choices["resolution"] = arch["image_size"]
    for stage in range(STAGES):
        choices[f"s{stage + 1}_depth"] = arch["d"][stage]
        for j in range(DEPTH):
            i = DEPTH * stage + j
            choices |= {f"s{stage + 1}_l{j + 1}_kernel": arch["ks"][i], f"s{stage + 1}_l{j + 1}_expand": arch["e"][i]}
    return space.encode(choices)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["evolution"])
    arguments.add_argument("--generations", type=int, default=500)
    arguments.add_argument("--seeds", type=int, default=0)
    arguments.add_argument("--peers", default="", help="folder with ofa_shim.py")
    options = arguments.parse_args()
    {"evolution": evolution}[options.what](options)


if __name__ == "__main__":
    main()
