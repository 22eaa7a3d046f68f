"""LiteRT's benchmark_model: its flags, and what it prints.

It times each inference to a microsecond and prints a summary of them, never the single ones
(tensorflow/lite/tools/benchmark, xla/tsl/util/stats_calculator.h: `count=84 first=.. curr=.. min=.. max=.. avg=.. std=..`, newer
ones `p5=.. median=.. p95=..` after it, and `count=1 curr=..` where all were the same). So one invocation is one repeat: its average.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FLAGS = {"threads": "num_threads", "xnnpack": "use_xnnpack"}  # of the options in device.toml
SINGLE_SHOT_INVOCATIONS = 10  # a plan of single inferences is split into so many, so that there is something to compare


class NotUnderstood(ValueError):
    """The program ran and did not say what was expected."""


@dataclass(frozen=True)
class Invocation:
    """What one run of the program measured; times of one inference."""

    count: int
    avg_ms: float
    min_ms: float
    max_ms: float
    std_ms: float
    init_ms: float | None
    first_ms: float | None


def flags(graph: str, options: dict[str, Any], runs: int, min_s: float, warmup_s: float, max_s: float) -> list[str]:
    """The words after the program. Raises ValueError for an option that the program has no flag for."""
    chosen = {"graph": graph, "num_runs": runs, "min_secs": min_s, "max_secs": max_s, "warmup_runs": 1, "warmup_min_secs": warmup_s}
    for name, value in options.items():
        if name in FLAGS:
            chosen[FLAGS[name]] = value
        elif name not in ("pin", "dtype", "batch"):
            raise ValueError(f"option {name!r} means nothing to benchmark_model over adb; known are {', '.join(FLAGS)}, pin")
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in chosen.items()]


def complaint(printed: str) -> str:
    """The line that says what went wrong: the first error, else the last one."""
    lines = printed.strip().splitlines()
    return next((line for line in lines if "ERROR" in line), lines[-1] if lines else "it printed nothing").strip()


def parse(printed: str) -> Invocation:
    """The invocation in what the program printed. Raises NotUnderstood with its last words, or with the figure that cannot be."""
    lines = [line for line in printed.splitlines() if re.search(r"\bcount=\d+", line)]
    end = re.search(r"Inference timings in us: Init: (\S+?), First inference: (\S+?), Warmup", printed)
    if not lines or not end:
        raise NotUnderstood(complaint(printed))
    fields = dict(re.findall(r"\b(count|curr|min|max|avg|std)=([^\s(]+)", lines[-1]))  # the last: the first is the warm-up
    try:
        count, curr = int(fields["count"]), float(fields["curr"])
        low, high = float(fields.get("min", curr)), float(fields.get("max", curr))
        avg, std = float(fields.get("avg", curr)), float(fields.get("std", 0))
        init, first = float(end[1]), float(end[2])
    except (KeyError, ValueError) as error:
        raise NotUnderstood(f"{lines[-1].strip()!r}: {error}") from None
    if not (count >= 1 and 0 <= low <= avg * 1.001 and avg <= high * 1.001 and 0 < avg < 1e12 and std >= 0):
        raise NotUnderstood(f"figures that cannot be: {lines[-1].strip()!r}")
    init_ms, first_ms = (us / 1e3 if us > 0 else None for us in (init, first))
    return Invocation(count, avg / 1e3, low / 1e3, high / 1e3, std / 1e3, init_ms, first_ms)
