"""Stages: how far each step of a run is, read from its files alone, so that any process may be doing the work."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..budget import Budget
from ..errors import HwnasError
from ..report.findings import newest, read_json, read_lines
from ..shipped import table_folder
from ..steps import RunFolder, retrain_folder
from ..steps.search import scores_path

FRESH_S = 120.0  # a file that was written to within this time is being written to


@dataclass(frozen=True)
class Stage:
    """One step: done of total, where both are known; what to say beside it."""

    title: str
    status: str  # waiting, running, stopped, done
    done: int | None = None
    total: int | None = None
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def stages(run: RunFolder) -> list[Stage]:
    """In the order that they run: profile every device, train, search for every budget, settle on every architecture, deliver each."""
    found = [_profile(run, device) for device in run.experiment.devices]
    budgets = run.experiment.parsed_budgets()
    for budget in budgets if run.traits.learns else []:
        found.append(_training(f"train for {budget.device} {budget.name}", newest(run.for_budget(budget).supernet)))
    if not run.traits.learns:
        found.append(_training(f"train {run.experiment.train.algorithm}", newest(run.supernet)))
    for budget in budgets if not run.traits.learns else []:
        found.append(_search(f"search {_name(budget)}", read_json(run.of_budget(budget) / "search.json"), scores_path(run)))
    settled = [read_json(run.of_budget(budget) / "settled.json") for budget in budgets] if run.retraining.width == 1 else []
    found += [_settled(f"settle {_name(budget)}", told) for budget, told in zip(budgets, settled)]
    for budget, told in zip_longest(budgets, settled):
        if run.retraining.epochs:
            choice = told or read_json(run.of_budget(budget) / "search.json")  # nothing is settled on for a wider network
            found.append(_training(f"retrain for {_name(budget)}", _alone(run.for_budget(budget), choice)))
        found.append(_certified(f"certify {_name(budget)}", read_json(run.of_budget(budget) / "certificate.json")))
    return _with_next(run, found)


def _name(budget: Budget) -> str:
    return f"{budget.device} {budget.name}"


def _with_next(run: RunFolder, found: list[Stage]) -> list[Stage]:
    """A step that writes nothing before its end (a certificate) runs where the one before it is done and the run's folder is fresh."""
    waiting = [i for i, stage in enumerate(found) if stage.status == "waiting"]
    if not waiting or any(stage.status == "running" for stage in found):
        return found
    newest_s = max((p.stat().st_mtime for p in run.path.rglob("*.json*")), default=0.0)
    if time.time() - newest_s < FRESH_S and found[0].status == "done":
        found[waiting[0]] = replace(found[waiting[0]], status="running")
    return found


def _profile(run: RunFolder, device: str) -> Stage:
    folder = table_folder(run.lut, device)
    table, settings = folder / "table.jsonl", run.experiment.profile
    keys = len({row.get("key") for row in read_lines(table)} - {None})
    total = min(settings.blocks, len(run.space.blocks)) + settings.networks + settings.held_out + 1
    profiled = read_json(folder / "profiled.json")
    if profiled and profiled.get("space_hash") == run.space.hash:
        return Stage(f"profile {device}", "done", text=f"{keys:,} blocks and networks")
    if not keys:
        return Stage(f"profile {device}", "waiting")
    return Stage(f"profile {device}", _now(table), min(keys, total), total, "blocks and networks, in the first of several rounds")


def _training(title: str, folder: Path) -> Stage:
    rows = read_lines(folder / "metrics.jsonl")
    saved = [p for path in sorted(folder.glob("checkpoints/*/progress.json")) if (p := read_json(path))]
    if not rows and not saved:
        return Stage(title, "waiting")
    done = max([int(r.get("step", 0)) for r in rows[-1:]] + [int(p.get("done", 0)) for p in saved])
    total = int(saved[-1]["steps"]) if saved and "steps" in saved[-1] else None
    last = {k: v for row in rows for k, v in row.items() if isinstance(v, (int, float))}  # not every row has every figure
    figures = [f"{k.replace('_', ' ')} {last[k]:.3f}" for k in ("loss", "accuracy", "valid_accuracy") if k in last]
    if total is not None and done >= total:
        return Stage(title, "done", done, total, ", ".join(figures))
    return Stage(title, _now(folder / "metrics.jsonl"), done, total, ", ".join(figures))


def _search(title: str, search: dict[str, Any] | None, scores: Path) -> Stage:
    if search and "accuracy" in search:
        return Stage(title, "done", text=f"best {search['accuracy']:.2%} in {search.get('evaluations')} evaluations")
    n = max(0, len(read_lines(scores)) - 1)
    return Stage(title, _now(scores), text=f"{n:,} architectures scored so far, for all budgets") if n else Stage(title, "waiting")


def _settled(title: str, told: dict[str, Any] | None) -> Stage:
    if told is None:
        return Stage(title, "waiting")
    tried = sum(not words.get("again") for words in told.get("rounds", []))
    return Stage(title, "done", text=f"{tried} {'architecture' if tried == 1 else 'architectures'} timed on the device")


def _alone(run: RunFolder, choice: dict[str, Any] | None) -> Path:
    """Where the network of these choices is trained, or a folder that is not there."""
    try:
        return retrain_folder(run, run.space.encode((choice or {})["choices"]))
    except (KeyError, HwnasError):  # nothing yet, or of another space
        return run.path / "retrain" / "none"


def _certified(title: str, certificate: dict[str, Any] | None) -> Stage:
    if certificate is None:
        return Stage(title, "waiting")
    test = certificate.get("accuracy", {}).get("test")
    return Stage(title, "done", text=f"{certificate.get('verdict')}" + (f", test {test:.2%}" if test else ""))


def _now(path: Path) -> str:
    """Whether somebody is still writing."""
    try:
        return "running" if time.time() - path.stat().st_mtime < FRESH_S else "stopped"
    except OSError:
        return "waiting"
