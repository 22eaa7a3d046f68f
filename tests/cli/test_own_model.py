"""A model of one's own, and a named space, through every command: profile, train, search, export, certificate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import hwnas
from tiny_experiment import EXPERIMENT

import hwnas as library
from hwnas.plugins import SPACES, load

MODEL = """
from torch import nn
import torch

from hwnas import Space
from hwnas.nn import InputChoice, LayerChoice


def conv(cin, cout, kernel, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU())


class Net(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.stem = conv(channels, 8, 3)
        self.layers = nn.ModuleList(
            LayerChoice({"3x3": conv(8, 8, 3), "5x5": conv(8, 8, 5), "1x1": conv(8, 8, 1)}, key=f"layer{i}") for i in range(3)
        )
        self.short = conv(8, 8, 1)
        self.skip = InputChoice(2, (1, 2), key="skip", names=["deep", "short"])
        self.classify = nn.Linear(8, classes)

    def forward(self, x):
        x = y = self.stem(x)
        for layer in self.layers:
            y = layer(y)
        return self.classify(self.skip([y, self.short(x)]).mean((2, 3)))


def net(channels=1, size=8, classes=10):
    return Space.from_model(Net(channels, classes), torch.zeros(1, channels, size, size))
"""


@pytest.mark.parametrize("space", ["own.py:net", pytest.param("one-shot-cell(filters=4,cells=1,blocks=2)", marks=pytest.mark.slow)])
def test_from_a_space_to_a_certified_file(space: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(MODEL)
    text = (
        EXPERIMENT.replace("{space}:tiny", space).replace("latency=70%|90%,size=200kB", "latency=80%").replace("epochs = 2", "epochs = 1")
    )
    (tmp_path / "own.toml").write_text(text)
    done = hwnas("run", "own.toml", "--json", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr  # 1: a certificate that is not PASS, which a busy machine can cause
    folder = tmp_path / "runs/own/devices/tflite-cpu"
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["accuracy"]["parity"]["max_abs_error"] < 1e-4 and 0 < certificate["accuracy"]["test"] <= 1
    assert (folder / "model.onnx").exists() and (folder / "model.tflite").exists()
    if space.startswith("own"):
        rows = (tmp_path / "lut/tflite-cpu/table.jsonl").read_text()
        # Each block once at least: what a busy machine disturbed is measured again.
        assert len(set(re.findall(r'"user-[^"]*"', rows))) == 5 and '"error"' not in rows
        own = load(SPACES, f"{tmp_path}/own.py:Net")(1, 10)
        fixed = library.fix(own, folder / "architecture.json")
        assert sum(p.numel() for p in fixed.parameters()) < sum(p.numel() for p in own.parameters())


def test_a_function_that_gives_a_bare_model(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(MODEL)
    done = hwnas("spaces", "own.py:Net(channels=1, classes=2)", cwd=tmp_path)
    assert done.returncode == 2 and "gives a Net, not a hwnas Space: return Space.from_model(model, example_input)" in done.stderr
    done = hwnas("spaces", "own.py:net", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["options"]["skip"] == ["deep", "short"]
