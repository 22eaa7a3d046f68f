"""Result: what every training run hands back, and the architecture that some of them derive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cost import METRICS
from ..files import write_atomic
from ..space import Space
from .run import Run


@dataclass(frozen=True, eq=False)
class Derived:
    """The architecture that a run learned, checked against its budget with `cost(Z)` rather than with expectations."""

    z: np.ndarray  # (genes,)
    choices: dict[str, Any]  # gene -> option or options
    probabilities: dict[str, dict[str, float]]  # learned gene -> value -> probability; {} where the algorithm has none
    costs: dict[str, dict[str, float]]  # field -> {upper, limit}
    repaired: bool  # the learned one was over the budget, and this is the nearest that keeps it
    note: str  # one sentence for a person

    def save(self, path: Path, space: Space) -> None:
        body = {"space": space.spec, "space_hash": space.hash, "choices": self.choices, "note": self.note, "repaired": self.repaired}
        write_atomic(path, json.dumps({**body, "costs": self.costs, "probabilities": self.probabilities}, indent=1) + "\n")


@dataclass(frozen=True, eq=False)
class Result:
    """One shape for every algorithm: weights, what was derived (if anything), and the curves."""

    checkpoint: Path  # weights.safetensors, state.pt, progress.json
    folder: Path  # of the training run: metrics.jsonl, tensorboard/, derived.json
    derived: Derived | None
    stopped: str  # why it ended before its last step; "" if it did not

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of metrics.jsonl, oldest first."""
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


def derived(run: Run) -> Derived | None:
    """What a run learned: the first of its candidates that keeps the budget, or the nearest code to them that does."""
    if run.derive is None:
        return None
    space, constraint = run.space, run.constraint
    Z = run.derive()
    z, repaired, note, costs = Z[0], False, "no budget was given", {}
    if constraint is not None:
        keeps, limits = constraint.keeps(Z), dict(zip(constraint.target.fields, map(float, constraint.feasible.limits)))
        first = constraint.model.upper(Z[:1], constraint.target.fields)[0]
        names = {m.field: m for m in METRICS.values()}
        over = ", ".join(f"{names[f].name} {names[f].text(v)} > {names[f].text(limits[f])}" for f, v in zip(limits, first) if v > limits[f])
        if keeps[0]:
            note = "the most likely architecture keeps the budget"
        elif keeps.any():
            z, note = (
                Z[keeps.argmax()],
                f"the most likely architecture is over the budget ({over}): this is the next candidate that keeps it",
            )
        else:
            z, repaired = constraint.nearest(Z[0], run.alpha), True
            note = f"what was learned is over the budget ({over}): this is the nearest architecture that keeps it, "
            note += f"{int((z != Z[0]).sum())} of {len(z)} genes differ"
        upper = constraint.model.upper(z[None], constraint.target.fields)[0]
        costs = {f: {"upper": float(u), "limit": limits[f]} for f, u in zip(limits, upper)}
    z = space.canonical(z[None])[0]
    return Derived(z, space.decode(z), _probabilities(run), costs, repaired, note)


def _probabilities(run: Run) -> dict[str, dict[str, float]]:
    if run.alpha is None:
        return {}
    return {g.name: {str(g.decode(v)): float(x) for v, x in enumerate(p.detach())} for g, p in run.alpha.probabilities().items()}
