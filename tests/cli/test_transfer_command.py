"""`hwnas transfer`: a device that was never profiled, searched from another one's table and five networks of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_new_device_can_be_searched(cli: Callable[..., Any], workplace: Path, tmp_path: Path) -> None:
    lut = tmp_path / "lut"
    shutil.copytree(workplace / "lut", lut)
    words = ["transfer", "onnx-cpu", "--from", "tflite-cpu", "--space", f"{workplace}/myspace.py:tiny", "--networks", 5, "--rounds", 1]
    done = cli(*words, "--json", "--lut", lut)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["networks"] == 5 and found["sources"] == ["tflite-cpu"] and found["margin"] > 0
    assert all(ms > 0 for ms in found["block_ms"].values()) and found["left_out"]["networks"] == 5
    shutil.copytree(workplace / "runs/tiny", workplace / "runs/transferred", dirs_exist_ok=True)
    searched = cli("search", "runs/transferred", "-b", "onnx-cpu:latency=80%", "--lut", lut)
    assert searched.returncode == 0, searched.stderr
    again = cli(*words, "--lut", lut)
    assert again.returncode == 0 and "bound at 95 %" in again.stdout
    refused = cli(*words[:3], "onnx-cpu", *words[4:], "--lut", lut)
    assert refused.returncode == 2 and "not 'onnx-cpu' itself" in refused.stderr
