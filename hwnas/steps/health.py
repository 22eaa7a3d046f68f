"""How well a trained supernet ranks architectures: inherited accuracy against training each alone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np

from ..cost import CostModel
from ..data import Batches
from ..errors import HwnasError
from ..health import all_paths, kl_to_all_paths, rank_correlation, rank_within, verdict
from ..health.rank import fifths
from ..journal import Journal
from ..space import Codes, Space
from ..supernet import Supernet, fix
from ..train import Progress, Recipe, newest, read_progress, retrain, split_accuracy
from .drop_rates import drop_rates
from .progress import Show, silent
from .run_folder import RunFolder, stamp, write_json
from .search import make_scorer
from .train import load_supernet

POOL = 2000  # codes that a quintile of MACs is taken from
KL_IMAGES, KL_BATCHES = 64, 4  # training images in a batch whose predictions are compared, and batches


def health(
    run: RunFolder,
    networks: int = 20,
    epochs: int = 5,
    ceiling: int = 10,
    quintile: int = 0,
    recipe: dict[str, Any] | None = None,
    show: Show = silent,
    rates: Sequence[float] = (),
) -> dict[str, Any]:
    """Trains `networks` architectures alone, from scratch, and compares. Killed, it goes on with the next network; networks that
    are trained stay, for more of them, and for other supernets of the run.

    Drawn uniformly over genes with the run's seed; quintile 1 to 5 draws from one fifth of the MACs instead, where size
    cannot help. ceiling: so many of them are trained a second time, with another seed: no ranking can agree better than
    two trainings do. rates: for each of these drop rates a one-shot supernet is trained, too, and compared. Accuracies are those
    of the search-validation split. Writes health-<stamp>.json in the run.
    """
    if run.traits.learns and (budgets := run.experiment.parsed_budgets()):
        run = run.for_budget(budgets[0])  # such a run has a supernet for each budget
    if run.experiment.search.score == "train":
        raise HwnasError(f"run {str(run.path)!r}: [search] score = 'train' has no supernet, so there is nothing to compare")
    net, space = load_supernet(run), run.space
    Z = _draw(space, networks, quintile, run.experiment.seed)
    settings = {"seed": run.experiment.seed, **run.experiment.retrain.recipe, **(recipe or {}), "epochs": epochs}
    e = run.experiment  # networks are trained alone once for all supernets of the run, unless one of those teaches them
    mark = stamp(space.hash, e.data, e.seed, quintile, settings, run.supernet.name if settings.get("distill") else "")
    alone = _train_alone(run, net, Z, settings, mark, 0, networks, show)
    again = _train_alone(run, net, Z, settings, mark, 1, min(ceiling, networks), show)

    inherited = make_scorer(run, net).score(Z)
    as_left = np.array([split_accuracy(fix(net, z), run.data.valid, space.input_size(z)) for z in Z])
    costs = CostModel(space).cost(Z, ("macs", "params"))
    ranks = {
        "inherited": rank_correlation(inherited, alone),
        "macs": rank_correlation(costs[:, 0], alone),
        "params": rank_correlation(costs[:, 1], alone),
    }
    ranks["within"] = rank_within(inherited, alone, fifths(costs[:, 0]))
    if len(again) > 2:
        ranks["ceiling"] = rank_correlation(again, alone[: len(again)])
    training = Batches(run.data.train, KL_IMAGES, run.experiment.seed)
    reference, whole = all_paths(space, net.share, run.traits.summed)
    kl = kl_to_all_paths(net, Z, [training.at(k)[0] for k in range(min(KL_BATCHES, training.per_epoch))], whole)
    ranks["kl"] = rank_correlation(-kl, alone)
    visits = _visits(run)
    gap = float((inherited - as_left).mean())
    found = {
        "supernet": run.supernet.name,
        "algorithm": run.experiment.train.algorithm,
        "epochs_alone": epochs,
        "quintile_of_macs": quintile or None,
        "all_paths": reference,
        "drop_rates": drop_rates(run, Z, alone, rates, show),
        "ranks": {name: r.to_dict() for name, r in ranks.items()},
        "recalibration": {"with": float(inherited.mean()), "without": float(as_left.mean())},
        "visits": visits,
        "skip_share": {"drawn": skip_share(space, Z), "best_quarter": skip_share(space, Z[np.argsort(-inherited)[: max(1, len(Z) // 4)]])},
        "choice": {
            "by_inherited": float(alone[inherited.argmax()]),
            "at_random": float(alone.mean()),
            "best": float(alone.max()),
            "seed_sd": float(np.std(again - alone[: len(again)]) / np.sqrt(2)) if len(again) else None,
        },
        "networks": [
            {
                "choices": space.decode(z),
                "alone": float(a),
                "again": b,
                "inherited": float(i),
                "macs": float(m),
                "params": float(p),
                "kl": float(k),
            }
            for z, a, b, i, (m, p), k in zip(Z, alone, [*again.tolist(), *[None] * len(Z)], inherited, costs, kl)
        ],
        "verdict": verdict(ranks, gap, visits["most"]["visits"] / max(1, visits["least"]["visits"])),
    }
    write_json(run.path / f"health-{stamp(mark, run.supernet.name, networks)}.json", found)
    return found


def skip_share(space: Space, Z: Codes) -> float:
    """Of the slots that pass anything on, the share that only passes it on; what grows when a search collapses."""
    members = [[space.blocks[i].op for i in row] for row in space.members]
    skips = np.array([(not ops and not cut) or bool(ops) and set(ops) == {"skip"} for ops, cut in zip(members, _cut(space))])
    runs = np.array([bool(ops) for ops in members]) | skips
    rows = space.raw_rows(Z)
    return float(skips[rows].sum() / max(1, runs[rows].sum()))


def _cut(space: Space) -> np.ndarray:
    return np.append(space.breaks, np.ones(len(space.members) - len(space.breaks), bool))


def _draw(space: Space, n: int, quintile: int, seed: int) -> Codes:
    rng = np.random.default_rng([seed, 4])
    if not quintile:
        return space.sample(n, rng)
    Z = space.sample(POOL, rng)
    order = np.argsort(CostModel(space).cost(Z, ("macs",))[:, 0], kind="stable")
    return Z[rng.permutation(np.array_split(order, 5)[quintile - 1])[:n]]


def _train_alone(run: RunFolder, net: Supernet, Z: Codes, settings: dict[str, Any], mark: str, seed: int, n: int, show: Show) -> np.ndarray:
    """(n,) accuracy of the first n of Z, each trained from scratch with this seed; those in the file are not trained again."""
    folder = run.path / "health"
    recipe = Recipe.parse({**settings, "seed": settings["seed"] + 1000 * (seed + 1)})
    title = f"train {n} networks alone" + (", another seed" if seed else "")
    with closing(Journal.open(folder / f"{mark}.jsonl", {"format": 1, "recipe": settings})) as journal, show(title) as advance:
        known = {r["network"]: r["accuracy"] for r in journal.rows if r["seed"] == seed}
        for i, z in enumerate(Z[:n]):
            if i in known:
                continue

            def report(p: Progress, i: int = i) -> None:
                advance(i, n, f"epoch {p.epoch}/{p.epochs} {p.images_per_s:,.0f} images/s")

            place = folder / mark / f"{i}-{seed}"
            module = retrain(net, z, run.data, recipe, place, inherit=False, resume=True, report=report)
            known[i] = split_accuracy(module, run.data.valid, run.space.input_size(z))
            journal.append({"network": i, "seed": seed, "accuracy": known[i]})
            shutil.rmtree(place)
            advance(i + 1, n, "")
    return np.array([known[i] for i in range(n)])


def _visits(run: RunFolder) -> dict[str, Any]:
    """The most and the least trained option, of genes with a choice."""
    checkpoint = newest(run.supernet)
    assert checkpoint is not None, "a supernet was loaded from it"
    visits = read_progress(checkpoint)["option_visits"]
    counts = [(n, f"{gene}={option}") for gene, by in visits.items() if len(by) > 1 for option, n in by.items()]
    (least, who), (most, by_far) = min(counts), max(counts)
    return {"least": {"option": who, "visits": least}, "most": {"option": by_far, "visits": most}, "options": visits}
