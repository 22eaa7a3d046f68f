"""Site: what the server answers with. It reads the run's folder and its devices' tables, and writes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from ..budget import Budget
from ..cost import METRICS
from ..errors import HwnasError
from ..report.findings import Findings, Table, budget_text, space_of
from ..report.page import render
from ..report.view import View, winner_view
from ..search import Evolution, Feasible, Target, evolve
from ..shipped import table_folder
from ..steps import RunFolder
from .stages import stages

PLAN = Evolution(population=100, generations=20, parents=20)


class Site:
    """One run. Tables and the accuracy model are read once, and again when a file that they were read from has changed."""

    def __init__(self, run: RunFolder):
        self.run = run
        self._opened = self._asked_at()
        self._lock = threading.Lock()
        self._read: tuple[object, View] | None = None
        self._tables: dict[object, Table] = {}  # a second each to read, and they seldom change
        space_of(run)  # now, so that a run that cannot be shown is refused at once

    def page(self) -> str:
        devices = [{"name": d, "budget": self._asked(d)} for d in self.run.experiment.devices]
        return _templates().get_template("ui.html").render(name=self.run.path.name, devices=devices)

    def report(self) -> str:
        return render(self._view())

    def state(self) -> dict[str, Any]:
        self._reopen()
        return {"run": self.run.path.name, "stages": [s.to_dict() for s in stages(self.run)], "time": time.strftime("%H:%M:%S")}

    def search(self, text: str) -> dict[str, Any]:
        """The best architecture under a budget by the accuracy model: a guess in under a second, and it says so.

        Raises HwnasError for a budget that is none or cannot be kept, a device without a table, too few scores.
        """
        budget, *others = Budget.parse(text)
        if others:
            raise HwnasError(f"budget {text!r}: one at a time")
        view = self._view()
        table = next((t for t in view.findings.tables if t.device == budget.device), None)
        outcomes = [o for o in view.findings.outcomes if o.scores is not None]
        if table is None or table.model is None:
            known = ", ".join(self.run.experiment.devices)
            raise HwnasError(table.reason if table else f"device {budget.device!r} is none of this run, which has {known}")
        own = next((o for o in outcomes if o.table is table), outcomes[0] if outcomes else None)
        accuracy = view.accuracy_model(own.scores) if own else None
        if own is None or own.scores is None or accuracy is None:
            raise HwnasError("too few architectures are scored yet: at least 30 are needed to guess from")
        began = time.perf_counter()
        model = table.model.at(budget.confidences)
        target = Target.of(budget, model, self.run.experiment.seed)
        feasible = Feasible.filled(model, target, self.run.experiment.search.fill)
        best = own.scores.codes[np.argsort(-own.scores.accuracy)[: PLAN.population // 2]]
        found = evolve(feasible, feasible.objective(accuracy.score), PLAN, self.run.experiment.seed, seeds=best)
        z = view.space.canonical(found.best[None])[0]
        took_s = time.perf_counter() - began
        upper = model.upper(z[None], target.fields)[0]
        scored = own.scores.by_code.get(tuple(map(int, z)))
        told = {
            "title": f"{budget.device}: {budget_text(budget, target, {})}",
            "accuracy": f"{float(accuracy.score(z[None])[0]):.2%}",
            "error": f"{100 * accuracy.error:.2f}",
            "scores": accuracy.scores,
            "scored": None if scored is None else f"{scored:.2%}",
            "limits": [_pair(METRICS[n].text, u, v) for n, u, v in zip(target.metric_names, upper, target.limits)],
            "evaluations": len(found.codes),
            "took": f"{took_s:.2f}",
            "reachable": [_pair(METRICS[n].text, r.low, r.high) for n, r in zip(target.metric_names, target.ranges)],
            "command": f"hwnas search {self.run.path} --budget '{text}'",
            "winner": winner_view(model, z, budget.device) if "latency_ms" in model.metrics else None,
        }
        return {"html": _templates().get_template("found.html").render(f=told), "choices": view.space.decode(z), "seconds": took_s}

    def _asked_at(self) -> int:
        return (self.run.path / "experiment.toml").stat().st_mtime_ns

    def _reopen(self) -> None:
        """`hwnas search --budget` changes what the run asks for."""
        with self._lock:
            if (now := self._asked_at()) != self._opened:
                self.run, self._opened = RunFolder.open(self.run.path, self.run.lut), now
                space_of(self.run)

    def _asked(self, device: str) -> str:
        return next(b.name for b in self.run.experiment.parsed_budgets() if b.device == device)

    def _view(self) -> View:
        self._reopen()
        with self._lock:
            mark = self._mark()
            if self._read is None or self._read[0] != mark:
                self._read = mark, View(Findings.read(self.run, self._tables))
            return self._read[1]

    def _mark(self) -> object:
        """Changes when anything that the report is made from does."""
        files = [p for pattern in ("*.json*", "devices/**/*.json*", "supernet/*/*.json*") for p in self.run.path.glob(pattern)]
        files += [p for d in self.run.experiment.devices for p in table_folder(self.run.lut, d).glob("*.json*")]
        return frozenset((str(p), s.st_mtime_ns, s.st_size) for p in files if (s := p.stat()))


def static(name: str) -> bytes:
    """One of the page's own files."""
    package = "hwnas.report" if name == "page.css" else "hwnas.ui"
    return resources.files(package).joinpath("pages", name).read_bytes()


def _pair(text: Callable[[float], str], a: float, b: float) -> tuple[str, str]:
    return text(float(a)), text(float(b))


@cache
def _templates() -> Environment:
    pages = ChoiceLoader([PackageLoader("hwnas.ui", "pages"), PackageLoader("hwnas.report", "pages")])
    return Environment(loader=pages, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
