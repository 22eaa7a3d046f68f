"""hwnas/board/clock.py, against real work and real sleep."""

import time

import pytest

from hwnas.board import clock
from hwnas.measure import Plan, Sample


def spin(seconds):
    """Works for so long by the CPU clock."""

    def run():
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    return run


def test_cpu_time_is_work_and_wall_time_is_waiting_too():
    wall_ns, cpu_ns = clock.timed(lambda: (spin(0.01)(), time.sleep(0.02)), 2, True)
    assert wall_ns >= 60e6 and 20e6 <= cpu_ns < 30e6


def test_without_a_cpu_clock_there_is_none():
    assert clock.timed(spin(0.001), 1, False)[1] is None


@pytest.mark.parametrize("run_s", [2e-5, 1e-3, 3e-2])
def test_loops_make_a_repeat_long_enough_and_not_much_longer(run_s):
    loops = clock.calibrate(lambda n: clock.timed(spin(run_s), n, True), 0.01)
    assert loops == 1 if run_s >= 0.01 else 0.01 <= loops * run_s * 1.5 and loops * run_s < 0.03


def test_calibration_goes_by_cpu_time_when_the_core_is_shared():
    assert clock.calibrate(lambda n: (10**9, n * 10**6), 0.01) >= 10


def test_calibration_survives_a_clock_that_ticks_coarsely():
    assert clock.calibrate(lambda n: (n * 1000 // 10**6 * 10**6, None), 0.01) >= 10_000


def result(run, **plan):
    return clock.measure(lambda loops: clock.timed(run, loops, True), Plan(**plan).to_dict())


def test_the_plan_is_kept():
    fields = result(spin(0.0002), min_repeat_s=0.005, repeats=4, warmup_s=0.0)
    sample = Sample.from_dict(fields)
    assert len(sample.wall_ns) == len(sample.cpu_ns) == 4
    assert all(t >= 4e6 for t in sample.cpu_ns)
    assert 0.0002 <= sample.latency_ms() / 1e3 < 0.0003


def test_single_shots_are_as_many_and_as_long_as_asked():
    plan = Plan.single_shot(samples=100, total_s=0.2)
    fields = clock.measure(lambda loops: clock.timed(spin(0.001), loops, True), plan.to_dict())
    assert fields["loops"] == 1 and len(fields["wall_ns"]) >= 100 and sum(fields["wall_ns"]) >= 0.2e9


def test_a_slow_file_gets_fewer_repeats_but_at_least_one():
    fields = result(spin(0.05), repeats=1000, time_limit_s=0.4)
    assert 1 <= len(fields["wall_ns"]) < 10


def test_sleeping_counts_as_preempted_and_working_does_not():
    asleep = Sample.from_dict(result(lambda: time.sleep(0.001), min_repeat_s=0, repeats=20))
    assert asleep.rejected == 20
    awake = Sample.from_dict(result(spin(0.0005), min_repeat_s=0, repeats=50))
    assert awake.rejected < 40  # the rest of this machine is busy, too
