"""Several boards at once: real ssh servers on loopback, one queue for each."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import sshd

from hwnas.device import Device
from hwnas.measure import Plan
from hwnas.spaces import load_space
from hwnas.steps.boards import HERE, Profiling, board_of, boards, profile_boards
from hwnas.table import Table
from hwnas.transports.reach import Reach, save_reach


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_one_queue_for_each_board() -> None:
    save_reach("pi-onnx", Reach(ssh="pi@pi.local"))
    save_reach("pi-tflite", Reach(ssh="root@pi.local"))
    save_reach("pi-next-door", Reach(ssh="pi@pi.local", port=2222))
    save_reach("phone", Reach(adb="R58", benchmark="benchmark_model"))
    save_reach("old", Reach(python="/opt/old/bin/python"))
    names = ["pi-onnx", "onnx-cpu", "phone", "pi-tflite", "old", "pi-next-door"]
    queues = {board: [d.name for d in q] for board, q in boards([Device(name=n, runtime="onnx") for n in names]).items()}
    expected = {
        "ssh pi.local": ["pi-onnx", "pi-tflite"],
        HERE: ["onnx-cpu", "old"],
        "adb R58": ["phone"],
        "ssh pi.local:2222": ["pi-next-door"],
    }
    assert queues == expected and board_of(Reach(prefix=("nice",))) == HERE


@pytest.mark.slow
@sshd.needs_sshd
def test_boards_at_once_and_one_that_is_away(tmp_path: Path) -> None:
    there = [sshd.make_board(tmp_path / name) for name in ("a", "b")]
    where = {"python": sys.executable, "patience_s": 0.0}
    try:
        for name, board in zip(("a", "b"), there):
            board.start()
            save_reach(name, Reach(ssh=board.host, ssh_config=str(board.config), port=board.port, **where))  # type: ignore[arg-type]
        save_reach("away", Reach(ssh=there[0].host, ssh_config=str(there[0].config), port=1, **where))  # type: ignore[arg-type]
        devices = [Device(name=n, runtime="onnx") for n in ("a", "away", "b")]
        plan = Plan(rounds=1, repeats=1, min_repeat_s=0.001, warmup_s=0.0)
        profiling = Profiling("quickstart", None, 12, 19, 0, False, plan)
        failed = profile_boards(devices, tmp_path / "lut", profiling)
        assert list(failed) == ["away"] and "'away' is not reached" in failed["away"]
        space = load_space("quickstart")
        for name in ("a", "b"):
            table = Table.read(tmp_path / "lut" / name / "table.jsonl")
            assert len(table.values()) >= 12 + 19 and (tmp_path / "lut" / name / "calibration.json").exists()
            assert sum(str(b) in table.values() for b in space.blocks) >= 11
    finally:
        for board in there:
            if board.server:
                board.stop()
