"""Progress: where a training run stands; Journal: its curves on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Progress:
    """One look at a run, for whoever draws a progress bar."""

    epoch: int  # counted from 1
    epochs: int
    step: int  # steps done
    steps: int
    metrics: Mapping[str, float]  # of this step
    images_per_s: float
    eta_s: float  # expected time left


Report = Callable[[Progress], None]


class Clock:
    """Images a second over the last steps, so that a slow start or a pause is forgotten."""

    def __init__(self) -> None:
        self._last, self._step_s = perf_counter(), 0.0

    def tick(self) -> float:
        """Seconds a step takes; call it once after each."""
        now = perf_counter()
        step_s, self._last = now - self._last, now
        self._step_s = step_s if not self._step_s else 0.95 * self._step_s + 0.05 * step_s
        return self._step_s


class Journal:
    """metrics.jsonl and TensorBoard event files in one folder.

    Rows hold means over `every` steps. The open window and the length of the file go into each checkpoint, so that a
    resumed run writes the rows that an unbroken one would have written.
    """

    def __init__(self, out: Path, every: int, start: int = 0, state: Mapping[str, Any] | None = None):
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        out.mkdir(parents=True, exist_ok=True)
        self.every, self.sums, self.count = every, dict(state["sums"]) if state else {}, int(state["count"]) if state else 0
        self._file = (out / "metrics.jsonl").open("ab")
        self._file.truncate(min(state["bytes"] if state else 0, self._file.tell()))  # rows after the checkpoint come again
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=start if state else None)

    def add(self, done: int, metrics: Mapping[str, float], facts: Mapping[str, float]) -> None:
        """Counts a step's metrics in; every so many steps, writes a row with their means and the facts."""
        for name, value in metrics.items():  # a metric that not every step has is a mean over those that have it
            total, times = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value, times + 1
        self.count += 1
        if self.count == self.every:
            self.write(done, {**self.means(), **facts})
            self.sums, self.count = {}, 0

    def means(self) -> dict[str, float]:
        return {name: total / times for name, (total, times) in self.sums.items()}

    def write(self, done: int, row: Mapping[str, float]) -> None:
        """One row, and one point of each curve."""
        self._file.write(json.dumps({"step": done, **row}).encode() + b"\n")
        for name, value in row.items():
            self._board.add_scalar(name, value, done)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        self._file.flush()
        return {"sums": self.sums, "count": self.count, "bytes": self._file.tell()}

    def close(self) -> None:
        self._file.close()
        self._board.close()
