"""Experiment: everything that decides what a run does, as one TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..budget import Budget
from ..errors import HwnasError, did_you_mean
from ..files import write_atomic

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUILT_IN = Path(__file__).parent.parent / "experiments"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileSettings(_Section):
    """What is measured on each device."""

    blocks: int = Field(default=400, ge=12)  # at most; the predictor fills the others
    networks: int = Field(default=40, ge=19)  # whole ones, for calibration
    held_out: int = Field(default=20, ge=0)  # random ones on top, for the trust report
    searched: bool = False  # half of the networks are winners of searches, so that the bound holds for those, too
    rounds: int = Field(default=8, ge=1)
    repeats: int = Field(default=3, ge=1)  # of at least 3 ms, in each round


class TrainSettings(_Section):
    """How the supernet is trained. recipe: fields of hwnas.train.Recipe; options: those of the algorithm (`hwnas algorithms`)."""

    algorithm: str = "sandwich"  # name, or file.py:function
    share: bool = True  # whether all options of a slot slice one set of weights; an algorithm that needs one way takes that
    recipe: dict[str, Any] = {}
    options: dict[str, Any] = {}


class SearchSettings(_Section):
    """The search for each budget; see hwnas.search."""

    method: Literal[
        "evolution", "regularised", "nsga2", "nsga3", "exact", "surrogate", "progressive", "local", "rl", "exhaustive", "random"
    ] = "evolution"
    score: Literal["inherited", "train"] = "inherited"  # from the supernet's weights, or each candidate trained alone, without a supernet
    epochs: int = Field(default=3, ge=1)  # score = "train": of each candidate; the rest of its recipe is [train.recipe]
    share: float = Field(default=1.0, gt=0, le=1)  # score = "train": of the training images
    population: int = Field(default=50, ge=4)
    generations: int = Field(default=10, ge=1)  # population x generations architectures are evaluated, whatever the method
    parents: int = Field(default=10, ge=2)
    mutate_p: float = Field(default=0.1, gt=0, le=1)
    fill: float = Field(default=0.97, ge=0, le=1)  # share of a budget that candidates must use
    valid_images: int = Field(default=5000, ge=1)  # of the search-validation split, to score with
    recalibration_images: int = Field(default=1024, ge=2)  # training images for BatchNorm's statistics
    force: bool = False  # with a table whose trust report is missing or bad, or that was never calibrated

    @property
    def decisive(self) -> dict[str, Any]:
        """What a search's result depends on."""
        left_out = {"force"} | ({"score", "epochs", "share"} if self.score == "inherited" else set())
        return self.model_dump(exclude=left_out)


class RetrainSettings(_Section):
    """How winners are trained alone before export; epochs = 0 leaves them with the supernet's weights."""

    epochs: int = Field(default=0, ge=0)
    inherit: bool = True  # from the supernet's weights, or from scratch
    top: int = Field(default=1, ge=1)  # so many of the best that were found are trained, and the best of those is exported
    width: float = Field(default=1.0, gt=0, le=8)  # times as many channels in every block; not 1: from scratch
    recipe: dict[str, Any] = {}


class Experiment(_Section):
    """From data and space to budgets. Anything left out has the default that stands here."""

    data: str
    space: str
    seed: int = Field(default=0, ge=0)
    budgets: list[str] = []  # DEVICE:metric=value,...
    rules: Literal["default", "mlperf"] = "default"  # of the certificates
    patience_s: float = Field(default=120.0, ge=0)  # to wait for a quieter minute, for each file that a neighbour makes fail
    also: list[Literal["fp32", "fp16", "int8", "int8-io"]] = []  # number formats that export writes beside the certified file
    profile: ProfileSettings = ProfileSettings()
    train: TrainSettings = TrainSettings()
    search: SearchSettings = SearchSettings()
    retrain: RetrainSettings = RetrainSettings()

    def parsed_budgets(self) -> list[Budget]:
        """Every budget, alternatives spelled out. Raises HwnasError for one that is given twice."""
        found = [b for text in self.budgets for b in Budget.parse(text)]
        names = [(b.device, b.name) for b in found]
        if twice := [n for n in names if names.count(n) > 1]:
            raise HwnasError(f"budget {twice[0][0]}:{twice[0][1]} is given twice")
        return found

    @property
    def devices(self) -> list[str]:
        return list(dict.fromkeys(b.device for b in self.parsed_budgets()))

    def save(self, path: Path) -> None:
        write_atomic(path, tomli_w.dumps(self.model_dump()))

    @classmethod
    def parse(cls, fields: Mapping[str, Any], where: str) -> Experiment:
        """Raises HwnasError that names the file, the field, and what would do."""
        try:
            experiment = cls(**fields)
            experiment.parsed_budgets()
            return experiment
        except ValidationError as invalid:
            first = invalid.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                section: Any = cls.model_fields[str(first["loc"][0])].annotation if len(first["loc"]) > 1 else cls
                raise did_you_mean(f"key in {where}", key, section.model_fields) from None
            raise HwnasError(f"{where}: {key} = {first.get('input')!r}: {first['msg']}") from None


def load_experiment(name: str | Path) -> Experiment:
    """From a TOML file, or a built-in one by name (`quickstart`, `fashion-mnist`)."""
    built_in = {p.stem: p for p in sorted(BUILT_IN.glob("*.toml"))}
    path = Path(name)
    if str(name) in built_in:
        path = built_in[str(name)]
    elif not path.is_file():
        raise did_you_mean("experiment", name, built_in, "Or give the path of a TOML file.")
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HwnasError(f"{path}: cannot be read as TOML: {error}") from None
    return Experiment.parse(fields, str(path))
