"""`hwnas algorithms`, and training for a budget through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from commands import Cli, hwnas


def test_algorithms_and_their_options_are_listed(cli: Cli) -> None:
    rows = {r["name"]: r for r in json.loads(cli("algorithms", "--json").stdout)}
    assert {"spos", "sandwich", "darts", "gdas", "fbnet", "proxylessnas", "single-path"} <= rows.keys()
    assert rows["spos"]["serves"] == "all devices" and rows["fbnet"]["serves"] == "one target"
    fbnet = json.loads(cli("algorithms", "fbnet", "--json").stdout)
    assert {"name": "a", "type": "float", "default": 0.2, "what": "of the paper's loss"} in fbnet["options"]
    shown = cli("algorithms", "darts").stdout
    assert "most_skips" in shown and "[train.options]" in shown
    wrong = cli("algorithms", "dart")
    assert wrong.returncode == 2 and "did you mean 'darts'" in wrong.stderr


def test_an_architecture_is_learned_for_each_budget_and_delivered(workplace: Path, tmp_path: Path) -> None:
    shutil.copytree(workplace / "lut", tmp_path / "lut")
    shutil.copy(workplace / "myspace.py", tmp_path / "myspace.py")
    space = f"{workplace / 'myspace.py'}:tiny"
    words = ("train", "--space", space, "--data", "digits", "--algorithm", "gdas", "--epochs", 1, "--set", "batch=64", "--out", "runs/x")
    wrong = hwnas(*words, "--option", "tua=3", cwd=tmp_path)
    assert wrong.returncode == 2 and "unknown gdas option 'tua': did you mean 'tau'" in wrong.stderr
    lost = hwnas(*words, "--device", "tflite-cpu", cwd=tmp_path)
    assert lost.returncode == 2 and "give its budget" in lost.stderr
    over = hwnas(*words, "--device", "tflite-cpu", "--budget", "latency=1us", cwd=tmp_path)
    assert over.returncode == 2 and "cannot be reached" in over.stderr

    done = hwnas(*words, "--option", "tau=5", "--device", "tflite-cpu", "--budget", "latency=50%|90%", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 budgets mean 2 supernets, 2 epochs in all" in done.stderr and "each winner is retrained, 1 epochs" in done.stderr
    derived = [json.loads(p.read_text()) for p in tmp_path.glob("runs/x/supernet/*/derived.json")]
    assert len(derived) == 2 and all(d["costs"]["latency_ms"]["upper"] <= d["costs"]["latency_ms"]["limit"] for d in derived)

    found = hwnas("search", "runs/x", "--force", "--no-retime", "--json", cwd=tmp_path)
    winners = json.loads(found.stdout)
    assert found.returncode == 0 and [w["choices"] in [d["choices"] for d in derived] for w in winners] == [True, True]
    exported = hwnas("export", "runs/x", "--json", cwd=tmp_path)
    assert exported.returncode in (0, 1), exported.stderr  # 1: a certificate that is not PASS, which a busy machine can cause
    rows = json.loads(exported.stdout)["rows"]
    assert all((tmp_path / "runs/x" / r["folder"] / r["file"]).exists() for r in rows)
    certificate = json.loads((tmp_path / "runs/x" / rows[0]["folder"] / "certificate.json").read_text())
    assert certificate["retrained"]["epochs"] == 1 and certificate["retrained"]["inherit"] is False
