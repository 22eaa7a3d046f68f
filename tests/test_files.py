"""hwnas/files.py: results are written whole or not at all."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hwnas.errors import HwnasError
from hwnas.files import write_atomic

WRITER = """
import sys
from pathlib import Path
from hwnas.files import write_atomic
path, i = Path(sys.argv[1]), 0
while True:
    i += 1
    write_atomic(path, bytes([i % 256]) * 2_000_000)
    if i == 3: print("going", flush=True)
"""


def test_text_and_bytes_into_new_folders(tmp_path):
    assert write_atomic(tmp_path / "a" / "b.txt", "é").read_bytes() == "é".encode()
    assert write_atomic(tmp_path / "a" / "b.txt", b"\0\1").read_bytes() == b"\0\1"
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]
    assert (tmp_path / "a" / "b.txt").stat().st_mode & 0o777 == 0o644


def test_a_kill_leaves_one_whole_file(tmp_path):
    path = tmp_path / "model.onnx"
    for wait_s in (0.0, 0.003, 0.011, 0.017):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"going\n"
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = path.read_bytes()
        assert len(data) == 2_000_000 and data == data[:1] * len(data)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_is_one_line_and_overwrites_nothing(tmp_path):
    """A file-size limit of the process stands for the full disk: writing fails half way, with an OSError of the system."""
    path = tmp_path / "certificate.json"
    path.write_text("old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from hwnas import files; from hwnas.errors import HwnasError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: files.write_atomic(Path(sys.argv[1]), b'x' * 10_000)\n"
        "except HwnasError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True).stdout
    assert out.count("\n") == 1 and str(path) in out and "cannot be written" in out
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["certificate.json"]


def test_no_space_left_on_the_device(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HwnasError, match="the disk is full, nothing was overwritten"):
        write_atomic(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "below", tmp_path / "folder"):
        with pytest.raises(HwnasError, match="cannot be written"):
            write_atomic(path, "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
