"""Trains every architecture of the small space alone, with several seeds, and stores the scores.

    python tools/make_truth.py [--seeds 3] [--out tests/data/truth-digits-729.json] [--minutes 3]

Goes on where it was stopped: run it as often as it takes. Seed by seed in a random order, so that a part of it is a fair sample.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from torch.nn import functional as F
from truth import FEW, RECIPE, TRUTH, all_codes, truth_data, truth_space

from hwnas.data import Batches, to_float
from hwnas.files import write_atomic
from hwnas.supernet import network
from hwnas.train.run import make_optimizer


def score(z: np.ndarray, seed: int, space, train: Batches, x: torch.Tensor, y: torch.Tensor) -> float:  # type: ignore[no-untyped-def]
    """Validation accuracy of architecture z (6,), trained alone."""
    torch.manual_seed(seed)
    net = network(space, z).train()
    optimizer = make_optimizer(net, RECIPE)
    steps = RECIPE.epochs * train.per_epoch
    for k in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RECIPE.rate(k, steps, "cosine")
        images, labels = train.at(k)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(images.contiguous()), labels).backward()
        optimizer.step()
    net.eval()
    with torch.inference_mode():
        return float((net(x).argmax(1) == y).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=TRUTH)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; run again to go on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space, data, Z = truth_space(), truth_data(), all_codes()
    x, y = to_float(data.valid.images).contiguous(), data.valid.labels
    scores: dict[str, list[float]] = json.loads(args.out.read_text())["scores"] if args.out.exists() else {}
    todo = [
        (seed, i)
        for seed in range(args.seeds)
        for i in np.random.default_rng(seed).permutation(len(Z))
        if len(scores.get(str(i), [])) <= seed
    ]
    start = saved = monotonic()
    for done, (seed, i) in enumerate(todo, 1):
        scores.setdefault(str(i), []).append(round(score(Z[i], seed, space, Batches(data.train, RECIPE.batch, seed), x, y), 5))
        end = done == len(todo) or monotonic() - start > 60 * args.minutes
        if end or monotonic() - saved > 10:
            about = {"space": space.hash, "data": f"digits, {FEW} training images, {len(y)} to score", "recipe": RECIPE.learned()}
            args.out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(args.out, json.dumps({"about": about, "scores": dict(sorted(scores.items(), key=lambda s: int(s[0])))}) + "\n")
            saved = monotonic()
            each = (saved - start) / done
            print(f"\r{done}/{len(todo)} {each:.2f} s each, {(len(todo) - done) * each / 60:.0f} min left", end="", flush=True)
        if end:
            break
    print(f"\n{args.out}: {sum(map(len, scores.values()))} of {args.seeds * len(Z)} trainings")


if __name__ == "__main__":
    main()
