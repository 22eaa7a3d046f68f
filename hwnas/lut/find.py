"""table_path: the table that somebody means by a name."""

from __future__ import annotations

from pathlib import Path

from ..device import BUILT_IN
from ..errors import HwnasError, did_you_mean
from ..shipped import device_names, table_folder


def table_path(name: str, lut_dir: Path) -> Path:
    """The table behind a device's name, a folder or a file. Raises HwnasError when there is none."""
    for folder in (table_folder(lut_dir, name), Path(name)):
        if (folder / "table.jsonl").is_file():
            return folder / "table.jsonl"
    if Path(name).is_file():
        return Path(name)
    if name in BUILT_IN or (lut_dir / name).is_dir():
        raise HwnasError(f"device {name!r}: no table at {lut_dir / name / 'table.jsonl'}: run `hwnas profile {name} --space SPACE`")
    known = [n for n, folder in device_names(lut_dir).items() if (folder / "table.jsonl").exists()]
    raise did_you_mean("device", name, known, "Or give the path of a table, or of the folder that holds it.")
