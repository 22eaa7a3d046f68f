"""Findings: all that a run folder and its devices' tables tell, and what is missing. Nothing is computed anew but costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..budget import Budget
from ..cost import METRICS, CostModel
from ..errors import HwnasError
from ..predict import Calibration, Trust, device_model, find_trust
from ..search import Target
from ..shipped import table_folder
from ..space import Codes, Space
from ..spaces import load_space
from ..steps import Experiment, RunFolder, retrain_folder
from ..steps.cross import read_cells
from ..steps.retime import recorded_drift
from ..steps.search import scores_path

Rows = list[dict[str, Any]]
SEARCH = {"choices", "accuracy", "random_accuracy", "evaluations", "history"}  # what is read of search.json
CERTIFICATE = {"verdict", "budget", "limits", "predicted", "measured", "accuracy", "certified_file"}  # and of certificate.json


@dataclass(frozen=True)
class Scores:
    """Every architecture that was scored with one supernet: codes (n, genes), accuracy (n,)."""

    codes: Codes
    accuracy: np.ndarray

    @property
    def by_code(self) -> dict[tuple[int, ...], float]:
        return {tuple(map(int, z)): float(a) for z, a in zip(self.codes, self.accuracy)}


@dataclass(frozen=True)
class Table:
    """One device: its cost model, how it was calibrated, whether it can be trusted; or why there is none of it."""

    device: str
    model: CostModel | None
    calibration: Calibration | None
    trust: Trust | None
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """One budget: what was found for it so far."""

    budget: Budget
    folder: Path
    table: Table
    target: Target | None  # the budget in numbers
    z: np.ndarray | None  # (genes,) the architecture that was settled on
    search: Mapping[str, Any] | None  # search.json
    certificate: Mapping[str, Any] | None
    scores: Scores | None
    missing: tuple[str, ...]  # one sentence each

    @property
    def budget_text(self) -> str:
        return budget_text(self.budget, self.target, self.certificate["budget"] if self.certificate else {})

    @property
    def title(self) -> str:
        return f"{self.budget.device}: {self.budget_text}"


@dataclass(frozen=True)
class Findings:
    """A run as a reader sees it."""

    path: Path
    experiment: Experiment
    space: Space
    outcomes: tuple[Outcome, ...]
    tables: tuple[Table, ...]
    curves: dict[str, Rows]  # title -> rows of metrics.jsonl
    health: tuple[Mapping[str, Any], ...]  # what `hwnas health` found
    timed: Mapping[tuple[str, tuple[int, ...]], Mapping[str, Any]]  # (device, code) -> what `hwnas fleet` measured
    fleet: Mapping[str, Any] | None  # fleet.json, where it is of these budgets
    missing: tuple[str, ...]

    @classmethod
    def read(cls, run: RunFolder, known: dict[object, Table] | None = None) -> Findings:
        """Raises HwnasError only where not even the space is known.

        known: tables of an earlier reading, which are taken again where their files are the same; what is read is added.
        """
        space, known = space_of(run), {} if known is None else known
        tables = {name: _known(run, space, name, known) for name in run.experiment.devices}
        outcomes = tuple(_outcome(run, space, tables[b.device], b) for b in run.experiment.parsed_budgets())
        curves, missing = {}, []
        budgets: list[Budget | None] = [*run.experiment.parsed_budgets()] if run.traits.learns else [None]
        for budget in budgets or [None]:
            title = f"supernet for {budget.device} {budget.name}" if budget else "supernet"
            if rows := read_lines(newest((run.for_budget(budget) if budget else run).supernet) / "metrics.jsonl"):
                curves[title] = rows
            else:
                missing.append(f"No training curve of the {title} yet: `hwnas train` or `hwnas run` writes it.")
        for o in outcomes:
            own = run.for_budget(o.budget)
            if o.z is not None and (rows := read_lines(retrain_folder(own, o.z) / "metrics.jsonl")):
                curves[f"{o.budget.device} {o.budget.name}, alone"] = rows
        if not outcomes:
            missing.append(f"No budget yet: `hwnas search {run.path} --budget DEVICE:latency=2ms`.")
        health = tuple(h for p in sorted(run.path.glob("health-*.json")) if (h := read_json(p)))
        timed, fleet = read_cells(run, space), _fleet(run, outcomes)
        return cls(run.path, run.experiment, space, outcomes, tuple(tables.values()), curves, health, timed, fleet, tuple(missing))


def budget_text(budget: Budget, target: Target | None, certified: Mapping[str, Any]) -> str:
    """`latency ≤ 523 us (30%)`: shares of the reachable range in numbers, as certified, else as the table resolves them today."""
    said = []
    for i, limit in enumerate(budget.limits):
        metric = METRICS[limit.metric]
        value = certified.get(metric.field, target.limits[i] if target else None)
        share = f" ({limit.text})" if limit.relative else ""
        said.append(f"{limit.metric} ≤ {limit.text if value is None else metric.text(float(value)) + share}")
    return ", ".join(said)


def read_json(path: Path) -> dict[str, Any] | None:
    """None for a file that is missing, torn, or no object."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def read_lines(path: Path) -> Rows:
    """The JSON objects of a file that may be growing: a torn last line is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found


def space_of(run: RunFolder) -> Space:
    """The run's space; where its data cannot be read here, as summary.json and architecture.json name it."""
    try:
        return run.space
    except HwnasError:
        for path in (run.path / "summary.json", *sorted(run.path.glob("devices/**/architecture.json"))):
            if (told := read_json(path)) and (space := load_space(str(told["space"]))).hash == told["space_hash"]:
                run.__dict__["space"] = space
                return space
        raise


