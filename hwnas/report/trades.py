"""Trades: what one changed gene of a winner would give and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..cost import CostModel
from ..gene import Option
from ..search import Feasible, Target
from .accuracy_model import AccuracyModel

Choice = Option | list[Option]


@dataclass(frozen=True)
class Trade:
    """The winner with one gene changed. Both differences are new minus old."""

    gene: str
    before: Choice
    after: Choice
    latency_ms: float
    accuracy: float | None  # None where nothing is known of it
    scored: bool  # both architectures were really scored; else the accuracy model says so
    keeps: bool  # whether it still keeps the budget

    @property
    def text(self) -> str:
        """`kernel 5 -> 3 in s2_l3`, `resolution 28 -> 24`."""
        where, _, what = self.gene.rpartition("_")
        return f"{what} {_said(self.before)} → {_said(self.after)}" + (f" in {where}" if where else "")


def trades(
    model: CostModel, target: Target, z: np.ndarray, scored: Mapping[tuple[int, ...], float], accuracy: AccuracyModel | None
) -> list[Trade]:
    """Every one-gene change of z (genes,) that makes another network, by rising latency.

    Latency is the cost model's. Accuracy is the difference of two scores where the neighbour was scored, else that of the
    accuracy model. scored: canonical code -> accuracy.
    """
    space = model.space
    changes = [(g, v) for g, size in enumerate(space.sizes) for v in range(int(size)) if v != z[g]]
    Z = np.repeat(z[None], len(changes), 0)
    for i, (g, v) in enumerate(changes):
        Z[i, g] = v
    own = space.keys(z[None])[0]
    other = np.array([key != own for key in space.keys(Z)], bool)
    changes, Z = [c for c, differs in zip(changes, other) if differs], Z[other]
    if not len(Z):
        return []
    latency = model.cost(Z, ["latency_ms"])[:, 0] - model.cost(z[None], ["latency_ms"])[0, 0]
    keeps = Feasible(model, target, 0.0).keeps(Z)
    guessed = accuracy.score(Z) - accuracy.score(z[None]) if accuracy else [None] * len(Z)
    known = [scored.get(tuple(map(int, c))) for c in space.canonical(np.concatenate([z[None], Z]))]
    found = []
    for (g, v), ms, ok, guess, score in zip(changes, latency, keeps, guessed, known[1:]):
        gene, really = space.genes[g], score is not None and known[0] is not None
        gain = score - known[0] if really else guess  # type: ignore[operator]
        change = (gene.decode(int(z[g])), gene.decode(v))
        found.append(Trade(gene.name, *change, float(ms), None if gain is None else float(gain), really, bool(ok)))
    return sorted((t for t in found if np.isfinite(t.latency_ms)), key=lambda t: t.latency_ms)


def _said(choice: Choice) -> str:
    return " + ".join(map(str, choice)) if isinstance(choice, list) else str(choice)
