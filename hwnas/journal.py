"""Journal: an append-only file of JSON lines that survives a kill at any moment."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import logging
import os
from pathlib import Path
from typing import Any

from .errors import HwnasError

log = logging.getLogger(__name__)
Line = dict[str, Any]


class Journal:
    """A header and rows, one JSON object a line. A row is there, on disk, when append returns; a kill costs the row being written.

    Opening for writing takes an exclusive lock, which the system gives back however the process ends. The file itself is not
    touched before the first append, so a caller can look at the header and refuse.
    """

    def __init__(self, path: Path, file: io.FileIO | None, lines: list[Line], end: int):
        self.path, self.header, self.rows = path, lines[0], lines[1:]
        self._file = file
        self._end = end  # where the next row goes: what lies behind is a torn line

    @classmethod
    def open(cls, path: Path, header: Line) -> Journal:
        """Creates the file with this header, or opens the one that is there for more rows: its own header then counts.

        Raises HwnasError if another process writes to it, if it is no journal, if it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+")
        except OSError as error:
            raise HwnasError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise HwnasError(f"{path}: another process is writing to it: wait for it to end, or use another folder") from None
            data = file.readall()
            first = _dump(header)
            if _is_torn_header(data, first):
                journal = cls(path, file, [header], 0)
                journal._write(first)
            else:
                journal = cls(path, file, *_parse(path, data))
            return journal
        except BaseException:
            file.close()
            raise

    @classmethod
    def read(cls, path: Path) -> Journal:
        """What is in the file now; appending to it is refused. No lock: another process may be writing."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise HwnasError(f"{path}: cannot be read: {error.strerror}") from None
        return cls(path, None, *_parse(path, data))

    def append(self, row: Line) -> None:
        """Adds a row. Raises HwnasError, with the file as it was before, if the disk is full."""
        self._write(_dump(row))
        self.rows.append(row)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: bytes) -> None:
        if self._file is None:
            raise HwnasError(f"{self.path}: was opened for reading only, or is closed")
        try:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            try:
                self._file.truncate(self._end)
            except OSError:
                pass  # then the torn line stays, and whoever opens the file next drops it
            hint = "make room and run the same command again: it goes on from here" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise HwnasError(f"{self.path}: cannot be written: {error.strerror}. {hint}".strip(" .")) from None
        self._end += len(line)


def _dump(line: Line) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _is_torn_header(data: bytes, header: bytes) -> bool:
    """Whether the file is new, or its writer was killed within its first line, so that nothing is lost by starting over."""
    return b"\n" not in data and header.startswith(data[:12])


def _parse(path: Path, data: bytes) -> tuple[list[Line], int]:
    """(lines, where the last whole one ends). A last line without its end was torn by a kill: it is dropped, with a word in the log.

    A last line that is whole but for its newline (an editor took it) is torn, too: one measurement is cheaper than a doubt.
    """
    end = data.rfind(b"\n") + 1
    lines: list[Line] = []
    for number, text in enumerate(data[:end].split(b"\n")[:-1], 1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise HwnasError(
                f"{path}: line {number} is not a JSON object ({text[:40].decode('utf-8', 'replace')!r}): is this the right file?"
            )
        lines.append(line)
    if not lines:
        raise HwnasError(f"{path}: has no header line: is this the right file?")
    if end < len(data):
        log.warning("%s: dropped a torn last line (%d bytes)", path, len(data) - end)
    return lines, end