def _known(run: RunFolder, space: Space, device: str, known: dict[object, Table]) -> Table:
    files = sorted(table_folder(run.lut, device).glob("*.json*"))
    mark = (device, space.hash, str(recorded_drift(run, device)), *((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in files))
    if mark not in known:
        known[mark] = _table(run, space, device)
    return known[mark]


def _table(run: RunFolder, space: Space, device: str) -> Table:
    folder = table_folder(run.lut, device)
    try:
        model = device_model(space, folder, force=True, drift=recorded_drift(run, device))
    except HwnasError as error:
        return Table(device, None, None, None, str(error))
    try:
        calibration = Calibration.load(folder / "calibration.json", space.hash)
        trust = find_trust(folder, space.hash)
    except HwnasError as error:
        return Table(device, model, None, None, str(error))
    return Table(device, model, calibration, trust)


def _outcome(run: RunFolder, space: Space, table: Table, budget: Budget) -> Outcome:
    own, folder, missing = run.for_budget(budget), run.of_budget(budget), []
    target, z = None, None
    if table.model is not None:
        try:
            target = Target.of(budget, table.model.at(budget.confidences), run.experiment.seed)
        except HwnasError as error:
            missing.append(str(error))
    search, certificate = read_json(folder / "search.json"), read_json(folder / "certificate.json")
    if search and not SEARCH <= search.keys():
        missing.append(f"{folder / 'search.json'} is damaged: delete it and search again.")
        search = None
    if certificate and not CERTIFICATE <= certificate.keys():
        missing.append(f"{folder / 'certificate.json'} is damaged: delete it and export again.")
        certificate = None
    if certificate and certificate["budget"]["name"] != budget.name:
        missing.append(f"The certificate there is of another budget ({certificate['budget']['name']}): `hwnas export {run.path}`.")
        certificate = None
    told = read_json(folder / "architecture.json") if certificate else read_json(own.supernet / "derived.json") or search
    if told is not None:
        try:
            z = space.canonical(space.encode(told["choices"])[None])[0]
        except (HwnasError, KeyError):
            missing.append(f"The architecture in {folder} is of another space.")
    scores = _scores(own, space)
    if table.model is None:
        missing.append(table.reason)
    elif z is None:
        missing.append(f"No winner yet: `hwnas search {run.path}` finds it.")
    elif certificate is None:
        missing.append(f"No certificate yet: `hwnas export {run.path}` writes the files and times them on the device.")
    elif scores is None:
        missing.append("No scored architectures yet.")
    return Outcome(budget, folder, table, target, z, search, certificate, scores, tuple(missing))


def _fleet(run: RunFolder, outcomes: tuple[Outcome, ...]) -> dict[str, Any] | None:
    """What `hwnas fleet` found, if it was for the budgets that the run has now."""
    found = read_json(run.path / "fleet.json")
    if not found or not {"budgets", "cross", "models", "loss", "within"} <= found.keys():
        return None
    told = [(b.get("device"), b.get("budget")) for b in found["budgets"]]
    return found if told == [(o.budget.device, o.budget.name) for o in outcomes] else None


def _scores(run: RunFolder, space: Space) -> Scores | None:
    """Those of the run's supernet; where there are none (another recipe, an older hwnas), the newest of this space."""
    files = sorted(run.path.glob("scores-*.jsonl"), key=lambda p: (p == scores_path(run), p.stat().st_mtime), reverse=True)
    for path in files:
        header, *rows = read_lines(path) or [{}]
        if not isinstance(header.get("of"), dict) or header["of"].get("space") != space.hash:
            continue
        rows = [r for r in rows if isinstance(r.get("code"), list) and len(r["code"]) == len(space.genes)]
        if rows:
            return Scores(np.array([r["code"] for r in rows], np.int64), np.array([r["score"] for r in rows], float))
    return None


def newest(path: Path) -> Path:
    """path, or where it is not there (trained with another recipe, or by an older hwnas) its newest sibling."""
    if path.exists():
        return path
    return max(path.parent.glob("*"), key=lambda p: p.stat().st_mtime, default=path)
