"""What hwnas is extended with: profilers, spaces, data sets and training algorithms, all found through one door.

A name is looked up among the installed entry points of a group (hwnas registers its own there, too); for everything but
profilers `path/to/file.py:function` works as well. Listing imports nothing; a plugin is imported when it is used.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any
from zlib import crc32

from .errors import HwnasError, did_you_mean

PROFILERS, SPACES, DATA, ALGORITHMS = "hwnas.profilers", "hwnas.spaces", "hwnas.data", "hwnas.algorithms"


def installed(group: str) -> dict[str, EntryPoint]:
    """Name -> entry point of all that is installed for a group, in order of name. Two of one name are an HwnasError."""
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        if point.name in found and found[point.name].value != point.value:
            raise HwnasError(f"{group}: {point.name!r} is provided twice, by {found[point.name].value} and {point.value}: uninstall one")
        found[point.name] = point
    return found


def load(group: str, name: str) -> Any:
    """The object behind a name, or behind `file.py:function`.

    Raises HwnasError for an unknown name, a file or function that is not there, a plugin that fails to import.
    """
    what = group.removeprefix("hwnas.").rstrip("s")
    if ".py:" in name:
        return _from_file(what, name)
    known = installed(group)
    if name not in known:
        raise did_you_mean(what, name, known, f"A {what} of your own: file.py:function." if group != PROFILERS else "")
    try:
        return known[name].load()
    except (ImportError, AttributeError) as error:
        raise HwnasError(f"{what} {name!r} cannot be imported: {error}") from error


def _from_file(what: str, name: str) -> Any:
    file, _, function = name.rpartition(":")
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise HwnasError(f"{what} {name!r}: there is no file {path}")
    module_name = f"hwnas_user_{path.stem}_{crc32(str(path).encode()):08x}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise HwnasError(f"{what} {name!r}: {path.name} fails with {type(error).__name__}: {error}") from error
    found = getattr(sys.modules[module_name], function, None)
    if not callable(found):
        functions = [k for k, v in vars(sys.modules[module_name]).items() if callable(v) and not k.startswith("_")]
        raise did_you_mean(f"function in {path.name}", function, functions)
    return found
