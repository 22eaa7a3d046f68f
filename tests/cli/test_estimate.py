"""A board that has not arrived: the whole job on a datasheet, and nothing that comes out claims to be measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwnas.device import Device
from hwnas.steps import RunFolder, deliver, load_experiment, load_supernet, profile_devices
from hwnas.steps.experiment import Experiment
from hwnas.steps.search import make_scorer, resolve, search_target
from hwnas.steps.summary import summarize

BOARD = Device(name="board", runtime="roofline", options={"peak_gops": 16.0, "bandwidth_gb_s": 4.0, "launch_us": 2.0})


def test_an_estimate_is_called_one_everywhere(workplace: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    lut, run_folder = tmp_path / "lut", tmp_path / "run"
    BOARD.save(lut / "board" / "device.toml")
    listed = {d["device"]: d for d in json.loads(cli("devices", "--lut", lut, "--json").stdout)["devices"]}
    assert listed["board"]["estimate"] and listed["board"]["runs_here"] and not listed["onnx-cpu"]["estimate"]

    shutil.copytree(workplace / "runs/tiny/supernet", run_folder / "supernet")
    fields = load_experiment(workplace / "tiny.toml").model_dump() | {"budgets": ["board:latency=60%"], "retrain": {"epochs": 0}}
    run = RunFolder(run_folder, Experiment.parse(fields, "test"), lut)
    _, calibration = profile_devices(run)["board"]
    assert calibration.held_out.mape < 0.01  # nothing is noisy about arithmetic

    model, target = resolve(run, run.experiment.parsed_budgets()[0])
    scorer = make_scorer(run, load_supernet(run))
    winner = search_target(run, model, target, scorer)
    assert model.estimate and winner.estimate and winner.to_dict()["estimate"]
    certificate = deliver(run, load_supernet(run), model, winner, scorer)
    assert certificate["verdict"] == "INCONCLUSIVE" and "estimate from a datasheet: nothing was measured" in certificate["reason"]
    assert certificate["limits"]["latency_ms"]["keeps"] and certificate["fingerprint"]["runtime"]["estimate"]
    assert summarize(run)["rows"][0]["estimate"]

    run.save()
    shown = cli("lut", "show", "board", "--lut", lut)
    assert "ESTIMATE from a datasheet: nothing was measured" in shown.stdout
    searched = cli("search", run_folder, "--lut", lut)
    assert "latencies are an ESTIMATE" in searched.stderr and "board (estimate)" in searched.stdout, searched.stderr
    exported = cli("export", run_folder, "--lut", lut)
    assert exported.returncode == 1 and "latencies of board are estimates from a datasheet" in " ".join(exported.stdout.split())
    assert "board: INCONCLUSIVE: the times are an estimate" in exported.stderr
