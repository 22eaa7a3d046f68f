"""Workers: how many there are and where, as a command was told; pools are made when the first task comes."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from ..errors import HwnasError
from .local import LocalPool
from .pool import Pool, Work


class Workers:
    """`with Workers(4) as workers: workers.pool(work)`: processes here; with ray, on that cluster. Leaving ends them.

    count: how many at once; 0 = one for each core, of this machine or of the cluster. Without ray, 1 is none: the caller works itself.
    """

    def __init__(self, count: int = 0, ray: str = ""):
        if count < 0:
            raise HwnasError(f"workers = {count}: at least 1")
        self.count, self.ray = count if count or ray else cores(), ray
        self.chosen = bool(count or ray)  # somebody asked for them; else they are worth their start only for long work
        self._pools: dict[str, Pool] = {}
        self._folder: TemporaryDirectory[str] | None = None

    def __bool__(self) -> bool:
        """Whether there are any beside the caller."""
        return self.count > 1 or bool(self.ray)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def folder(self) -> Path:
        """For files that workers read; gone at the end."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="hwnas-workers-")
        return Path(self._folder.name)

    def pool(self, work: Work) -> Pool:
        """The same one for the same work: its workers have begun already. Raises HwnasError where ray cannot be reached."""
        if work.key not in self._pools:
            for other in self._pools.values():
                other.close()  # two sets of workers would share the cores; a closed one starts again when it is needed
            self._pools[work.key] = self._made(work)
        return self._pools[work.key]

    def _made(self, work: Work) -> Pool:
        if not self.ray:
            return LocalPool(work, self.count)
        from .ray_pool import RayPool  # the extra is needed only here

        return RayPool(work, self.ray, self.count)


def cores() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
