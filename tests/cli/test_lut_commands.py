"""`hwnas lut ...` on the table of a real device, as a user would type it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_check_says_ok_and_exits_0_or_says_what_and_exits_1(cli: Callable[..., Any], workplace: Path, tmp_path: Path) -> None:
    sound = cli("lut", "check", "tflite-cpu", "--json")
    assert sound.returncode == 0 and json.loads(sound.stdout)[0]["ok"], sound.stdout
    shutil.copytree(workplace / "lut", tmp_path / "lut")
    table = tmp_path / "lut/tflite-cpu/table.jsonl"
    lines = table.read_text().splitlines()
    lines[4] = json.dumps({**json.loads(lines[4]), "wall_ns": [0]})
    table.write_text("\n".join(lines) + "\n")
    wrong = cli("lut", "check", "--lut", tmp_path / "lut")
    assert wrong.returncode == 1 and "line 5: wall_ns is [0]" in wrong.stdout and "Traceback" not in wrong.stderr


def test_share_diff_and_merge(cli: Callable[..., Any], workplace: Path, tmp_path: Path) -> None:
    for words in (("xeon-tflite",), ("t.parquet", "--by", "Ada"), ("t.csv",)):
        done = cli("lut", "export", "tflite-cpu", tmp_path / words[0], *words[1:])
        assert done.returncode == 0, done.stderr
    assert str(workplace) not in (tmp_path / "xeon-tflite/table.jsonl").read_text()
    assert cli("lut", "import", tmp_path / "t.parquet", "--device", "copy", "--lut", tmp_path).returncode == 0
    diff = cli(
        "lut", "diff", tmp_path / "xeon-tflite", "copy", "--lut", tmp_path, "--architecture", "runs/tiny", "-b", "latency=80%", "--json"
    )
    found = json.loads(diff.stdout)
    assert found["fingerprint"] == [] and found["blocks"]["median"] == 1.0
    assert found["impact"]["overlap"] and found["impact"]["kept"], diff.stdout
    merged = cli("lut", "merge", tmp_path / "xeon-tflite", "copy", "--to", "both", "--lut", tmp_path)
    assert merged.returncode == 0 and "rows were there twice" in merged.stdout
    assert cli("lut", "check", "both", "--lut", tmp_path).returncode == 0


def test_trust_and_a_search_that_is_refused(cli: Callable[..., Any], workplace: Path, tmp_path: Path) -> None:
    report = cli("lut", "trust", "tflite-cpu", "--json")
    (space,) = json.loads(report.stdout)
    assert space["kind"] == "random" and space["held_out"]["networks"] >= 10 and report.returncode == (space["verdict"] != "good")
    shutil.copytree(workplace / "lut", tmp_path / "lut")
    shutil.copytree(workplace / "runs/tiny", tmp_path / "run")
    (tmp_path / "lut/tflite-cpu/trust.json").unlink()
    refused = cli("search", tmp_path / "run", "--no-retime", "--no-force", "--lut", tmp_path / "lut")
    assert refused.returncode == 2 and "no trust report" in refused.stderr and "hwnas lut trust tflite-cpu" in refused.stderr
    forced = cli("search", tmp_path / "run", "--no-retime", "--force", "--lut", tmp_path / "lut", "--json")
    assert forced.returncode == 0 and "tflite-cpu: FORCED although" in forced.stderr and "no trust report" in forced.stderr


def aged(workplace: Path, tmp_path: Path, looks: dict[str, Any]) -> Path:
    """A copy of the run whose table was made two hours ago, on a core of which it says `looks`; where the copy records today's level."""
    shutil.copytree(workplace / "lut", tmp_path / "lut")
    shutil.copytree(workplace / "runs/tiny", tmp_path / "run")
    table = tmp_path / "lut/tflite-cpu/table.jsonl"
    header, *rows = [json.loads(line) for line in table.read_text().splitlines()]
    for row in rows:
        row |= {"at": row["at"] - 7200} if "at" in row else {}
        for field in ("reference_ns", "best_ns"):
            row.pop(field, None)
        row |= {"reference_ns": [looks["best_ns"]] * len(row["wall_ns"]), **looks} if looks else {}
    table.write_text("".join(json.dumps(row) + "\n" for row in (header, *rows)))
    return tmp_path / "run/devices/tflite-cpu/drift.json"


def test_a_later_search_times_networks_again(cli: Callable[..., Any], workplace: Path, tmp_path: Path) -> None:
    """A table whose sitting was hours ago: five networks are timed, and the record says how fast the device is."""
    level = aged(workplace, tmp_path, {})
    done = cli("search", tmp_path / "run", "--force", "--lut", tmp_path / "lut")
    assert done.returncode == 0, done.stderr
    record = json.loads(level.read_text())
    assert len(record["drift"]["ratios"]) == 5 and 0.2 < record["drift"]["factor"] < 5, record
    assert "times what its table says" in done.stderr
    again = cli("search", tmp_path / "run", "--force", "--lut", tmp_path / "lut")
    assert json.loads(level.read_text()) == record and "times what" not in again.stderr


def test_what_somebody_else_slows_is_no_drift_of_the_device(cli: Callable[..., Any], workplace: Path, tmp_path: Path) -> None:
    """A table that knew the core 40 times as fast as it can ever be seen here: today it is slowed all the time."""
    level = aged(workplace, tmp_path, {"best_ns": 1000})
    done = cli("search", tmp_path / "run", "--force", "--lut", tmp_path / "lut")
    assert done.returncode == 0, done.stderr
    record = json.loads(level.read_text())
    assert record["drift"] is None and "somebody slowed its core during 100%" in record["reason"]
    assert "its latencies are used as they are" in done.stderr


def test_a_certificate_says_what_is_behind_its_prediction(workplace: Path) -> None:
    certificate = json.loads(next((workplace / "runs/tiny/devices").glob("**/certificate.json")).read_text())
    table = certificate["table"]
    assert table["fingerprint"]["runtime"]
    assert bool(table["forced_over"]) == (table["trust"]["verdict"] != "good"), table  # the run was made with `force`


def test_import_mistakes_are_one_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("op,cin,cout,size,t\nconv,1,2,4,0.1\n")
    for words, said in (
        (("my.csv",), "--device is missing"),
        (("my.csv", "--device", "mine"), "which column is the latency"),
        (("my.csv", "--device", "mine", "--column", "latency"), "expected NAME=VALUE"),
        (("none.csv", "--device", "mine"), "there is no such file"),
        (("my.csv", "--device", "../x", "--column", "latency=t", "--unit", "ms"), "make a name"),
    ):
        done = cli("lut", "import", tmp_path / words[0], *words[1:], "--lut", tmp_path / "lut")
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "lut").exists()
