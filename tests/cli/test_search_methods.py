"""`hwnas search --method`, `--pareto` and `hwnas fleet` on a run that was really trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def copied(workplace: Path) -> str:
    """A copy of the run: searches write into it."""
    shutil.copytree(workplace / "runs/tiny", workplace / "runs/methods")
    return "runs/methods"


@pytest.mark.parametrize("method", ["exact", "surrogate"])
def test_a_method_by_name(cli: Callable[..., Any], workplace: Path, copied: str, method: str) -> None:
    done = cli("search", copied, "-b", "tflite-cpu:latency=90%", "--method", method, "--generations", 4, "--force", "--no-retime", "--json")
    assert done.returncode == 0, done.stderr
    (winner,) = json.loads(done.stdout)
    assert winner["search_validation_accuracy"] >= winner["random_search_accuracy"] and winner["note"]
    assert winner["upper"]["latency_ms"] <= winner["limits"]["latency_ms"]
    assert json.loads((workplace / copied / "devices/tflite-cpu/search.json").read_text())["method"] == method


def test_a_front(cli: Callable[..., Any], copied: str) -> None:
    done = cli("search", copied, "-b", "tflite-cpu:latency=90%", "--pareto", "accuracy,latency", "--force", "--no-retime", "--json")
    assert done.returncode == 0, done.stderr
    front = json.loads(done.stdout)
    values = [(p["accuracy"], p["latency_ms"]) for p in front]
    assert values == sorted(values, reverse=True) and len(values) >= 1
    assert not any(a >= c and b <= d and (a, b) != (c, d) for a, b in values for c, d in values)


def test_fleet(cli: Callable[..., Any], workplace: Path) -> None:
    shutil.copytree(workplace / "runs/tiny", workplace / "runs/fleet")
    done = cli("fleet", "runs/fleet", "--within", "100%", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["budgets"]) == len(found["cross"]) == 2 and len(found["cross"][0]["on"]) == 2
    assert len(found["models"]) == 1, "whatever keeps the tighter of two latencies serves both"
    assert sorted(k for m in found["models"] for k in m["serves"]) == [0, 1]
    assert all(c["measured_ms"] > 0 for row in found["cross"] for c in row["on"]), "every winner on every device"
    cells = (workplace / "runs/fleet/cross.jsonl").read_bytes()
    table = cli("fleet", "runs/fleet", "--within", "100%")
    assert table.returncode == 0 and "serve 2 budgets" in table.stdout and "all measured" in table.stdout
    assert (workplace / "runs/fleet/cross.jsonl").read_bytes() == cells, "nothing is measured twice"
    assert cli("fleet", "runs/fleet", "--within", "0%", "--no-measure").returncode == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (["search", "runs/tiny", "--method", "evolutoin"], ["search.method", "evolutoin", "'surrogate'"]),
        (["search", "runs/tiny", "--pareto", "accuracy"], ["--pareto 'accuracy'", "accuracy,latency"]),
        (["search", "runs/tiny", "--pareto", "accuracy,latancy"], ["'latancy'", "did you mean 'latency'"]),
        (["fleet", "runs/tiny", "--within", "5"], ["--within '5'", "0.5%"]),
        (["fleet", "runs/none"], ["no experiment.toml"]),
    ],
)
def test_bad_input_is_one_line(cli: Callable[..., Any], words: list[str], said: list[str]) -> None:
    done = cli(*words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for text in said:
        assert text in done.stderr.strip().splitlines()[-1]
