"""Trains every architecture of the small space alone, with several seeds, and stores the scores.

    python tools/make_truth.py [--seeds 20] [--out tests/data/truth-digits-729.json] [--minutes 3]

Goes on where it was stopped: run it as often as it takes. Nine architectures and up to nine seeds are trained side by side (see
side_by_side.py), which is several times as fast. Of 729 means of few seeds the best is a lucky one: with 3 seeds, the architecture that is
truly the best seems to lack 1.1 % to it in the median, with 20 seeds 0.2 %.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from side_by_side import chains
from torch.nn import functional as F
from truth import FEW, RECIPE, TRUTH, all_codes, truth_data, truth_space

from hwnas.data import Batches, Dataset, to_float
from hwnas.files import write_atomic
from hwnas.space import Space
from hwnas.train.run import make_optimizer

BESIDE, SEEDS = 9, 9  # architectures, and seeds of each, trained side by side


def scores_of(Z: np.ndarray, seeds: list[int], space: Space, data: Dataset) -> list[list[float]]:
    """Validation accuracy of architectures Z (n, 6), each trained alone with each seed: of weights and of the order of the images."""
    net = chains(space, Z, seeds).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer, n, k = make_optimizer(net, RECIPE), len(Z), len(seeds)
    sources = [Batches(data.train, RECIPE.batch, seed) for seed in seeds]
    steps = RECIPE.epochs * sources[0].per_epoch
    for number in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RECIPE.rate(number, steps, "cosine")
        images, labels = zip(*(batches.at(number) for batches in sources))
        logits = net(_copies(torch.cat(images, 1), n)).unflatten(1, (n * k, -1))
        loss = F.cross_entropy(logits.flatten(0, 1), torch.stack(labels, 1).repeat(1, n).flatten())
        optimizer.zero_grad(set_to_none=True)
        (n * k * loss).backward()  # the sum of each network's mean
        optimizer.step()
    net.eval()
    x, y = to_float(data.valid.images), data.valid.labels
    with torch.inference_mode():
        right = net(_copies(x, n * k)).unflatten(1, (n * k, -1)).argmax(2) == y[:, None]
    return right.float().mean(0).view(n, k).double().numpy().round(5).tolist()


def _copies(x: torch.Tensor, n: int) -> torch.Tensor:
    return x.repeat(1, n, 1, 1).contiguous(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=TRUTH)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; run again to go on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space, data, Z = truth_space(), truth_data(), all_codes()
    scores: dict[str, list[float]] = json.loads(args.out.read_text())["scores"] if args.out.exists() else {}
    blocks = np.arange(len(Z)).reshape(-1, BESIDE)[np.random.default_rng(0).permutation(len(Z) // BESIDE)]
    todo = []  # (architectures, their next seeds)
    for block in blocks:
        known = min(len(scores.get(str(i), [])) for i in block)
        todo += [(block, range(first, min(first + SEEDS, args.seeds))) for first in range(known, args.seeds, SEEDS)]
    about = {"space": space.hash, "data": f"digits, {FEW} training images, {len(data.valid)} to score", "recipe": RECIPE.learned()}
    start = saved = monotonic()
    for done, (block, seeds) in enumerate(todo, 1):
        for i, found in zip(map(str, block), scores_of(Z[block], [*seeds], space, data)):
            scores[i] = scores.get(i, [])[: seeds[0]] + found
        end = done == len(todo) or monotonic() - start > 60 * args.minutes
        if end or monotonic() - saved > 10:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(args.out, json.dumps({"about": about, "scores": dict(sorted(scores.items(), key=lambda s: int(s[0])))}) + "\n")
            saved = monotonic()
            each = (saved - start) / done
            print(
                f"\r{BESIDE * done}/{BESIDE * len(todo)} {each / BESIDE:.2f} s each, {(len(todo) - done) * each / 60:.0f} min left",
                end="",
                flush=True,
            )
        if end:
            break
    print(f"\n{args.out}: {sum(map(len, scores.values()))} of {args.seeds * len(Z)} trainings")


if __name__ == "__main__":
    main()
