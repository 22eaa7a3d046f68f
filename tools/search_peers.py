"""Other tools' searches on the problem of `bench_search.py evolution`: each gets the same scores and the same limit."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from hwnas.cost import CostModel
from hwnas.space import Codes, Space

RESOLUTIONS, KERNELS, EXPANDS, STAGES, DEPTH = (160, 176, 192, 208, 224), (3, 5, 7), (3, 4, 6), 5, 4
POPULATION = 100
OPTUNA_TRIALS = 3000  # it takes milliseconds for each


@dataclass
class Problem:
    """The most accurate code of a space that keeps a latency limit."""

    space: Space
    model: CostModel
    features: Callable[[Codes], np.ndarray]
    forward: Callable[[np.ndarray], np.ndarray]  # features -> scores
    limit_ms: float

    def score(self, Z: Codes) -> np.ndarray:
        return self.forward(self.features(Z))

    def excess(self, Z: Codes) -> np.ndarray:
        """(n,) above 0: the limit is broken."""
        return self.model.cost(Z, ["latency_ms"])[:, 0] / self.limit_ms - 1


Peer = Callable[[Problem, int, int], tuple[int, float]]  # problem, generations, seed -> evaluations, the best score


def installed() -> dict[str, Peer]:
    """Those that can be imported here; once-for-all needs `ofa_shim` on the path, too."""
    peers: dict[str, tuple[str, Peer]] = {
        "once-for-all": ("ofa_shim", once_for_all),
        "pymoo GA": ("pymoo", pymoo_ga),
        "optuna NSGA-II": ("optuna", optuna_nsga2),
    }
    return {name: peer for name, (module, peer) in peers.items() if importlib.util.find_spec(module)}


def pymoo_ga(problem: Problem, generations: int, seed: int) -> tuple[int, float]:
    """Its genetic algorithm on integers: simulated binary crossover and polynomial mutation, rounded; a constraint for the limit."""
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.problem import Problem as Base
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    counted, most = 0, np.array([len(g.values) - 1 for g in problem.space.genes])

    class Search(Base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=len(most), n_obj=1, n_ieq_constr=1, xl=0, xu=most, vtype=int)

        def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray], *_: object, **__: object) -> None:
            nonlocal counted
            Z, counted = x.astype(np.int64), counted + len(x)
            out["F"], out["G"] = -problem.score(Z)[:, None], problem.excess(Z)[:, None]

    operators = {
        "crossover": SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
        "mutation": PM(eta=3, vtype=float, repair=RoundingRepair()),
    }
    algorithm = GA(pop_size=POPULATION, sampling=IntegerRandomSampling(), eliminate_duplicates=True, **operators)
    found = minimize(Search(), algorithm, ("n_gen", generations + 1), seed=seed)
    return counted, float(-found.F[0])


def optuna_nsga2(problem: Problem, generations: int, seed: int) -> tuple[int, float]:
    """Its NSGA-II sampler with the limit as a constraint, one trial at a time, in memory; OPTUNA_TRIALS at most."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)  # 5.0 has another way to give constraints, which 4.x has not
    genes, best = problem.space.genes, -np.inf

    def trial(t: optuna.Trial) -> float:
        nonlocal best
        z = np.array([[t.suggest_int(g.name, 0, len(g.values) - 1) for g in genes]])
        score, excess = float(problem.score(z)[0]), float(problem.excess(z)[0])
        t.set_user_attr("excess", [excess])
        best = max(best, score) if excess <= 0 else best
        return score

    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed, constraints_func=lambda t: t.user_attrs["excess"])
    trials = min(OPTUNA_TRIALS, POPULATION * (generations + 1))
    optuna.create_study(direction="maximize", sampler=sampler).optimize(trial, n_trials=trials)
    return trials, best


def once_for_all(problem: Problem, generations: int, seed: int) -> tuple[int, float]:
    """once-for-all's own EvolutionFinder, encoder and features; latency from one dictionary look-up a layer."""
    space, model, features, passes = problem.space, problem.model, problem.features, problem.forward
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
    finder = EvolutionFinder(efficiency, accuracy, population_size=100, max_time_budget=generations, parent_ratio=0.25)
    with contextlib.redirect_stdout(io.StringIO()):
        _, best = finder.run_evolution_search(problem.limit_ms)
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
