"""BySpace: a JSON file beside a table that holds something for each space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import HwnasError
from ..files import write_atomic


class OlderFormat(HwnasError):
    """The file was made by an older hwnas, in a format that this one does not read."""


class BySpace(NamedTuple):
    """What such a file is called, and how it is come by: {"format": ..., "spaces": {space hash: fields}}."""

    what: str  # "a trust report"
    format: int
    way_out: str  # "profile again": an older format gives way to what that writes

    def read(self, path: Path) -> dict[str, Any]:
        """Space hash -> fields; {} where there is no file. Raises HwnasError for one that is none, OlderFormat for an older one."""
        if not path.exists():
            return {}
        try:
            data = json.loads(path.read_text())
            version, spaces = data["format"], dict(data["spaces"])
        except (KeyError, TypeError, ValueError) as error:
            raise HwnasError(f"{path}: not {self.what} ({type(error).__name__}: {error}): delete it and {self.way_out}") from None
        if isinstance(version, int) and version < self.format:
            raise OlderFormat(f"{path}: made by an older hwnas (format {version}, now {self.format}): {self.way_out}")
        if version != self.format:
            raise HwnasError(f"{path}: format {version}, this hwnas reads format {self.format}: delete it and {self.way_out}")
        for fields in spaces.values():
            if not isinstance(fields, dict):
                raise self.damaged(path, TypeError(f"{str(fields)[:40]!r} stands for a space"))
        return spaces

    def write(self, path: Path, spaces: Mapping[str, Any]) -> None:
        """Atomically, what `read` reads."""
        write_atomic(path, json.dumps({"format": self.format, "spaces": spaces}, indent=1) + "\n")

    def add(self, path: Path, space_hash: str, fields: Mapping[str, Any]) -> None:
        """Writes the fields of one space; those of other spaces stay, but for an older hwnas's, which none can use.

        Raises HwnasError, and overwrites nothing, where the file is another thing.
        """
        try:
            others = self.read(path)
        except OlderFormat:
            others = {}
        self.write(path, {**others, space_hash: fields})

    def fields(self, path: Path, space_hash: str) -> Any:
        """Those of one space, or None. Raises as `read`."""
        return self.read(path).get(space_hash)

    def damaged(self, path: Path, error: Exception) -> HwnasError:
        """What to raise for fields that cannot be read."""
        return HwnasError(f"{path}: damaged ({type(error).__name__}: {error}): delete it and {self.way_out}")

    def digests(self, path: Path) -> dict[str, str]:
        """Space hash -> the fingerprint of the table that its fields were made with. Raises as `read`."""
        return {space: str(fields.get("table_fingerprint")) for space, fields in self.read(path).items()}
