"""What each algorithm finds on a space whose every architecture's true score is known, and what it costs.

    python tools/make_truth.py                                         # once: 729 architectures x 20 seeds
    python tools/bench_algorithms.py [--algorithms darts,gdas] [--seeds 5] [--rows FILE] [--markdown]

Regret is the truth of the best architecture less the truth of the one that was found: 0 is perfect. It stands beside one seed's
standard deviation (differences below it cannot be seen in one training) and beside random search that trains as many images
alone as the algorithm did. tau is Kendall's rank correlation with the truth: of alpha's likelihood over all 729 for algorithms that
learn an architecture by gradient, of inherited accuracy (BatchNorm recalibrated) of random architectures for those that only train
weights, which are then searched by evolution as `hwnas search` does. Time is CPU time of training and of that search. Medians over seeds.

Every finished run is a line of --rows, and is not done again: seed by seed, so that what is there is a fair picture at any time.
Three algorithms have properties of their own instead, and tests of them: OFA (test_ofa.py: neither kernel matrices nor sorting change
the largest network; each phase leaves the earlier ones elastic), PBT (test_pbt.py: lineage, exploit and replay), MorphNet
(test_morphnet.py: live channels, ties, the budget). OFA and PBT stand in the table all the same; MorphNet learns widths, and this space
has none. Single-Path needs options that slice one weight, which those of this space do not.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from bench_supernet import algorithm_step, kept_mb
from scipy.stats import kendalltau
from truth import FEW, RECIPE, TRUTH, Truth, all_codes, truth_data, truth_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.data import Batches
from hwnas.plugins import ALGORITHMS, load
from hwnas.score import InheritedScorer
from hwnas.search import Evolution, Feasible, Target, evolve
from hwnas.supernet import Supernet
from hwnas.train import Constraint, Run, Step, options_type, parse_options, train, traits_of

RANKED = 60  # random architectures whose inherited accuracy is ranked
SEARCH = Evolution(population=30, generations=4, parents=8)
FIRST_SEED = 10  # settings below were chosen with seeds 0 to 4
# Images are shifted and labels smoothed: a supernet learns 120 to 240 images by heart in 60 epochs, and what an architecture learns from
# held-out images is then to prefer what can do so the least, skips: without, DARTS' regret was 2.0 deviations instead of 1.1.
TRAINING = replace(RECIPE, epochs=60, lr=0.05, clip=5.0, shift_px=1, label_smoothing=0.1)


@dataclass(frozen=True)
class Case:
    """An algorithm and how it is run here."""

    algorithm: str
    options: dict[str, Any] = field(default_factory=dict)
    budget: str = ""  # for rewards that ask for one: so wide that every architecture keeps it
    epochs: int = TRAINING.epochs


CASES = {
    **{name: Case(name) for name in ("spos", "ofa", "one-shot", "pbt")},
    **{name: Case(name, epochs=30) for name in ("fairnas", "sandwich", "attentive")},  # several networks a step
    **{name: Case(name) for name in ("fbnet", "proxylessnas", "enas", "smash", "random", "alone")},
    "darts": Case("darts", epochs=30),  # 0.8 deviations of regret; at 60 epochs 1.1, at 120 2.6
    "darts-2": Case("darts", {"order": 2}, epochs=30),
    "gdas": Case("gdas", epochs=40),
    "pnas": Case("pnas", epochs=120),  # six levels share its steps
    "mnasnet": Case("mnasnet", {"reward": "hard"}, "macs=100%"),
    "proxyless-rl": Case("proxyless-rl", {"reward": "hard"}, "macs=100%"),
}


@cache
def constraint_of(budget: str) -> Constraint | None:
    return Constraint.of(Budget.parse(f"none:{budget}")[0], CostModel(truth_space())) if budget else None


def one(name: str, seed: int, truth: Truth) -> dict[str, Any]:
    """One run of an algorithm: what it found, regret, tau, CPU seconds, images that weights or architecture learned from."""
    case, space, data = CASES.get(name, Case(name)), truth_space(), truth_data()
    algorithm, images = load(ALGORITHMS, case.algorithm), [0]
    traits = traits_of(algorithm)
    seen: list[Run] = []

    def counted(run: Run, chosen: object = None) -> Step:
        seen.append(run)
        forward = run.forward

        def call(x: torch.Tensor, *rest: object) -> torch.Tensor:
            images[0] += len(x) if torch.is_grad_enabled() else 0
            return forward(x, *rest)

        run.forward = call
        return algorithm(run) if chosen is None else algorithm(run, chosen)

    def with_options(run: Run) -> Step:
        return counted(run, parse_options(algorithm, case.options) if options_type(algorithm) else None)

    with_options.traits = traits  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    net = Supernet(space, share=bool(traits.share))
    recipe = replace(TRAINING, epochs=case.epochs, seed=seed)
    start, Z = process_time(), all_codes()
    with tempfile.TemporaryDirectory() as out:
        result = train(with_options, net, space, data, recipe, Path(out), constraint=constraint_of(case.budget))
    trained_s, images_seen = process_time() - start, images[0] or case.epochs * FEW  # SMASH calls the network itself
    if result.derived is not None:
        z, alpha = result.derived.z, seen[0].alpha
        tau = kendalltau(alpha.log_likelihood(Z), truth.accuracy).statistic if alpha is not None else float("nan")
        cpu_s = trained_s
    else:
        scorer = InheritedScorer(net.eval(), data, recalibration_images=FEW, batch=600)
        any_of = Feasible(CostModel(space), Target.of(Budget.parse("none:macs=100%")[0], CostModel(space)), fill=0.0)
        start = process_time()
        z = evolve(any_of, scorer.score, SEARCH, seed).best
        cpu_s = trained_s + process_time() - start
        some = Z[np.random.default_rng(0).permutation(len(Z))[:RANKED]]
        tau = kendalltau(scorer.score(some), truth.of(some)).statistic
    run = {"algorithm": name, "seed": seed, "epochs": case.epochs}
    found = {"z": z.tolist(), "tau": float(tau), "regret": float(truth.accuracy.max() - truth.of(z[None])[0])}
    return run | found | {"cpu_s": cpu_s, "images": images_seen}


def random_regret(truth: Truth, images: float) -> tuple[int, float]:
    """(networks, median regret) of random search that trains as many images: the best of them by one seed's score."""
    n = max(1, round(images / (RECIPE.epochs * FEW)))
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2000):
        drawn, seed = rng.integers(0, len(truth.scores), n), rng.integers(0, truth.scores.shape[1])
        found.append(truth.accuracy.max() - truth.accuracy[drawn[truth.scores[drawn, seed].argmax()]])
    return n, float(np.median(found))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default=",".join(CASES), help="also any installed algorithm, by name")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--truth", type=Path, default=TRUTH)
    parser.add_argument("--rows", type=Path, default=Path("runs/bench-algorithms.jsonl"), help="finished runs, appended to")
    parser.add_argument("--markdown", action="store_true", help="the table as docs/algorithms.md has it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    truth, names = Truth.load(args.truth), args.algorithms.split(",")
    args.rows.parent.mkdir(parents=True, exist_ok=True)
    epochs, seeds = {name: CASES.get(name, Case(name)).epochs for name in names}, range(FIRST_SEED, FIRST_SEED + args.seeds)
    done = {(r["algorithm"], r["seed"], r["epochs"]) for r in read_rows(args.rows)}
    todo = [(name, seed) for seed in seeds for name in names if (name, seed, epochs[name]) not in done]
    for i, (name, seed) in enumerate(todo, 1):
        row = one(name, seed, truth)
        with args.rows.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{i}/{len(todo)} {name} seed {seed}: regret {row['regret']:.2%}, tau {row['tau']:.2f}, {row['cpu_s']:.0f} s", flush=True)

    best, spread = truth.accuracy.max(), truth.accuracy.std()
    print(f"729 architectures: best {best:.2%}, mean {truth.accuracy.mean():.2%}, spread {spread:.2%}; one seed {truth.seed_std:.2%}")
    print(f"median of {args.seeds} seeds; goal: regret at most 1.00 of one seed's deviation, and below random")
    columns = ["algorithm", "epochs", "CPU", "kept", "images", "regret", "in seeds", "random, equal images", "tau", "goal"]
    print(_line(columns, args.markdown))
    if args.markdown:
        print("| --- |" + " ---: |" * (len(columns) - 1))
    rows = read_rows(args.rows)
    for name in names:
        mine = [r for r in rows if (r["algorithm"], r["epochs"]) == (name, epochs[name]) and r["seed"] in seeds]
        if mine:
            print(_line(_summary(name, mine, truth), args.markdown), flush=True)


def _summary(name: str, runs: list[dict[str, Any]], truth: Truth) -> list[str]:
    cpu_s, images, regret, tau = (float(np.median([r[k] for r in runs])) for k in ("cpu_s", "images", "regret", "tau"))
    n, by_chance = random_regret(truth, images)
    met = "reached" if regret <= truth.seed_std and regret < by_chance else "missed"
    shown = f"{regret / truth.seed_std:.2f}" + ("" if len(runs) > 1 else " (1 seed)")
    chance = f"{by_chance:.2%} (best of {n})"
    return [
        name,
        str(runs[0]["epochs"]),
        f"{cpu_s:.1f} s",
        f"{_kept(name):.1f} MB",
        f"{images:,.0f}",
        f"{regret:.2%}",
        shown,
        chance,
        "" if np.isnan(tau) else f"{tau:.2f}",
        met,
    ]


def _line(cells: list[str], markdown: bool) -> str:
    if markdown:
        return "| " + " | ".join(cells) + " |"
    widths = (14, 7, 9, 9, 9, 8, 15, 23, 7, 9)
    return "".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths)))


def _kept(name: str) -> float:
    """MB that a step keeps for its backward pass."""
    case, data = CASES.get(name, Case(name)), truth_data()
    algorithm = load(ALGORITHMS, case.algorithm)
    x, y = Batches(data.train, RECIPE.batch, 0).at(0)
    net = Supernet(truth_space(), bool(traits_of(algorithm).share))
    step, _ = algorithm_step(algorithm, net, x, y, RECIPE, constraint_of(case.budget), **case.options)
    return kept_mb(step)


if __name__ == "__main__":
    main()
