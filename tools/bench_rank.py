"""Do supernets rank sub-networks as training each alone does? Fashion-MNIST, a mobilenet space, SPOS, FairNAS and the sandwich rule.

    python tools/bench_rank.py [--out runs/rank] [--networks 40] [--ceiling 20] [--images 20000] [--passes 96] [--epochs 8] [--json FILE]

Sub-networks are drawn uniformly with a fixed seed and trained alone once, for all three supernets; --ceiling of them a second time, with
another seed: no ranking can agree better with the first than that. All three supernets slice the same weights and have the same number
of passes through a network (an epoch of the sandwich rule counts four, one of FairNAS six). Kendall's tau with 95 % bootstrap
intervals, beside the order by MACs and by parameters, and by pairs within a fifth of the MACs, where size cannot help.

Resumable: every trained network and checkpoint stays in --out. An hour of one core for the networks alone, a quarter for each
supernet.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.cli.console import bar
from hwnas.data import Dataset, hold_out
from hwnas.data.fashion_mnist import fashion_mnist
from hwnas.health import rank_correlation
from hwnas.space import Space
from hwnas.spaces import mobilenet
from hwnas.steps import Experiment, RunFolder, health, train_supernet

PASSES = {"spos": 1, "fairnas": 6, "sandwich": 4}  # networks a step; 6 is the least common multiple of the genes' 2 and 3 values
RECIPE: dict[str, Any] = {"batch": 128, "lr": 0.1, "label_smoothing": 0.0, "shift_px": 0, "threads": 1}
OWN = ("inherited", "inherited, mean of both", "within")  # the others are the same for every supernet
SUPERNET: dict[str, Any] = {**RECIPE, "lr": 0.2, "weight_decay": 5e-4, "clip": 1.0, "zero_init": True}  # as fashion-mnist.toml trains one
ROWS = (*OWN, "macs", "macs, mean of both", "params", "params, mean of both", "ceiling")


def rank_space() -> Space:
    """Up to nine layers in three stages at 6 to 12 pixels: all that is elastic in `mobilenet` but squeezes and activations."""
    return mobilenet(
        1,
        12,
        10,
        resolutions=(6, 9, 12),
        stem=8,
        stem_stride=1,
        widths=((8, 12, 16), (12, 18, 24), (16, 24, 32)),
        depth=3,
        strides=(1, 2, 2),
        kernels=(3, 5),
        expands=(1, 2, 4),
        squeezes=(0,),
        acts=("relu",),
    )


def part_of(data: Dataset, images: int) -> Dataset:
    """So many training images, every class its share, and as many others to score with: of 5,000 the luck would be half a percent."""
    rest, few = hold_out(data.train, 0, images / len(data.train), images)
    _, others = hold_out(rest, 0, min(1.0, images / len(rest)), images)
    return Dataset(f"{data.name}-{images}", data.classes, few, others, data.test_at_the_end, mirror=data.mirror)


def run_of(algorithm: str, args: argparse.Namespace, space: Space, data: Dataset) -> RunFolder:
    """All in one folder, so that networks are trained alone once."""
    epochs = max(1, round(args.passes / PASSES[algorithm]))
    fields = {
        "data": data.name,
        "space": space.name,
        "train": {"algorithm": algorithm, "share": True, "recipe": {**SUPERNET, "epochs": epochs}},
        "retrain": {"recipe": RECIPE},
        "search": {"valid_images": 100_000},
    }
    run = RunFolder(args.out, Experiment.parse(fields, "bench_rank"), args.out / "lut")
    run.__dict__.update(space=space, data=data)
    return run


def twice(networks: list[dict[str, Any]]) -> dict[str, Any]:
    """Order of -> its rank correlation with the mean accuracy of two trainings, over the networks that were trained twice."""
    both = [n for n in networks if n["again"] is not None]
    truth = np.array([(n["alone"] + n["again"]) / 2 for n in both])
    return {row: rank_correlation(np.array([n[row] for n in both]), truth).to_dict() for row in ("inherited", "macs", "params")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/rank"))
    parser.add_argument("--algorithms", default=",".join(PASSES))
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--ceiling", type=int, default=20)
    parser.add_argument("--images", type=int, default=20000, help="training images, and as many others to score with; at most 27,000")
    parser.add_argument("--passes", type=int, default=96, help="epochs of single-path training that each supernet's cost is equal to")
    parser.add_argument("--epochs", type=int, default=8, help="of each network trained alone")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    space, data = rank_space(), part_of(fashion_mnist(None, 0), args.images)
    print(f"{space.architectures:.3g} architectures; {len(data.train):,} images to train on, {len(data.valid):,} to score", flush=True)
    found = {}
    for algorithm in args.algorithms.split(","):
        run = run_of(algorithm, args, space, data)
        train_supernet(run, bar)
        found[algorithm] = health(run, args.networks, args.epochs, args.ceiling, show=bar)
    print(f"{args.networks} networks, {args.epochs} epochs alone; supernets of {args.passes} passes; goal: at least 0.70, above MACs")
    print("| supernet | order of | Kendall | 95 % interval |\n| --- | --- | ---: | --- |")
    for algorithm, figures in found.items():
        ranks = figures["ranks"] | {f"{row}, mean of both": rank for row, rank in twice(figures["networks"]).items()}
        for row in ROWS if algorithm == next(iter(found)) else OWN:
            if rank := ranks.get(row):
                low, high = rank["kendall_interval"]
                of = algorithm if row in OWN else ""
                print(f"| {of} | {row} | {rank['kendall']:.2f} | {low:.2f} to {high:.2f} |")
        print(f"| {algorithm} | inherited accuracy, mean | {figures['recalibration']['with']:.2%} | {' '.join(figures['verdict'])} |")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
