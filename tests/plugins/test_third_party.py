"""A distribution that is not ours, installed by pip and used through its entry points."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DISTRIBUTION = Path(__file__).with_name("hwnas-numpy")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """run(words): a command with the distribution installed beside hwnas, in a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    install = [
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        folder / "site",
    ]
    subprocess.run([sys.executable, *install, DISTRIBUTION], check=True, capture_output=True)
    env = {**os.environ, "PYTHONPATH": str(folder / "site"), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    (folder / "lut/numpy").mkdir(parents=True)
    (folder / "lut/numpy/device.toml").write_text('name = "numpy"\nruntime = "numpy"\n')

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *map(str, words)], cwd=folder, env=env, capture_output=True, text=True, timeout=300)

    return run


def test_it_is_listed(run: Run) -> None:
    done = run("-m", "hwnas", "devices", "--json")
    (row,) = [r for r in json.loads(done.stdout)["devices"] if r["device"] == "numpy"]
    assert row["profiler"] == "numpy" and row["runs_here"]


def test_it_passes_the_kit(run: Run) -> None:
    done = run("-m", "hwnas", "check", "numpy", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["passed"], [c for c in found["checks"] if not c["ok"]]
    assert len(found["checks"]) == 12


@pytest.mark.slow
def test_its_own_test_class_passes(run: Run) -> None:
    done = run("-m", "pytest", "-p", "no:cacheprovider", DISTRIBUTION / "tests")
    assert done.returncode == 0 and "12 passed" in done.stdout, done.stdout


def test_its_space_is_profiled_on_its_device_and_its_data_loads(run: Run) -> None:
    words = ["--space", "numpy-small", "--data", "stripes", "--networks", 19, "--rounds", 1]
    done = run("-m", "hwnas", "profile", "numpy", *words, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["held_out"]["networks"] == 19
    table = [
        json.loads(line) for line in (Path(run("-c", "import os; print(os.getcwd())").stdout.strip()) / "lut/numpy/table.jsonl").open()
    ]
    assert table[0]["fingerprint"]["runtime"]["name"] == "numpy" and not any(row.get("error") for row in table[1:])
