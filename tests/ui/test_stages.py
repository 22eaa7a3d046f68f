"""hwnas/ui/stages.py: which step is said to run, where the files cannot tell."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hwnas.steps import Experiment, RunFolder, retrain_folder
from hwnas.steps.run_folder import write_json
from hwnas.ui.stages import FRESH_S, Stage, _with_next, stages


def statuses(folder: Path, *given: tuple[str, str]) -> list[str]:
    run: Any = SimpleNamespace(path=folder)
    return [s.status for s in _with_next(run, [Stage(title, status) for title, status in given])]


STEPS = (("profile d", "done"), ("train x", "done"), ("search d", "done"), ("settle d", "waiting"), ("certify d", "waiting"))


def test_a_certificate_is_under_way_while_the_run_is_fresh(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text("{}")
    assert statuses(tmp_path, *STEPS) == ["done"] * 3 + ["running", "waiting"], "a step that writes nothing before its end"
    settled = (*STEPS[:3], ("settle d", "done"), ("retrain for d", "running"), STEPS[4])
    assert statuses(tmp_path, *settled)[-1] == "waiting", "one at a time"
    before = time.time() - 2 * FRESH_S
    os.utime(tmp_path / "search.json", (before, before))
    assert statuses(tmp_path, *STEPS) == ["done"] * 3 + ["waiting"] * 2


def test_a_wider_network_is_followed_though_nothing_is_settled_on(tmp_path: Path) -> None:
    fields = {"data": "digits", "space": "quickstart", "budgets": ["onnx-cpu:macs=50%"], "retrain": {"epochs": 1, "width": 2.0}}
    run = RunFolder(tmp_path, Experiment.parse(fields, "test"), tmp_path / "lut")
    z = run.space.smallest()
    write_json(tmp_path / "devices/onnx-cpu/search.json", {"choices": run.space.decode(z)})
    assert [s.status for s in stages(run) if s.title.startswith("retrain")] == ["waiting"]
    write_json(retrain_folder(run, z) / "checkpoints/00000007/progress.json", {"done": 7, "steps": 7})
    assert [s.status for s in stages(run) if s.title.startswith("retrain")] == ["done"]
    assert not [s for s in stages(run) if s.title.startswith("settle")]


def test_nothing_runs_in_a_run_that_has_not_begun_or_has_ended(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert statuses(tmp_path, ("profile d", "waiting"), ("train x", "waiting")) == ["waiting"] * 2
    assert statuses(tmp_path, ("profile d", "done"), ("train x", "done")) == ["done"] * 2
