"""How long it takes to cost 100,000 codes of the mobilenet space: one gather-sum beside loops in plain Python.

    python tools/bench_cost.py [--codes 100000] [--loop 300]

The loops run over fewer codes and are extrapolated: `blocks_of` for each code, and a look-up of every slot's block by its
choices in a dictionary. One thread; medians of 7.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from hwnas.cost import CostModel
from hwnas.space import Codes
from hwnas.spaces import mobilenet

TARGET_MS = 50.0  # per metric
REPEATS = 7


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def loop(model: CostModel, Z: Codes, metric: str) -> list[float]:
    """Each code by itself, over the blocks that run in it."""
    table, base = dict(zip(model.space.blocks, model.tables[metric])), model.base.get(metric, 0.0)
    return [base + sum(table[b] for b in model.space.blocks_of(z)) for z in Z]


def look_up(model: CostModel, metric: str) -> Callable[[Codes], list[float]]:
    """Each code by itself, one dictionary per slot: (value of each gene) -> cost of the block."""
    space = model.space
    table, base = dict(zip(space.blocks, model.tables[metric])), model.base.get(metric, 0.0)
    slots = []
    for slot in space.slots:
        costs = {}
        for values in product(*(range(len(g.values)) for g in slot.axes)):
            chosen = slot.chosen(dict(zip(slot.axes, values))) or []
            costs[values] = sum(table[b] for b in map(slot.at, chosen) if b)
        slots.append(([space.index[g.name] for g in slot.axes], costs))

    def total(Z: Codes) -> list[float]:
        return [base + sum(costs[tuple([z[c] for c in columns])] for columns, costs in slots) for z in Z.tolist()]

    return total


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor() or platform.machine())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--codes", type=int, default=100_000)
    arguments.add_argument("--loop", type=int, default=300, help="codes that the loops cost before extrapolation")
    options = arguments.parse_args()

    space, rng = mobilenet(), np.random.default_rng(0)
    latency = rng.uniform(0.01, 0.2, len(space.blocks))  # any numbers cost the same
    model, Z = CostModel(space, {"latency_ms": latency}, {"latency_ms": 0.1}), space.sample(options.codes, rng)
    few, factor = Z[: options.loop], options.codes / options.loop
    model.cost(few)  # fills the tables

    console = Console()
    console.print(f"{cpu_name()}, Python {platform.python_version()}, numpy {np.__version__}, one thread")
    sizes = f"{len(space.slots)} slots, {len(space.genes)} genes, {len(space.blocks)} blocks"
    console.print(
        f"{options.codes:,} codes of the {space.name} space ({sizes}); medians of {REPEATS}, in ms; loops from {options.loop} codes"
    )
    found = Table("metric", "gather-sum", "loop", "look-up", "faster by", f"<= {TARGET_MS:g} ms")
    for metric in model.metrics:
        ours = median_ms(lambda: model.cost(Z, [metric]))  # noqa: B023
        slow = quick = float("nan")
        if metric in model.tables:  # memory is no sum
            by_dict, expected = look_up(model, metric), model.cost(few, [metric])[:, 0]
            assert np.allclose(by_dict(few), expected) and np.allclose(loop(model, few, metric), expected)
            slow = factor * median_ms(lambda: loop(model, few, metric))  # noqa: B023
            quick = factor * median_ms(lambda: by_dict(few))  # noqa: B023
        row = [f"{v:,.1f}" if np.isfinite(v) else "-" for v in (ours, slow, quick)]
        gain = f"{slow / ours:,.0f} / {quick / ours:,.0f}" if np.isfinite(slow) else "-"
        found.add_row(metric, *row, gain, "yes" if ours <= TARGET_MS else "NO")
    ours = median_ms(lambda: model.cost(Z))
    found.add_row("all at once", f"{ours:,.1f}", "-", "-", "-", "yes" if ours <= TARGET_MS * len(model.metrics) else "NO")
    console.print(found)


if __name__ == "__main__":
    main()
