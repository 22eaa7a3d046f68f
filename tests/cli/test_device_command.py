"""`hwnas device`, as a user types it: another interpreter, a real ssh server, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.errors import HwnasError

sys.path.insert(0, str(Path(__file__).parent.parent / "transports"))
import sshd


@pytest.fixture
def hwnas(tmp_path, monkeypatch):
    """`hwnas WORDS` in a folder and with a configuration of the test's own: what it prints, or the HwnasError it ends with."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)

    def run(*words):
        done = CliRunner().invoke(app, [*map(str, words)])
        if done.exception and not isinstance(done.exception, HwnasError):
            raise done.exception
        return done

    return run


def test_another_interpreter_is_added_used_listed_and_removed(hwnas, tmp_path):
    python = tmp_path / "my python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    added = hwnas("device", "add", "mine", "--python", "./my python", "--runtime", "onnx", "--seconds", 1)
    assert added.exception is None
    for text in ("Python 3", "governor", "temperature", "onnxruntime", "sentinel block", " over 1.", "next: hwnas profile mine"):
        assert text in added.output
    assert str(tmp_path) not in (tmp_path / "lut/mine/device.toml").read_text()
    assert f'python = "{python}"' in (tmp_path / "config/hwnas/devices.toml").read_text()
    rows = {row["device"]: row for row in json.loads(hwnas("devices", "--json").output)["devices"]}
    assert rows["mine"]["reached_by"] == str(python) and rows["onnx-cpu"]["reached_by"] == "this machine"
    python.unlink()
    assert re.search("cannot start .*my python", str(hwnas("device", "probe", "mine").exception))
    assert hwnas("device", "remove", "mine").exception is None
    assert "unknown device" in str(hwnas("device", "remove", "mine").exception)


@pytest.mark.slow
@sshd.needs_sshd
def test_a_board_over_ssh_is_added_and_profiled(hwnas, tmp_path):
    board = sshd.make_board(tmp_path / "board", sshd.BANNER)
    board.start()
    try:
        where = ("--ssh", board.host, "--ssh-config", board.config, "--python", sys.executable)
        added = hwnas("device", "add", "pi", *where, "--runtime", "tflite", "--seconds", 1, "--json")
        assert added.exception is None
        found = json.loads(added.output)
        assert found["reached_by"].startswith("ssh board") and found["sentinel_ms"] > 0 and found["seconds"] >= 1
        profiled = hwnas("profile", "pi", "--space", "quickstart", "--blocks", 12, "--networks", 19, "--rounds", 1)
        assert profiled.exception is None
        assert (
            len([name for name in board.sent() if name.endswith(".tflite")]) >= 12 + 19 and (tmp_path / "lut/pi/calibration.json").exists()
        )
    finally:
        board.stop()


@sshd.needs_sshd
def test_a_board_without_the_runtime_gets_the_line_that_installs_it(hwnas, tmp_path):
    board = sshd.make_board(tmp_path / "board")
    board.start()
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    where = ("--ssh", board.host, "--ssh-config", board.config, "--python", bare / "bin/python", "--runtime", "onnx")
    try:
        said = str(hwnas("device", "add", "pi", *where).exception)
        assert "No module named 'numpy'" in said
        assert "-m venv" in said and "venv-pi/bin/python -m pip install numpy onnxruntime" in said
        assert not (tmp_path / "lut").exists() and not (tmp_path / "config").exists()
    finally:
        board.stop()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pi", "--ssh", "-oProxyCommand=x", "--runtime", "onnx"], ["ssh = '-oProxyCommand=x'", "begins with a letter"]),
        (["pi", "--adb", "-x", "--benchmark", "b"], ["adb = '-x'"]),
        (["pi", "--adb", "X"], ["adb and benchmark belong together"]),
        (["pi", "--ssh", "pi@host"], ["--runtime is missing", "onnx"]),
        (["pi", "--ssh", "pi@host", "--runtime", "onx"], ["unknown profiler 'onx'", "did you mean 'onnx'"]),
        (["pi", "--runtime", "onnx", "--port", "7"], ["port belongs to ssh"]),
        (["../pi", "--runtime", "onnx"], ["name = '../pi'"]),
        (["pi", "--runtime", "onnx", "--pin", "first"], ["pin = 'first'"]),
        (["pi", "--runtime", "onnx", "--option", "xnnpack"], ["--option 'xnnpack'", "NAME=VALUE"]),
        (["pi", "--runtime", "tflite", "--option", "xnpack=true"], ["option of device 'pi' 'xnpack'", "did you mean 'xnnpack'"]),
        (["onnx-cpu", "--ssh", "pi@host", "--runtime", "onnx"], ["built-in"]),
        (["pi", "--adb", "X", "--benchmark", "b", "--runtime", "onnx"], [".tflite"]),
        (["pi", "--ssh", "pi@host", "--identity", "/no/key", "--runtime", "onnx"], ["there is no file /no/key"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_write_nothing(hwnas, tmp_path, words, said):
    error = str(hwnas("device", "add", *words).exception)
    assert "\n" not in error
    for text in said:
        assert text in error
    assert not (tmp_path / "lut").exists() and not (tmp_path / "config").exists()
