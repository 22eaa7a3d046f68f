"""The timing loop: inferences one by one or in calibrated loops, each by the wall clock and by the CPU clock.

Two clocks, because wall time of anything longer than a time slice is worthless while another process wants the core,
and CPU time alone would not show that it happened. CPU time is that of the calling thread, so it means something for
single-threaded runs on the CPU only; elsewhere it is None.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calm import Calm  # type: ignore[import-not-found]  # beside this file on every device

MOST_LOOPS = 10**9  # of anything takes seconds
STRETCH_NS = 3_000_000  # between two looks at how calm the core is: shorter repeats share them


def timed(run: Callable[[], Any], loops: int, with_cpu: bool) -> tuple[int, int | None]:
    """(wall_ns, cpu_ns or None) of `loops` calls of run.

    The wall clock is the inner pair: it is the cheaper one (0.1 against 0.3-2 us a reading), and it is what a budget is about.
    """
    calls = repeat(None, loops)
    if not with_cpu:
        start = time.perf_counter_ns()
        for _ in calls:
            run()
        return time.perf_counter_ns() - start, None
    cpu_start = time.thread_time_ns()
    start = time.perf_counter_ns()
    for _ in calls:
        run()
    wall_ns = time.perf_counter_ns() - start
    cpu_ns = time.thread_time_ns() - cpu_start
    return wall_ns, max(1, cpu_ns)  # on a crowded virtual machine it can stand still for an inference, which then counts as preempted


def calibrate(time_loops: Callable[[int], tuple[int, int | None]], min_repeat_s: float) -> int:
    """The number of loops that lasts at least min_repeat_s, by the CPU clock where there is one; 1 where min_repeat_s is 0.

    A preempted try would look long enough by the wall clock and is not.
    """
    loops = 1
    while min_repeat_s > 0:
        wall_ns, cpu_ns = time_loops(loops)
        lasted_s = max(1, wall_ns if cpu_ns is None else cpu_ns) / 1e9
        if lasted_s >= min_repeat_s:
            break
        if loops > MOST_LOOPS:
            raise ValueError(f"the device's clock stands still: {loops} inferences took {lasted_s:g} s by it")
        # Aim 10 % above the target, but do not trust a first, tiny reading further than a factor of ten.
        loops = math.ceil(loops * min(10.0, max(1.2, 1.1 * min_repeat_s / lasted_s)))
    return loops


def measure(
    time_loops: Callable[[int], tuple[int, int | None]],
    plan: dict[str, Any],
    counters: Callable[[], dict[str, float]] = dict,
    calm: Calm | None = None,
) -> dict[str, Any]:
    """Times what time_loops runs, after the plan (hwnas.measure.Plan as a dict).

    Returns {"loops", "first_run_ms", "wall_ns": [...], "cpu_ns": [...] or None}: an entry for each repeat, the total of its `loops`
    inferences; with calm also "reference_ns": [...], the slower of its looks around it, and "best_ns", its best ever; and for each of
    the counters, which give totals, by how much it grew for one inference. With calm, a stretch of repeats is begun on a calm core, and
    more are timed until as many as the plan wants ended on one, both as far as patience goes. Stops early, with what it has, when
    half of time_limit_s is gone: a slow block is worth a short sample.
    """
    deadline = time.perf_counter() + plan["time_limit_s"] / 2
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # a collection inside a repeat would be billed to the block
    try:
        first_ns, _ = time_loops(1)
        warm = time.perf_counter() + plan["warmup_s"]
        while time.perf_counter() < warm:
            time_loops(1)
        loops = calibrate(time_loops, plan["min_repeat_s"])
        wall: list[int] = []
        cpu: list[int | None] = []
        looks: list[int] = []
        grown: dict[str, float] = {}
        undisturbed = total_ns = 0
        give_up = min(deadline, time.perf_counter() + plan.get("limit_s", 0.0))

        def kept() -> bool:
            """Whether the plan is, neighbours aside."""
            enough = len(wall) >= plan["repeats"] and total_ns >= plan["min_total_s"] * 1e9
            return enough and _precise(wall, cpu, plan, give_up)

        while not (more := kept()) or calm and undisturbed < plan["repeats"] and calm.patient:
            look_ns = calm.wait(plan["patience_s"]) if calm else 0
            before, stretch_ns = counters(), 0
            while True:
                wall_ns, cpu_ns = time_loops(loops)
                wall.append(wall_ns)
                cpu.append(cpu_ns)
                total_ns, stretch_ns = total_ns + wall_ns, stretch_ns + wall_ns
                if kept() or calm and stretch_ns >= STRETCH_NS or time.perf_counter() > deadline:
                    break
            after = counters()
            grown = {name: grown.get(name, 0.0) + after[name] - before[name] for name in before if name in after}
            if calm:
                look_ns = max(look_ns, calm.look())
                undisturbed += 0 if calm.is_slow(look_ns) else len(wall) - len(looks)
                looks += [look_ns] * (len(wall) - len(looks))
                calm.spent(stretch_ns / 1e9 if more else 0.0)
            if time.perf_counter() > deadline:
                break
    finally:
        if collecting:
            gc.enable()
    times = {"wall_ns": wall, "cpu_ns": None if None in cpu else cpu}
    if calm:
        times |= {"reference_ns": looks, "best_ns": calm.best_ns}
    return {"loops": loops, "first_run_ms": first_ns / 1e6, **times, **{name: total / (loops * len(wall)) for name, total in grown.items()}}


def median_interval(times: list[int]) -> tuple[int, int] | None:
    """95 % confidence interval of the median, from order statistics: no assumption on how times are distributed.

    The ranks are n/2 -+ 1.96 sqrt(n)/2 rounded outwards (Conover, Practical Nonparametric Statistics, section 3.2). None for fewer than 8
    times, where the ranks lie outside of the sample.
    """
    n, ordered = len(times), sorted(times)
    reach = 1.96 * math.sqrt(n) / 2
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach) + 1
    return (ordered[low - 1], ordered[high - 1]) if 1 <= low and high <= n else None


def _precise(wall: list[int], cpu: list[int | None], plan: dict[str, Any], give_up: float) -> bool:
    """Whether the plan's target is reached: half the interval's width as a share of the median; or its time is up."""
    target = plan.get("target", 0.0)
    if not target or time.perf_counter() > give_up:
        return True
    times = [own for own in cpu if own is not None] or wall
    interval = median_interval(times)
    return interval is not None and interval[1] - interval[0] <= 2 * target * sorted(times)[len(times) // 2]
