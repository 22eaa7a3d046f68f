"""What `hwnas retrain`, `export` and `run` begin with: every winner settled on before the first is trained further."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..cost import CostModel
from ..score import RunScorer
from ..steps import RunFolder, Winner, finalist, load_supernet
from ..steps.search import make_scorer
from ..steps.settle import settle
from ..supernet import Supernet
from ..tasks import Workers
from .console import bar


class Job(NamedTuple):
    """One budget, ready to be trained further and delivered."""

    run: RunFolder  # as the budget sees it
    net: Supernet
    scorer: RunScorer
    model: CostModel
    winner: Winner  # of the search, or the best of [retrain] top
    settled: Winner


def settle_all(run: RunFolder, found: Sequence[tuple[CostModel, Winner]], workers: Workers) -> list[Job]:
    """found: `find_winners`. Devices are timed one after another; a supernet that budgets share is loaded once.

    So what times devices comes first, and what needs the core for long afterwards; a run that is killed while it trains has nothing to
    time again.
    """
    loaded: dict[Path, tuple[Supernet, RunScorer]] = {}
    jobs = []
    for model, winner in found:
        own = run.for_budget(winner.target.budget)
        if own.supernet not in loaded:
            net = load_supernet(own)
            loaded[own.supernet] = net, make_scorer(own, net, workers)
        net, scorer = loaded[own.supernet]
        if own.retraining.epochs:
            winner = finalist(own, net, model, winner, scorer, bar)
        jobs.append(Job(own, net, scorer, model, winner, settle(own, model, winner, scorer, bar)[0]))
    return jobs
