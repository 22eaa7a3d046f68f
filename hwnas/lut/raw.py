"""RawTable: a table's lines as they are, with what is wrong in each; where `Table` refuses, this goes on to the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import HwnasError
from ..journal import Journal
from ..sample import Sample
from ..table import FORMAT, Table


@dataclass(frozen=True)
class RawTable:
    """header, rows that are sound with their line numbers, and line -> what is wrong with each of the others."""

    path: Path
    header: dict[str, Any]
    rows: tuple[tuple[int, dict[str, Any]], ...]
    broken: dict[int, str]
    torn_bytes: int  # of a last line without its end

    @staticmethod
    def read(path: Path) -> RawTable:
        """Raises HwnasError only for a file that cannot be read, or has no header to speak of."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise HwnasError(f"{path}: cannot be read: {error.strerror}") from None
        end = data.rfind(b"\n") + 1
        rows, broken, header = [], {}, None
        for number, text in enumerate(data[:end].split(b"\n")[:-1], 1):
            try:
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise ValueError("not a JSON object")
                if number == 1:
                    header = line
                    continue
                key, round, sitting = (line.get(name) for name in ("key", "round", "sitting"))
                if not isinstance(key, str) or type(round) is not int or type(sitting) is not int:
                    raise ValueError(f"key {key!r}, round {round!r}, sitting {sitting!r}")
                Sample.from_dict(line)
                rows.append((number, line))
            except ValueError as error:
                broken[number] = str(error) or "not JSON"
        if header is None:
            raise HwnasError(f"{path}: has no header line: is this a table?")
        return RawTable(path, header, tuple(rows), broken, len(data) - end)

    @property
    def fingerprint(self) -> dict[str, Any]:
        found = self.header.get("fingerprint")
        return found if isinstance(found, dict) else {}

    @property
    def table(self) -> Table:
        """The sound rows as a Table. Raises HwnasError for a header of another format."""
        return Table(Journal(self.path, None, [self.header, *(row for _, row in self.rows)], 0))

    @property
    def has_right_format(self) -> bool:
        return self.header.get("format") == FORMAT and isinstance(self.header.get("fingerprint"), dict)
