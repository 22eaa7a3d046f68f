"""Training by several processes: `torchrun -m hwnas train` against one process with ghost BatchNorm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hwnas.errors import HwnasError
from hwnas.train.world import World

SPACE = """
from hwnas.spaces import nasbench201, single_path

def tiny(channels=1, size=8, classes=10):
    return nasbench201(channels, size, classes, width=4, cells=1)

def chain(channels=1, size=8, classes=10):
    return single_path(channels, size, classes, stem=4, stem_stride=1, widths=(4, 8), depth=2, strides=(1, 2), head_expand=1)
"""
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "hwnas"]


def train(folder: Path, out: str, *words: str, launcher: list[str], space: str = "tiny") -> subprocess.CompletedProcess[str]:
    (folder / "space.py").write_text(SPACE)
    fixed = [
        "train",
        "--space",
        f"{folder}/space.py:{space}",
        "--data",
        "digits",
        "--epochs",
        "1",
        "--out",
        out,
        "--set",
        "batch=128",
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *launcher, *fixed, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def learned(folder: Path, out: str, kept: str = "alpha") -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], list[dict[str, float]]]:
    """(weights, what the algorithm keeps under a name, curves) of a run; BatchNorm's statistics are left out: they are recalibrated."""
    (checkpoint,) = (folder / out).glob("supernet/*/checkpoints/0*")
    weights = {k: t for k, t in load_file(checkpoint / "weights.safetensors").items() if "running" not in k and "tracked" not in k}
    rows = [json.loads(line) for line in (checkpoint.parent.parent / "metrics.jsonl").read_text().splitlines()]
    return weights, torch.load(checkpoint / "state.pt", weights_only=True).get(kept, {}), rows


@pytest.mark.parametrize("algorithm", ["spos", "darts"])
def test_two_processes_compute_what_one_does_with_ghost_batch_norm(algorithm: str, tmp_path: Path) -> None:
    for out, more, launcher in (("two", [], TORCHRUN), ("one", ["--set", "ghost=2"], ["-m", "hwnas"]), ("plain", [], ["-m", "hwnas"])):
        if out != "plain" or algorithm == "spos":
            done = train(tmp_path, out, "--own-weights", "--algorithm", algorithm, *more, launcher=launcher)
            assert done.returncode == 0, done.stderr
            assert done.stderr.count("trained:") == 1, "one process speaks for all"
    (two, alpha_two, rows_two), (one, alpha_one, rows_one) = learned(tmp_path, "two"), learned(tmp_path, "one")
    assert two.keys() == one.keys() and all((t - one[k]).abs().max() <= 1e-5 for k, t in two.items())
    assert [r["step"] for r in rows_two] == [r["step"] for r in rows_one]
    assert all(abs(a["loss"] - b["loss"]) < 1e-4 for a, b in zip(rows_two, rows_one))
    if algorithm == "darts":
        assert alpha_two and all((t - alpha_one[k]).abs().max() <= 1e-5 for k, t in alpha_two.items())
    else:
        plain = learned(tmp_path, "plain")[0]
        assert max((t - plain[k]).abs().max() for k, t in two.items()) > 1e-3, "so that the comparison has teeth"


@pytest.mark.parametrize(
    ("words", "space", "kept"),
    [
        (["--own-weights", "--algorithm", "darts", "--option", "order=2", "--option", "lr=0.01"], "tiny", "alpha"),
        (["--algorithm", "single-path", "--option", "lr=0.1", "--option", "warmup=0"], "chain", "superkernel"),
    ],
    ids=["darts-2", "single-path"],
)
def test_an_architecture_learns_from_the_whole_batch(words: list[str], space: str, kept: str, tmp_path: Path) -> None:
    """An architecture that learned from one process' part alone would be another than that of one process with ghost batch norm."""
    for out, more, launcher in (("two", [], TORCHRUN), ("one", ["--set", "ghost=2"], ["-m", "hwnas"])):
        done = train(tmp_path, out, *words, *more, "--set", "lr=0.02", launcher=launcher, space=space)
        assert done.returncode == 0, done.stderr
    (two, state_two, rows_two), (one, state_one, rows_one) = learned(tmp_path, "two", kept), learned(tmp_path, "one", kept)
    assert state_two and all((t - state_one[k]).abs().max() <= 1e-4 for k, t in state_two.items())
    assert all((t - one[k]).abs().max() <= 1e-5 for k, t in two.items())
    assert all(abs(a["loss"] - b["loss"]) < 1e-4 for a, b in zip(rows_two, rows_one, strict=True))


def test_a_batch_that_cannot_be_shared_out() -> None:
    World(0, 2).check(4)
    for batch in (3, 2, 129):
        with pytest.raises(HwnasError, match=f"recipe.batch: {batch} images cannot be shared out among 2 processes"):
            World(0, 2).check(batch)
    x, y = torch.arange(6), torch.arange(6)
    assert [World(r, 3).part((x, y))[0].tolist() for r in range(3)] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(HwnasError, match="two tensors whose length"):
        World(0, 4).part((x, y))
