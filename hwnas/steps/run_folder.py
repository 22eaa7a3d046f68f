"""RunFolder: where the files of one run lie, and what its parts were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..budget import Budget
from ..data import Dataset, load_data
from ..errors import HwnasError
from ..files import write_atomic
from ..space import Space
from ..spaces import load_space
from .experiment import Experiment, load_experiment


@dataclass(frozen=True, eq=False)
class RunFolder:
    """`runs/x` and the experiment that it belongs to:

    experiment.toml                     what was asked for
    supernet/<stamp>/                   checkpoints and curves; another recipe trains beside it, not over it
    scores.jsonl                        every architecture that was scored
    devices/NAME[/BUDGET]/              search.json, model files, architecture.json, certificate.json
    summary.json
    """

    path: Path
    experiment: Experiment
    lut: Path

    def save(self) -> None:
        """Makes this experiment the folder's own. Done when it is known to be sound, so that a mistake overwrites nothing."""
        self.experiment.save(self.path / "experiment.toml")

    @classmethod
    def open(cls, path: Path, lut: Path) -> RunFolder:
        """Raises HwnasError when there is no run."""
        if not (path / "experiment.toml").exists():
            raise HwnasError(f"run {str(path)!r}: no experiment.toml in there: `hwnas train --out {path}` or `hwnas run` makes one")
        return cls(path, load_experiment(path / "experiment.toml"), lut)

    @cached_property
    def data(self) -> Dataset:
        return load_data(self.experiment.data, self.experiment.seed)

    @cached_property
    def space(self) -> Space:
        """The experiment's space, for the channels, size and classes of its data."""
        channels, height, _ = self.data.shape
        return load_space(self.experiment.space, {"channels": channels, "size": height, "classes": len(self.data.classes)})

    @property
    def supernet(self) -> Path:
        e = self.experiment
        return self.path / "supernet" / stamp(self.space.hash, e.data, e.seed, e.train.model_dump())

    def of_budget(self, budget: Budget) -> Path:
        """devices/NAME, or devices/NAME/BUDGET where the device has several."""
        folder = self.path / "devices" / budget.device
        several = sum(b.device == budget.device for b in self.experiment.parsed_budgets()) > 1
        return folder / budget.name if several else folder


def stamp(*parts: object) -> str:
    """12 hex digits over what a step's result depends on: the same stamp, the same result."""
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def read_stamped(path: Path, stamp: str) -> dict[str, Any] | None:
    """The JSON in path if it was made from the same, else None."""
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("stamp") == stamp else None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(data, indent=1) + "\n")
