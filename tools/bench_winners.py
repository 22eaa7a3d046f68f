"""Is a winner better than a random architecture of the same budget, trained the same way?

    python tools/bench_winners.py runs/fashion-mnist --device onnx-cpu --seeds 3

For each seed: the winner retrained as the run's [retrain] says, and one random architecture that keeps the same budget (and
fills it as much as the search demands), retrained in the same way from the same supernet. Search-validation accuracy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from time import time

import numpy as np

from hwnas.search import Feasible
from hwnas.steps import RunFolder, load_supernet, search_target
from hwnas.steps.search import make_scorer, resolve
from hwnas.train import Recipe, retrain, split_accuracy

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=Path)
parser.add_argument("--device", help="default: all of the run")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--epochs", type=int, default=0, help="0: as the run's [retrain] says")
parser.add_argument("--lut", type=Path, default=Path("lut"))
arguments = parser.parse_args()

run = RunFolder.open(arguments.run, arguments.lut)
net, settings, space = load_supernet(run), run.experiment.retrain, run.space
scorer, scratch = make_scorer(run, net), Path(mkdtemp(prefix="hwnas-winners-"))
recipe = Recipe.parse({**settings.recipe, "epochs": arguments.epochs or settings.epochs or 5})
print(f"{run.data.name}, {space.spec}; {recipe.epochs} epochs each; search-validation accuracy, {len(run.data.valid)} images")
for budget in run.experiment.parsed_budgets():
    if arguments.device in (None, budget.device):
        model, target = resolve(run, budget)
        winner = search_target(run, model, target, scorer)
        feasible = Feasible.filled(model, target, run.experiment.search.fill)
        found: dict[str, list[float]] = {"winner": [], "random": []}
        for seed in range(arguments.seeds):
            drawn = feasible.sample(1, np.random.default_rng([seed, 1234]))[0]
            for who, z in (("winner", winner.z), ("random", drawn)):
                started, out = time(), scratch / budget.device / budget.name / f"{who}{seed}"
                module = retrain(net, z, run.data, replace(recipe, seed=seed), out, inherit=settings.inherit)
                found[who].append(split_accuracy(module, run.data.valid, space.input_size(z)))
                inherited = scorer.score(z[None])[0]
                figures = f"{found[who][-1]:.2%} (inherited {inherited:.2%}, {time() - started:.0f} s)"
                print(f"  {budget.device} {who} seed {seed}: {figures}", flush=True)
        medians = {who: float(np.median(a)) for who, a in found.items()}
        print(f"{budget.device} {budget.name}: median winner {medians['winner']:.2%}, random {medians['random']:.2%}")
