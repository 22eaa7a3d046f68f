"""The wheel holds what an installed hwnas needs, and works outside the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_an_installed_wheel_finds_its_profilers_and_experiments(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("hwnas-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True, capture_output=True)
    code = """
import json, sys
import hwnas, hwnas_onnx
from hwnas.transports.transport import BOARD
from hwnas.plugins import PROFILERS, SPACES, installed
from hwnas.shipped import SHIPPED
from hwnas.steps import load_experiment
print(json.dumps([hwnas.__file__, hwnas_onnx.__file__, sorted(installed(PROFILERS)), sorted(installed(SPACES)),
                  load_experiment("quickstart").data, (BOARD / "worker.py").exists(), str(SHIPPED), (SHIPPED / "README.md").exists()]))
"""
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    core, profiler, profilers, spaces, data, worker, shipped, tables = json.loads(done.stdout)
    assert core.startswith(str(tmp_path)) and profiler.startswith(str(tmp_path)), "the wheel's own files, not the repository's"
    assert {"cpu", "gpu", "onnx", "tflite"} <= set(profilers) and {"mobilenet", "quickstart"} <= set(spaces)
    assert data == "digits" and worker
    assert shipped.startswith(str(tmp_path)) and tables, "tables that come with hwnas are found, away from the repository"
    names = sorted(p.parent.name for p in Path(shipped).glob("*/table.jsonl"))
    for words in (["lut", "check", *names], ["lut", "show", names[0]]) if names else ():
        done = subprocess.run([sys.executable, "-m", "hwnas", *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0 and names[0] in done.stdout, f"hwnas {' '.join(words)}: {done.stdout}{done.stderr}"
    assert not (tmp_path / "lut").exists(), "looking at a table writes nothing"
