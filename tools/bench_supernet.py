"""Time and memory of a training step against the static sub-networks' own steps, in the same run, one thread.

    python tools/bench_supernet.py [--rounds 7] [--batch 64] [--small] [--json FILE]

Eight inverted-residual layers with four blocks each (3 or 6 times as many hidden channels, kernel 3 or 5), 32 x 32 images, the sizes of
a common benchmark of one-shot frameworks. A step is forward, backward and the optimizer's update. Algorithms take turns with
their static networks in every round; the ratio is the median over the rounds of CPU time (other programs on the machine
change that less than wall time). Memory is what autograd keeps for the backward pass, each storage once, without weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnas.block import Block
from hwnas.gene import Gene
from hwnas.slot import Slot
from hwnas.space import Space
from hwnas.spaces import mobilenet
from hwnas.supernet import Supernet, fix, resize
from hwnas.train import Constraint, Recipe, Run, parse_options
from hwnas.train.darts import darts
from hwnas.train.gdas import gdas
from hwnas.train.proxylessnas import proxylessnas
from hwnas.train.run import make_optimizer
from hwnas.train.sandwich import sandwich
from hwnas.train.spos import spos

WIDTHS, STRIDES, BLOCKS = (16, 16, 32, 32, 32, 64, 64, 64), (1, 1, 2, 1, 1, 2, 1, 1), ((3, 3), (6, 3), (3, 5), (6, 5))
Do = Callable[[], object]


def blocks_space(layers: int) -> Space:
    """One gene a layer, four blocks each, as in the peers' benchmark: their weights are their own."""
    slots = [Slot.of("stem", "x", "n0", {}, lambda: Block("stem", 3, 16, 32, 32, 2, 3, act="relu"))]
    cin, size = 16, 16
    for i, (cout, stride) in enumerate(zip(WIDTHS[:layers], STRIDES)):
        gene = Gene.one(f"block{i}", [f"e{e}k{k}" for e, k in BLOCKS])

        def block(name: str, cin: int = cin, cout: int = cout, size: int = size, stride: int = stride) -> Block:
            return Block("mbconv", cin, cout, size, size, stride, int(name[3]), int(name[1]), act="relu")

        slots.append(Slot.of(f"layer{i}", f"n{i}", f"n{i + 1}", {"name": gene}, block))
        cin, size = cout, -(-size // stride)
    slots.append(Slot.of("head", f"n{layers}", "y", {}, lambda: Block("head", cin, 10, size, size)))
    return Space("blocks", tuple(slots), "y")


def shared_space(layers: int) -> Space:
    """Everything elastic, one set of weights a slot."""
    return mobilenet(
        3,
        32,
        widths=((16, 24), (24, 32), (48, 64)),
        depth=2 if layers < 8 else 3,
        resolutions=(32,),
        acts=("relu",),
        squeezes=(0,),
        expands=(3, 4, 6),
    )


def static_step(net: nn.Module, x: Tensor, y: Tensor, recipe: Recipe) -> Do:
    net.train()
    optimizer = make_optimizer(net, recipe)

    def step() -> None:
        F.cross_entropy(net(x), y, label_smoothing=recipe.label_smoothing).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def algorithm_step(
    algorithm: Callable, net: Supernet, x: Tensor, y: Tensor, recipe: Recipe, constraint: Constraint | None = None, **options: object
) -> tuple[Do, Run]:
    net.train()
    run = Run(net, net.space, recipe, 10_000, 100, make_optimizer(net, recipe), lambda k: (x, y), net)
    run.constraint = constraint
    run.arch_batch = lambda k: (x, y)
    chosen = parse_options(algorithm, options)
    inner = algorithm(run) if chosen is None else algorithm(run, chosen)
    count = iter(range(1_000_000))

    def step() -> None:
        number = next(count)
        torch.manual_seed(number)
        inner(x, y, number)

    return step, run


def seconds(step: Do) -> float:
    start = process_time()
    step()
    return process_time() - start


def kept_mb(step: Do) -> float:
    """Most that autograd keeps at once, in MB: graphs are freed after each backward, so the largest of the step's graphs."""
    seen: dict[int, int] = {}
    most = 0

    def pack(t: Tensor) -> Tensor:
        nonlocal most
        if not (t.is_leaf and t.requires_grad):
            storage = t.untyped_storage()
            seen.setdefault(storage.data_ptr(), storage.nbytes())
            most = max(most, sum(seen.values()))
        return t

    backward, grad = torch.Tensor.backward, torch.autograd.grad

    def cleared(function: Callable) -> Callable:
        def call(*args: object, **kw: object) -> object:
            found = function(*args, **kw)
            seen.clear()
            return found

        return call

    torch.Tensor.backward, torch.autograd.grad = cleared(backward), cleared(grad)  # type: ignore[method-assign]
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            step()
    finally:
        torch.Tensor.backward, torch.autograd.grad = backward, grad  # type: ignore[method-assign]
    return most / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--small", action="store_true", help="four layers, batch 16, three rounds: a look in half a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    layers, batch, rounds = (4, 16, 3) if args.small else (8, args.batch, args.rounds)
    torch.set_num_threads(1)
    recipe = Recipe(lr=0.01)
    torch.manual_seed(0)
    x = torch.rand(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))
    space, shared = blocks_space(layers), shared_space(layers)

    def made(space: Space, share: bool) -> Supernet:
        torch.manual_seed(0)
        return Supernet(space, share).to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]

    def static(net: Supernet, z: np.ndarray) -> Do:
        return static_step(fix(net, z).to(memory_format=torch.channels_last), resize(x, net.space.input_size(z)), y, recipe)  # type: ignore[call-overload]

    own, elastic = made(space, False), made(shared, True)
    candidates = [static(own, np.full(layers, k)) for k in range(len(BLOCKS))]  # every layer the same block: their mean is the mean net
    rows: list[tuple[str, Do, list[Do], float, str, float]] = []

    def fixed(net: Supernet, z: np.ndarray) -> Do:
        step, run = algorithm_step(spos, net, x, y, recipe)
        run.sample = lambda n, rng: np.repeat(z[None], n, 0)
        return step

    mixed = np.arange(layers) % len(BLOCKS)
    rows.append(("single path, own weights", fixed(made(space, False), mixed), [static(own, mixed)], 1.0, "its static network", 1.03))
    middle = (shared.sizes - 1) // 2
    rows.append(
        ("single path, shared weights", fixed(made(shared, True), middle), [static(elastic, middle)], 1.0, "its static network", 1.03)
    )
    step, run = algorithm_step(sandwich, made(shared, True), x, y, recipe)
    drawn = shared.sample(2, np.random.default_rng(0))
    run.sample = lambda n, rng: drawn[:n]
    four = [static(elastic, z) for z in (shared.largest(), shared.smallest(), *drawn)]
    rows.append(("sandwich of 4, shared weights", step, four, 1.0, "the sum of its four", 1.0))
    mean = 1 / len(candidates)
    rows.append(("GDAS, both steps", algorithm_step(gdas, made(space, False), x, y, recipe)[0], candidates, mean, "mean candidate", 2.0))
    proxy = algorithm_step(proxylessnas, made(space, False), x, y, recipe, every=1, warmup=0.0)[0]
    rows.append(("ProxylessNAS, both steps", proxy, candidates, mean, "mean candidate", 2.0))
    first = algorithm_step(darts, made(space, False), x, y, recipe)[0]
    rows.append(("DARTS first order, both steps", first, candidates, 2.0, "twice the sum of its candidates", 1.15))

    times: list[list[tuple[float, float]]] = [[] for _ in rows]
    for step in (*(r[1] for r in rows), *(s for r in rows for s in r[2])):
        step()  # makes caches and momentum buffers
    for number in range(rounds):
        for i in np.random.default_rng(number).permutation(len(rows)):
            _, step, against, factor, _, _ = rows[i]
            repeats = 4 if factor == mean else 1  # sampled paths differ in cost: average some
            before = [seconds(s) for s in against]
            taken = [seconds(step) for _ in range(repeats)]
            after = [seconds(s) for s in against]
            times[i].append((sum(taken) / repeats, factor * (sum(before) + sum(after)) / 2))
    one_path = kept_mb(candidates[1])
    found = []
    print(f"{layers} layers x {len(BLOCKS)} blocks, batch {batch}, one thread, median of {rounds} rounds of CPU time")
    print(f"{'':32}{'step':>9}{'against':>10}{'ratio':>8}{'goal':>7}{'kept':>9}  against what")
    for (name, step, _, _, what, goal), pairs in zip(rows, times):
        ratio, kept = median(a / b for a, b in pairs), kept_mb(step)
        ms, base = 1e3 * median(a for a, _ in pairs), 1e3 * median(b for _, b in pairs)
        print(f"{name:32}{ms:6.1f} ms{base:7.1f} ms{ratio:7.2f}x{goal:6.2f}x{kept:6.1f} MB  {what}")
        found.append({"name": name, "step_ms": ms, "against_ms": base, "ratio": ratio, "goal": goal, "kept_mb": kept, "against": what})
    print(f"one path of the largest of the four blocks keeps {one_path:.1f} MB; goal for GDAS and ProxylessNAS: at most 1.3 of that")
    if args.json:
        args.json.write_text(
            json.dumps({"layers": layers, "batch": batch, "rounds": rounds, "one_path_mb": one_path, "rows": found}, indent=1)
        )


if __name__ == "__main__":
    main()
