"""What each algorithm finds on a space whose every architecture's true score is known, and what it costs.

    python tools/make_truth.py                                         # once: 729 architectures x 3 seeds
    python tools/bench_algorithms.py [--algorithms darts,gdas] [--seeds 5] [--epochs 60] [--small] [--json FILE]

Regret is the truth of the best architecture less the truth of the one that was found: 0 is perfect. It stands beside one seed's
standard deviation (differences below it cannot be seen in one training) and beside random search that trains as many images
alone as the algorithm did. tau is Kendall's rank correlation with the truth over all 729: of alpha's likelihood for algorithms
that learn an architecture, of inherited accuracy (BatchNorm recalibrated) for those that only train weights, which are then
searched exhaustively. Time is CPU time of training and, where there is one, of that search. Medians over seeds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from bench_supernet import algorithm_step, kept_mb
from scipy.stats import kendalltau
from truth import FEW, RECIPE, TRUTH, Truth, all_codes, truth_data, truth_space

from hwnas.data import Batches
from hwnas.plugins import ALGORITHMS, load
from hwnas.score import InheritedScorer
from hwnas.supernet import Supernet
from hwnas.train import Run, Step, options_type, parse_options, train, traits_of

CASES = {
    "spos": ("spos", {}),
    "sandwich": ("sandwich", {}),
    "darts": ("darts", {}),
    "darts-2": ("darts", {"order": 2}),
    "gdas": ("gdas", {}),
    "fbnet": ("fbnet", {}),
    "proxylessnas": ("proxylessnas", {}),
}


def one(name: str, seed: int, epochs: int, truth: Truth, score: int) -> dict[str, float]:
    """One run of an algorithm: regret, tau, CPU seconds, training images."""
    which, options = CASES.get(name, (name, {}))
    algorithm, space, data = load(ALGORITHMS, which), truth_space(), truth_data()
    traits, images = traits_of(algorithm), [0]
    seen: list[Run] = []

    def counted(run: Run, chosen: object = None) -> Step:
        seen.append(run)
        forward = run.forward

        def call(x: torch.Tensor, *rest: object) -> torch.Tensor:
            images[0] += len(x)
            return forward(x, *rest)

        run.forward = call
        return algorithm(run) if chosen is None else algorithm(run, chosen)

    def with_options(run: Run) -> Step:
        return counted(run, parse_options(algorithm, options) if options_type(algorithm) else None)

    with_options.traits = traits  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    net = Supernet(space, share=bool(traits.share))
    recipe = replace(RECIPE, epochs=epochs, seed=seed, lr=0.05, clip=5.0)
    start, Z = process_time(), all_codes()
    with tempfile.TemporaryDirectory() as out:
        result = train(with_options, net, space, data, recipe, Path(out))
    if result.derived is not None:
        z = result.derived.z
        alpha = seen[0].alpha
        tau = kendalltau(alpha.log_likelihood(Z), truth.accuracy).statistic if alpha is not None else float("nan")
        spent = process_time() - start
    else:
        some = Z if score >= len(Z) else Z[np.random.default_rng(seed).permutation(len(Z))[:score]]
        scores = InheritedScorer(net.eval(), data, recalibration_images=FEW, batch=500).score(some)
        z, tau = some[scores.argmax()], kendalltau(scores, truth.of(some)).statistic
        spent = process_time() - start
    return {"regret": float(truth.accuracy.max() - truth.of(z[None])[0]), "tau": float(tau), "cpu_s": spent, "images": images[0]}


def random_regret(truth: Truth, images: float, scores: np.ndarray) -> tuple[int, float]:
    """(networks, median regret) of random search that trains as many images: the best of them by one seed's score."""
    n = max(1, round(images / (RECIPE.epochs * FEW)))
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        drawn, seed = rng.integers(0, len(scores), n), rng.integers(0, scores.shape[1])
        found.append(truth.accuracy.max() - truth.accuracy[drawn[scores[drawn, seed].argmax()]])
    return n, float(np.median(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default=",".join(CASES), help="also any installed algorithm, by name")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--score", type=int, default=729, help="architectures to score where a supernet is searched")
    parser.add_argument("--small", action="store_true", help="one seed, 20 epochs, 60 architectures scored")
    parser.add_argument("--truth", type=Path, default=TRUTH)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    seeds, epochs, score = (1, 20, 60) if args.small else (args.seeds, args.epochs, args.score)
    torch.set_num_threads(1)
    truth = Truth.load(args.truth)
    table = json.loads(args.truth.read_text())["scores"]
    scores = np.array([table[str(i)][: truth.seeds] for i in range(len(truth.accuracy))])
    best, spread = truth.accuracy.max(), truth.accuracy.std()
    print(f"729 architectures: best {best:.2%}, mean {truth.accuracy.mean():.2%}, spread {spread:.2%}; one seed {truth.seed_std:.2%}")
    print(f"{epochs} epochs, median of {seeds} seeds")
    print(f"{'':14}{'CPU':>8}{'kept':>9}{'images':>9}{'regret':>9}{'in seeds':>10}{'random, equal images':>23}{'tau':>7}")
    rows = []
    for name in args.algorithms.split(","):
        runs = [one(name, seed, epochs, truth, score) for seed in range(seeds)]
        median = {k: float(np.median([r[k] for r in runs])) for k in runs[0]}
        n, by_chance = random_regret(truth, median["images"], scores)
        kept = _kept(name)
        row = {"algorithm": name, **median, "kept_mb": kept, "seed_std": truth.seed_std, "random_networks": n, "random_regret": by_chance}
        rows.append(row | {"runs": runs})
        print(
            f"{name:14}{median['cpu_s']:6.1f} s{kept:6.2f} MB{median['images']:9,.0f}{median['regret']:9.2%}"
            f"{median['regret'] / truth.seed_std:10.2f}{f'{by_chance:.2%} (best of {n})':>23}{median['tau']:7.2f}",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps({"epochs": epochs, "seeds": seeds, "rows": rows}, indent=1))


def _kept(name: str) -> float:
    which, options = CASES.get(name, (name, {}))
    algorithm, data = load(ALGORITHMS, which), truth_data()
    x, y = Batches(data.train, RECIPE.batch, 0).at(0)
    step, _ = algorithm_step(algorithm, Supernet(truth_space(), bool(traits_of(algorithm).share)), x, y, RECIPE, **options)
    return kept_mb(step)


if __name__ == "__main__":
    main()
