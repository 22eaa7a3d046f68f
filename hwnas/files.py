"""Results are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from .errors import HwnasError


def write_atomic(path: Path, data: str | bytes) -> Path:
    """Writes a temporary file beside path, syncs it, and renames it over path: a kill leaves the old file or the new.

    Raises HwnasError when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise HwnasError(f"{path}: the disk is full, nothing was overwritten: free some space and run again") from error
        raise HwnasError(f"{path}: cannot be written: {error.strerror}") from error
    return path
