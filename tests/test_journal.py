"""hwnas/journal.py: what is on disk after a kill, a full disk, two writers."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import HwnasError
from hwnas.journal import Journal

HEADER = {"format": 1, "device": "a board"}
ROWS = [{"key": f"conv({i},é)", "n": i} for i in range(5)]


def write(path, rows=ROWS):
    journal = Journal.open(path, HEADER)
    for row in rows:
        journal.append(row)
    journal.close()
    return path.read_bytes()


def test_what_is_appended_is_read(tmp_path):
    write(tmp_path / "new" / "j.jsonl")
    journal = Journal.read(tmp_path / "new" / "j.jsonl")
    assert journal.header == HEADER and journal.rows == ROWS


def test_a_row_is_in_the_file_when_append_returns(tmp_path):
    journal = Journal.open(tmp_path / "j.jsonl", HEADER)
    for i, row in enumerate(ROWS):
        journal.append(row)
        assert Journal.read(tmp_path / "j.jsonl").rows == ROWS[: i + 1]


@given(cut=st.integers(0, 10_000))
def test_torn_anywhere_it_goes_on_with_the_whole_rows(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "j.jsonl"
    data = write(path)
    torn = data[: cut % len(data)]
    path.write_bytes(torn)
    journal = Journal.open(path, HEADER)
    whole = max(torn.count(b"\n") - 1, 0)
    assert journal.rows == ROWS[:whole]
    for row in ROWS[whole:]:
        journal.append(row)
    journal.close()
    assert path.read_bytes() == data


def test_a_torn_line_is_logged_once(tmp_path, caplog):
    path = tmp_path / "j.jsonl"
    path.write_bytes(write(path) + b'{"key":')
    Journal.read(path)
    assert [record.getMessage() for record in caplog.records] == [f"{path}: dropped a torn last line (7 bytes)"]


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"key,ms\nconv,1.5\n", "line 1 is not a JSON object .'key,ms'"),
        (b"notes", "no header line"),
        (b'{"format": 1}', "no header line"),
        (b'{"format":2,"device":"a board"}', "no header line"),
        (b'{"format":9}\n[1, 2]\n', "line 2 is not"),
        (b"\xff\xfe\x00\n", "line 1 is not"),
    ],
)
def test_what_is_no_journal_is_refused_and_left_alone(tmp_path, data, reason):
    path = tmp_path / "j.jsonl"
    path.write_bytes(data)
    for access in (lambda: Journal.open(path, HEADER), lambda: Journal.read(path)):
        with pytest.raises(HwnasError, match=reason):
            access()
    assert path.read_bytes() == data


def test_opening_alone_changes_nothing(tmp_path):
    path = tmp_path / "j.jsonl"
    data = write(path)[:-3]
    path.write_bytes(data)
    Journal.open(path, HEADER).close()
    assert path.read_bytes() == data


def test_two_writers_are_refused_and_the_lock_dies_with_its_holder(tmp_path):
    path = tmp_path / "j.jsonl"
    code = "import pathlib, sys; from hwnas.journal import Journal; j = Journal.open(pathlib.Path(sys.argv[1]), {'format': 1})"
    code += "; print(1, flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "1\n"
    with pytest.raises(HwnasError, match="another process is writing to it"):
        Journal.open(path, HEADER)
    assert Journal.read(path).rows == []
    holder.kill()
    holder.communicate()
    journal = Journal.open(path, HEADER)
    with pytest.raises(HwnasError, match="another process"):
        Journal.open(path, HEADER)
    journal.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 32 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_one_line_and_the_file_stays_whole(small_disk):
    journal = Journal.open(small_disk / "j.jsonl", HEADER)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 20_000)
    written = 0
    with pytest.raises(HwnasError, match="No space left.*run the same command again"):
        for i in range(100):
            journal.append({"n": i, "text": "x" * 900})
            written += 1
    assert [row["n"] for row in Journal.read(journal.path).rows] == list(range(written)) and written > 0
    filler.unlink()
    journal.append({"n": written})
    journal.close()
    assert [row["n"] for row in Journal.read(journal.path).rows] == list(range(written + 1))


def test_a_full_disk_at_the_header_is_one_line(small_disk):
    (small_disk / "filler").write_bytes(b"x" * 32_768)
    with pytest.raises(HwnasError, match="No space left"):
        Journal.open(small_disk / "j.jsonl", HEADER)


def test_a_write_error_of_the_system_is_one_line():
    """/dev/full is full wherever there is one; no mounting."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    from io import FileIO
    from pathlib import Path

    journal = Journal(Path("table"), FileIO("/dev/full", "r+"), [HEADER], 0)
    journal._file.truncate = lambda end: None  # a device has no length
    with pytest.raises(HwnasError, match="table: cannot be written: No space left"):
        journal.append({"n": 1})


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HwnasError, match="cannot be written"):
        Journal.open(tmp_path / "file" / "j.jsonl", HEADER)
    with pytest.raises(HwnasError, match="cannot be read"):
        Journal.read(tmp_path / "none")
    journal = Journal.open(tmp_path / "j.jsonl", HEADER)
    journal.close()
    with pytest.raises(HwnasError, match="reading only, or is closed"):
        journal.append({})
