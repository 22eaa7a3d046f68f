"""Trains every architecture of the small space alone, with several seeds, and stores the scores.

    python tools/make_truth.py [--seeds 3] [--out tests/data/truth-digits-729.json] [--minutes 3]

Goes on where it was stopped: run it as often as it takes. In a random order, so that a part of it is a fair sample. The seeds of an
architecture are trained side by side (see side_by_side.py), which is twice as fast.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from side_by_side import side_by_side
from torch.nn import functional as F
from truth import FEW, RECIPE, TRUTH, all_codes, truth_data, truth_space

from hwnas.data import Batches, Dataset, to_float
from hwnas.files import write_atomic
from hwnas.supernet import network
from hwnas.train.run import make_optimizer


def scores_of(z: np.ndarray, seeds: list[int], space, data: Dataset) -> list[float]:  # type: ignore[no-untyped-def]
    """Validation accuracy of architecture z (6,) trained alone with each seed: of weights and of the order of the images."""
    nets = []
    for seed in seeds:
        torch.manual_seed(seed)
        nets.append(network(space, z))
    net, k = side_by_side(nets).to(memory_format=torch.channels_last).train(), len(seeds)  # type: ignore[call-overload]
    optimizer = make_optimizer(net, RECIPE)
    sources = [Batches(data.train, RECIPE.batch, seed) for seed in seeds]
    steps = RECIPE.epochs * sources[0].per_epoch
    for number in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RECIPE.rate(number, steps, "cosine")
        images, labels = zip(*(batches.at(number) for batches in sources))
        optimizer.zero_grad(set_to_none=True)
        logits = net(torch.cat(images, 1)).view(-1, k, len(data.classes))
        (k * F.cross_entropy(logits.flatten(0, 1), torch.stack(labels, 1).flatten())).backward()  # the sum of each network's mean
        optimizer.step()
    net.eval()
    with torch.inference_mode():
        x, y = to_float(data.valid.images), data.valid.labels
        right = net(x.repeat(1, k, 1, 1)).view(len(x), k, -1).argmax(2) == y[:, None]
    return [round(v, 5) for v in right.float().mean(0).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=TRUTH)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; run again to go on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    space, data, Z = truth_space(), truth_data(), all_codes()
    scores: dict[str, list[float]] = json.loads(args.out.read_text())["scores"] if args.out.exists() else {}
    todo = [i for i in np.random.default_rng(0).permutation(len(Z)) if len(scores.get(str(i), [])) < args.seeds]
    about = {"space": space.hash, "data": f"digits, {FEW} training images, {len(data.valid)} to score", "recipe": RECIPE.learned()}
    start = saved = monotonic()
    for done, i in enumerate(todo, 1):
        scores[str(i)] = scores_of(Z[i], [*range(args.seeds)], space, data)
        end = done == len(todo) or monotonic() - start > 60 * args.minutes
        if end or monotonic() - saved > 10:
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
