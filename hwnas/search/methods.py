"""The search methods by name: all take (feasible, score, plan, seed, report) and evaluate plan.evaluations architectures."""

from __future__ import annotations

from collections.abc import Callable

from .evolution import Evolution, evolve
from .exhaustive import exhaustive
from .feasible import Feasible
from .local import local_search
from .nsga2 import nsga2
from .nsga3 import nsga3
from .policy import rl
from .progressive import Progressive, levels, progressive
from .regularised import regularised
from .result import Found, Report, Score, random_search
from .seeded import exact
from .surrogate import surrogate_search

Method = Callable[[Feasible, Score, Evolution, int, Report | None], Found]


def _random(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    return random_search(feasible, score, plan.evaluations, seed, report)


def _progressive(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Levels share the evaluations alike, the first takes twice as many."""
    each = max(2, plan.evaluations // (len(levels(feasible.model.space)) + 1))
    return progressive(feasible, score, Progressive(beam=each, first=2 * each), seed, report)


METHODS: dict[str, Method] = {
    "evolution": evolve,
    "regularised": regularised,
    "nsga2": nsga2,
    "nsga3": nsga3,
    "rl": rl,
    "exact": exact,
    "surrogate": surrogate_search,
    "progressive": _progressive,
    "local": local_search,
    "exhaustive": exhaustive,
    "random": _random,
}
