"""One tiny experiment, run once for all tests of the command line: a real device, real training, real files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SPACE = """
from hwnas.spaces import mobilenet

def tiny(channels=1, size=8, classes=10):
    return mobilenet(channels, size, classes, resolutions=(8,), stem=8, stem_stride=1, widths=((8, 12), (16, 24)), depth=2, strides=(1, 2),
                     kernels=(3, 5), expands=(1, 2, 3), squeezes=(0, 4), acts=("relu",))
"""
EXPERIMENT = """
data = "digits"
space = "{space}:tiny"
budgets = ["tflite-cpu:latency=70%|90%,size=200kB"]
[profile]
networks = 19
held_out = 10
rounds = 1
repeats = 1
[train]
algorithm = "spos"
[train.recipe]
epochs = 2
batch = 64
[search]
population = 8
generations = 2
parents = 3
valid_images = 100
recalibration_images = 128
force = true # a single short round on a busy machine may earn no trust; what is tested here does not need it
[retrain]
epochs = 1
[retrain.recipe]
batch = 64
"""

Cli = Callable[..., subprocess.CompletedProcess[str]]


def hwnas(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python -m hwnas WORDS` as a user would run it."""
    env = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", "hwnas", *map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space of one's own and an experiment that uses it, and that has been run."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "myspace.py").write_text(SPACE)
    (folder / "tiny.toml").write_text(EXPERIMENT.format(space=folder / "myspace.py"))
    done = hwnas("run", "tiny.toml", "--json", cwd=folder)
    (folder / "stdout.json").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    assert done.returncode in (0, 1), done.stderr  # 1: a certificate that is not PASS, which a busy machine can cause
    return folder


@pytest.fixture
def cli(workplace: Path) -> Cli:
    return lambda *words: hwnas(*words, cwd=workplace)
