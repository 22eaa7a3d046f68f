"""Each mistake gets one clear line that names the field, the value and the way out; exit code 2; nothing overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["profile", "onnx-cpux", "--space", "quickstart"], ["unknown device 'onnx-cpux'", "did you mean 'onnx-cpu'"]),
        (["profile", "onnx-cpu", "--space", "mobilnet"], ["unknown space 'mobilnet'", "did you mean 'mobilenet'"]),
        (["profile", "onnx-cpu", "--space", "mobilenet(sise=3)"], ["unknown argument 'sise'", "size"]),
        (["profile", "onnx-cpu", "--space", "nothere.py:f"], ["there is no file", "nothere.py"]),
        (["profile", "onnx-cpu", "--space", "quickstart", "--blocks", "3"], ["3 blocks are too few", "at least 12"]),
        (["profile", "onnx-cpu", "--space", "quickstart", "--networks", "3"], ["networks", "at least 19"]),
        (["train", "--space", "quickstart", "--data", "digitz", "--out", "runs/z"], ["unknown data 'digitz'", "did you mean 'digits'"]),
        (["train", "--space", "quickstart", "--data", "digits", "--out", "runs/z", "--algorithm", "spoz"], ["'spoz'", "spos"]),
        (["train", "--space", "quickstart", "--data", "digits", "--out", "runs/z", "--set", "lrr=1"], ["recipe field 'lrr'", "lr"]),
        (["train", "--space", "quickstart", "--data", "digits", "--out", "runs/tiny", "--option", "smalest_every=2"], ["smalest_every"]),
        (["run", "elsewhere.toml", "--out", "runs/tiny"], ["unknown device 'onnx-cpux'"]),
        (["search", "runs/tiny", "-b", "tflite-cpu:latency=2"], ["latency=2", "no unit", "2ms"]),
        (["search", "runs/tiny", "-b", "tflite-cpu:latency=-2ms"], ["latency=-2ms", "not above zero"]),
        (["search", "runs/tiny", "-b", "tflite-cpu:lattency=2ms"], ["'lattency'", "did you mean 'latency'"]),
        (["search", "runs/tiny", "--force", "--no-retime", "-b", "tflite-cpu:latency=1us"], ["cannot be reached", "nearest is latency="]),
        (["search", "runs/tiny", "--no-retime", "-b", "onnx-cpu:latency=1ms"], ["onnx-cpu", "no table", "hwnas profile onnx-cpu"]),
        (["search", "runs/none"], ["no experiment.toml"]),
        (["run", "quickstrt"], ["unknown experiment 'quickstrt'", "did you mean 'quickstart'"]),
        (["lut", "show", "onnx-cpu"], ["no table", "hwnas profile onnx-cpu"]),
    ],
)  # fmt: skip
def test_one_line_and_exit_code_2(cli: Callable[..., Any], workplace: Path, words: list[str], said: list[str]) -> None:
    (workplace / "elsewhere.toml").write_text((workplace / "tiny.toml").read_text().replace("tflite-cpu:", "onnx-cpux:"))
    before = (workplace / "runs/tiny/experiment.toml").read_bytes()
    done = cli(*words)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error:") and "Traceback" not in done.stderr
    for text in said:
        assert text in last
    assert (workplace / "runs/tiny/experiment.toml").read_bytes() == before


def test_a_key_that_experiment_toml_does_not_know(cli: Callable[..., Any], workplace: Path) -> None:
    (workplace / "odd.toml").write_text('data = "digits"\nspace = "quickstart"\n[train]\nalgoritm = "spos"\n')
    done = cli("run", "odd.toml")
    assert done.returncode == 2 and "train.algoritm" in done.stderr and "algorithm" in done.stderr


@pytest.fixture
def copied_table(workplace: Path, tmp_path: Path) -> Path:
    shutil.copytree(workplace / "lut", tmp_path / "lut")
    return tmp_path / "lut/tflite-cpu/table.jsonl"


def test_a_table_of_another_machine_is_refused_and_left_alone(cli: Callable[..., Any], workplace: Path, copied_table: Path) -> None:
    run = shutil.copytree(workplace / "runs/tiny", copied_table.parents[2] / "run")  # a search keeps in its run whose table it took
    header, _, rest = copied_table.read_text().partition("\n")
    foreign = json.loads(header)
    foreign["fingerprint"]["runtime"]["version"] = "0.0.1"
    copied_table.write_text(json.dumps(foreign) + "\n" + rest)
    before = copied_table.read_bytes()
    done = cli("profile", "tflite-cpu", "--space", f"{workplace}/myspace.py:tiny", "--lut", copied_table.parent.parent)
    assert done.returncode == 2 and "another fingerprint" in done.stderr and "0.0.1" in done.stderr
    assert copied_table.read_bytes() == before
    elsewhere = ("search", run, "--no-retime", "--lut", copied_table.parent.parent)
    searched = cli(*elsewhere, "--no-force")
    assert searched.returncode == 2 and "fingerprint" in searched.stderr
    forced = cli(*elsewhere)  # the run was made with `force`
    assert forced.returncode == 0 and "FORCED" in forced.stderr and "fingerprint" in forced.stderr


def test_a_table_of_another_version(cli: Callable[..., Any], copied_table: Path) -> None:
    header, _, rest = copied_table.read_text().partition("\n")
    copied_table.write_text(json.dumps({**json.loads(header), "format": 99}) + "\n" + rest)
    done = cli("lut", "show", "tflite-cpu", "--lut", copied_table.parent.parent)
    assert done.returncode == 2 and "99" in done.stderr


def test_a_torn_last_line_costs_that_line_only(cli: Callable[..., Any], copied_table: Path) -> None:
    whole = json.loads(cli("lut", "show", "tflite-cpu", "--json", "--lut", copied_table.parent.parent).stdout)
    copied_table.write_bytes(copied_table.read_bytes()[:-20])
    torn = cli("lut", "show", "tflite-cpu", "--json", "--lut", copied_table.parent.parent)
    assert torn.returncode == 0, torn.stderr
    assert len(whole["rows"]) - len(json.loads(torn.stdout)["rows"]) in (0, 1)


def test_a_table_of_another_space(cli: Callable[..., Any], copied_table: Path) -> None:
    trained = cli("train", "--space", "quickstart", "--data", "digits", "--out", "runs/other", "--algorithm", "spos", "--epochs", 1)
    assert trained.returncode == 0, trained.stderr
    done = cli("search", "runs/other", "-b", "tflite-cpu:latency=50%", "--lut", copied_table.parent.parent)
    assert done.returncode == 2 and "another space" in done.stderr and "hwnas profile tflite-cpu" in done.stderr


def test_a_checkpoint_of_another_space(cli: Callable[..., Any], workplace: Path) -> None:
    """Another space trains into a folder of its own; the file itself, put there by hand, is refused."""
    mine = next((workplace / "runs/tiny/supernet").iterdir())
    toml = (workplace / "runs/tiny/experiment.toml").read_text().replace(f"{workplace}/myspace.py:tiny", "quickstart")
    (workplace / "runs/foreign").mkdir(exist_ok=True)
    (workplace / "runs/foreign/experiment.toml").write_text(toml)
    wanted = cli("export", "runs/foreign")
    assert wanted.returncode == 2
    from hwnas.steps import RunFolder

    run = RunFolder.open(workplace / "runs/foreign", workplace / "lut")
    shutil.copytree(mine, run.supernet)
    from hwnas.errors import HwnasError
    from hwnas.steps import load_supernet

    with pytest.raises(HwnasError, match="trained on space"):
        load_supernet(run)
