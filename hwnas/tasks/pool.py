"""Pool: workers that turn jobs into results."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import HwnasError

MAX_DEATHS = 3  # of workers in one task: then it is the task that kills them

Tell = Callable[[Any], None]  # what a task says on its way, JSON; may be lost, the latest counts
Do = Callable[[Any, Tell], Any]  # a job, and whom to tell -> its result; both JSON


@dataclass(frozen=True)
class Work:
    """What workers do. `make` is the `module:function` that each worker calls once, as `function(setup, files)`, to get its `Do`.

    Everything is JSON, so that a worker is another process as well as another machine; files (name -> path) are what is too large
    for that: a worker on another machine gets copies. A task must depend on its job alone, then results depend on no worker.
    """

    make: str
    setup: Mapping[str, Any]
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Equal for equal work."""
        return json.dumps([self.make, self.setup, {k: str(p) for k, p in self.files.items()}], sort_keys=True)

    def begin(self) -> Do:
        """In a worker: makes what does the jobs."""
        module, _, name = self.make.partition(":")
        do: Do = getattr(importlib.import_module(module), name)(self.setup, self.files)
        return do


class Pool(Protocol):
    """Local processes, or a Ray cluster."""

    def run(self, jobs: Sequence[Any], told: Callable[[int, Any], None] | None = None) -> Iterator[tuple[int, Any]]:
        """(number of the job, its result), in the order in which they are done. told: (number, what the task said on its way).

        A task whose worker dies is run again, by another one. Raises HwnasError that names the task when it fails, or when
        MAX_DEATHS workers have died of it; the others are given up then.
        """
        ...

    def close(self) -> None:
        """Ends the workers."""
        ...


def failed(number: int, job: Any, reason: str) -> HwnasError:
    return HwnasError(f"task {number} ({json.dumps(job)[:200]}): {reason}")


def deadly(number: int, job: Any, last: str) -> HwnasError:
    return failed(number, job, f"{MAX_DEATHS} workers died of it, the last one: {last}")
