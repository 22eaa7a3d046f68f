"""Sample: the raw timings of one file in one round, or the reason why there are none."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import isfinite
from statistics import median
from typing import Any, Literal

import numpy as np

from .board.calm import Calm

Clock = Literal["auto", "cpu", "wall"]

# A repeat is preempted where wall time exceeds CPU time by more than 5 % and 2 us. Undisturbed, the two clocks differ by
# -0.3 +- 0.1 us here (CPU time is the outer pair); a disturbance costs 2 us at the least, the switch to a thread and back.
PREEMPTED_SHARE, PREEMPTED_NS = 0.05, 2000
SLOWED = Calm.slowed  # times the best of the fixed computation: above it somebody else slows the core
EXTRA = ("load_s", "first_run_ms", "peak_rss_bytes", "energy_mj", "instructions")  # fields that a device may tell


@dataclass(frozen=True)
class Summary:
    """What a program that keeps its single timings to itself said of one repeat; times of one inference."""

    count: int
    min_ms: float
    max_ms: float
    std_ms: float

    @staticmethod
    def from_dict(fields: Any) -> Summary:
        """Raises ValueError for figures that cannot be."""
        names = ("count", "min_ms", "max_ms", "std_ms")
        figures: list[Any] = [fields.get(name) for name in names] if isinstance(fields, dict) else [None]
        if not all(type(f) in (int, float) and 0 <= f < float("inf") for f in figures):
            raise ValueError(f"summaries has {str(fields)[:60]}: expected {', '.join(names)}, finite and not negative")
        count, low, high, std = figures
        if type(count) is not int or count < 1 or low > high:
            raise ValueError(f"summaries has {str(fields)[:60]}: expected a whole count of at least 1 and min_ms <= max_ms")
        return Summary(count, low, high, std)


@dataclass(frozen=True)
class Sample:
    """Nothing is dropped here: preempted and slowed repeats stay, marked. Statistics are derived, per inference, in ms.

    Where the device tells summaries only (`summaries` is not None), a repeat is one invocation of its program: wall_ns is the
    average of its `count` inferences, and the single ones are not known.
    """

    wall_ns: tuple[int, ...] = ()  # of each repeat: `loops` inferences
    cpu_ns: tuple[int, ...] | None = None  # CPU time of the thread; None where it means nothing (several threads, GPU)
    loops: int = 1
    reference_ns: tuple[int, ...] | None = None  # of each repeat: a fixed computation's time around it (hwnas/board/calm.py)
    best_ns: int | None = None  # and its best ever, as far as was known then
    load_s: float | None = None  # reading and preparing the file, where no cache helped
    first_run_ms: float | None = None
    peak_rss_bytes: int | None = None  # resident memory of the whole worker process, at its peak while this file was in it
    energy_mj: float | None = None  # of one inference: what the processor package or the GPU drew meanwhile, its idle draw included
    instructions: float | None = None  # of one inference, in user mode
    conditions: dict[str, float] | None = None  # load average, temperature, frequency when it was done
    error: str | None = None
    summaries: tuple[Summary, ...] | None = None  # one for each repeat; None where every single timing is here

    @staticmethod
    def failed(reason: str) -> Sample:
        return Sample(error=reason)

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Sample:
        """The sample in a worker's answer or a table's row; other keys are ignored. Raises ValueError for timings that cannot be."""
        if fields.get("error") is not None:
            return Sample(error=str(fields["error"]))
        wall, cpu, loops = fields.get("wall_ns"), fields.get("cpu_ns"), fields.get("loops", 1)
        for name, times in (("wall_ns", wall), ("cpu_ns", cpu)):
            if name == "cpu_ns" and times is None:
                continue
            if not isinstance(times, list) or not times or not all(type(t) is int and t > 0 for t in times):
                raise ValueError(f"{name} is {str(times)[:60]}: expected positive whole numbers")
        if cpu is not None and len(cpu) != len(wall):  # type: ignore[arg-type]
            raise ValueError(f"{len(wall)} wall_ns but {len(cpu)} cpu_ns")  # type: ignore[arg-type]
        if type(loops) is not int or loops < 1:
            raise ValueError(f"loops is {loops!r}: expected a whole number >= 1")
        rest: dict[str, Any] = {name: fields.get(name) for name in (*EXTRA, "conditions")}
        if (reference_ns := fields.get("reference_ns")) is not None:
            best_ns = fields.get("best_ns")
            if not isinstance(reference_ns, list) or len(reference_ns) != len(wall):  # type: ignore[arg-type]
                raise ValueError(f"{len(wall)} wall_ns but reference_ns is {str(reference_ns)[:60]}")  # type: ignore[arg-type]
            if not all(type(t) is int and t > 0 for t in (*reference_ns, best_ns)):
                raise ValueError(f"reference_ns is {str(reference_ns)[:60]}, best_ns {best_ns!r}: expected positive whole numbers")
            rest |= {"reference_ns": tuple(reference_ns), "best_ns": best_ns}
        for name in EXTRA:
            value = fields.get(name)
            if value is not None and not (type(value) in (int, float) and isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value!r}: expected a number that is not negative")
        conditions = fields.get("conditions")
        if conditions is not None and not (
            isinstance(conditions, dict) and all(type(v) in (int, float) and isfinite(v) for v in conditions.values())
        ):
            raise ValueError(f"conditions is {str(conditions)[:60]}: expected numbers by name")
        summaries = fields.get("summaries")
        if summaries is not None:
            if not isinstance(summaries, list) or len(summaries) != len(wall):  # type: ignore[arg-type]
                raise ValueError(f"{len(wall)} wall_ns but summaries is {str(summaries)[:60]}")  # type: ignore[arg-type]
            rest["summaries"] = tuple(Summary.from_dict(summary) for summary in summaries)
        return Sample(tuple(wall), None if cpu is None else tuple(cpu), loops, **rest)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """What from_dict reads: the reason alone, or everything else that the device told."""
        if self.error is not None:
            return {"error": self.error}
        optional = (*EXTRA, "reference_ns", "best_ns", "conditions", "error", "summaries")
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if not (k in optional and v is None)}

    @property
    def inferences(self) -> int:
        """How many were timed."""
        return sum(s.count for s in self.summaries) if self.summaries else self.loops * len(self.wall_ns)

    @property
    def wall_ms(self) -> np.ndarray:
        """(repeats,) wall time of one inference."""
        return np.array(self.wall_ns) / (self.loops * 1e6)

    @property
    def cpu_ms(self) -> np.ndarray | None:
        """(repeats,) CPU time of one inference, or None."""
        return None if self.cpu_ns is None else np.array(self.cpu_ns) / (self.loops * 1e6)

    @property
    def preempted(self) -> np.ndarray:
        """(repeats,) bool: where something else had the core for a while. All False without a CPU clock, which alone could tell."""
        if self.cpu_ns is None:
            return np.zeros(len(self.wall_ns), bool)
        wall = np.array(self.wall_ns)
        return wall - np.array(self.cpu_ns) > PREEMPTED_SHARE * wall + PREEMPTED_NS

    @property
    def rejected(self) -> int:
        """How many repeats were preempted."""
        return int(self.preempted.sum())

    @property
    def slowed(self) -> np.ndarray:
        """(repeats,) bool: where somebody else slowed the core, which CPU time does not show. All False where the device does not tell."""
        if self.reference_ns is None or self.best_ns is None:
            return np.zeros(len(self.wall_ns), bool)
        return np.array(self.reference_ns) > SLOWED * self.best_ns

    @property
    def slowed_throughout(self) -> bool:
        """Whether every repeat was slowed."""
        return self.reference_ns is not None and self.best_ns is not None and min(self.reference_ns) > SLOWED * self.best_ns

    @property
    def calm(self) -> Sample:
        """Its repeats that nobody slowed; empty where every one was, see `slowed_throughout`."""
        fields: dict[str, Any] = asdict(self)
        for name in ("wall_ns", "cpu_ns", "reference_ns", "summaries"):
            if (told := getattr(self, name)) is not None:
                fields[name] = tuple(each for each, slowed in zip(told, self.slowed) if not slowed)
        return Sample(**fields)

    @property
    def undisturbed_ns(self) -> float | None:
        """The fixed computation's median time around repeats that nobody slowed, so how fast the core itself was; None without any."""
        if self.reference_ns is None or self.best_ns is None or self.slowed_throughout:
            return None
        return float(median(t for t in self.reference_ns if t <= SLOWED * self.best_ns))

    def against(self, best_ns: int | None) -> Sample:
        """The same held against the best that is known now."""
        return self if self.best_ns is None or best_ns in (None, self.best_ns) else replace(self, best_ns=best_ns)

    def times_ms(self, clock: Clock = "auto") -> np.ndarray:
        """(at most repeats,) by one clock, without the slowed ones if any others are left.

        "auto" is CPU time where there is one; "wall" leaves preempted repeats out, too, if any others are left.
        """
        if clock == "cpu" and self.cpu_ms is None:
            raise ValueError("this sample has no CPU time: use the wall clock")
        if clock != "wall" and self.cpu_ms is not None:
            times, kept = self.cpu_ms, ~self.slowed
        else:
            times, kept = self.wall_ms, ~(self.slowed | self.preempted)
            kept = kept if kept.any() else ~self.preempted
        return times[kept] if kept.any() else times

    def latency_ms(self, clock: Clock = "auto") -> float:
        """The 20th percentile of the repeats: steadier than the median for eager torch, equal to it for the others; never the mean."""
        return float(np.percentile(self.times_ms(clock), 20))
