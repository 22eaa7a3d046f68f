"""RunFolder: where the files of one run lie, and what its parts were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..budget import Budget
from ..data import Dataset, load_data
from ..device import find_device
from ..errors import HwnasError
from ..files import write_atomic
from ..plugins import ALGORITHMS, load
from ..space import Space
from ..spaces import load_space
from ..train import Algorithm, Recipe, Traits, traits_of
from ..train.options import parse_options
from .experiment import Experiment, RetrainSettings, load_experiment


@dataclass(frozen=True, eq=False)
class RunFolder:
    """`runs/x` and the experiment that it belongs to:

    experiment.toml                     what was asked for
    supernet/<stamp>/                   checkpoints and curves; another recipe trains beside it, not over it. An algorithm that
                                        learns an architecture has one such folder for each budget, with derived.json in it
    scores-<stamp>.jsonl                every architecture that was scored
    retrain/<stamp>/                    the same as in supernet, of one architecture that is trained alone
    devices/NAME[/BUDGET]/              search.json, settled.json, model files, architecture.json, certificate.json
    summary.json
    """

    path: Path
    experiment: Experiment
    lut: Path
    target: Budget | None = None  # the one that the supernet is trained for, where it is trained for one: see `for_budget`

    def save(self) -> None:
        """Makes this experiment the folder's own, so that a mistake overwrites nothing. Raises HwnasError for an unknown device, option or
        field of a recipe in it."""
        for name in self.experiment.devices:
            find_device(name, self.lut)
        for settings in (self.experiment.train, self.experiment.retrain):
            Recipe.parse(settings.recipe)
        parse_options(self.algorithm, self.experiment.train.options)
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
        return load_space(self.experiment.space, self.space_arguments)

    @property
    def space_arguments(self) -> dict[str, int]:
        channels, height, _ = self.data.shape
        return {"channels": channels, "size": height, "classes": len(self.data.classes)}

    @cached_property
    def algorithm(self) -> Algorithm:
        found: Algorithm = load(ALGORITHMS, self.experiment.train.algorithm)
        return found

    @property
    def traits(self) -> Traits:
        return traits_of(self.algorithm)

    @property
    def share(self) -> bool:
        """Whether options slice one set of weights: as the algorithm needs it, else as the experiment says."""
        wanted = self.traits.share
        return self.experiment.train.share if wanted is None else wanted

    @property
    def retraining(self) -> RetrainSettings:
        """The experiment's [retrain]; from scratch where there is no supernet, or where none was asked for and a winner needs it."""
        asked, train = self.experiment.retrain, self.experiment.train
        alone = self.experiment.search.score == "train"
        if asked.epochs:
            return asked.model_copy(update={"inherit": False}) if alone else asked
        if self.traits.one_stage and not alone:
            return asked
        recipe = Recipe.parse(train.recipe)
        return RetrainSettings(epochs=recipe.epochs, inherit=False, recipe={**train.recipe, **asked.recipe})

    def for_budget(self, budget: Budget) -> RunFolder:
        """This run as seen by one budget: the same, but for the supernet of an algorithm that learns one architecture."""
        if not self.traits.learns:
            return self
        own = replace(self, target=budget)
        own.__dict__.update({k: self.__dict__[k] for k in ("data", "space") if k in self.__dict__})  # read once
        return own

    @property
    def supernet(self) -> Path:
        e = self.experiment
        parts: list[object] = [self.space.hash, e.data, e.seed, e.train.model_dump()]
        if self.target is not None:
            parts += [self.target.device, self.target.text]
        return self.path / "supernet" / stamp(*parts)

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
