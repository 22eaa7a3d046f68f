"""hwnas/board/clock.py, against real work and real sleep."""

import time

import pytest
from scipy.stats import binom

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


def test_a_cpu_clock_that_stood_still_is_a_preempted_repeat(monkeypatch):
    monkeypatch.setattr(time, "thread_time_ns", lambda: 5)
    wall_ns, cpu_ns = clock.timed(lambda: time.sleep(0.001), 1, True)
    assert cpu_ns == 1 and Sample(loops=1, wall_ns=(wall_ns,), cpu_ns=(cpu_ns,)).rejected == 1


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


@pytest.mark.parametrize("n, low, high", [(8, 1, 8), (10, 1, 10), (20, 5, 16), (100, 40, 61)])
def test_the_median_s_interval_is_between_the_ranks_of_conover(n, low, high):
    assert clock.median_interval(list(range(n, 0, -1))) == (low, high)


def test_a_few_times_have_no_interval():
    assert clock.median_interval(list(range(7))) is None


@pytest.mark.parametrize("n", [8, 9, 15, 40, 200])
def test_it_covers_the_true_median_in_95_of_100_samples(n):
    ranks = clock.median_interval(list(range(1, n + 1)))
    outside = binom.cdf(ranks[0] - 1, n, 0.5) + binom.sf(ranks[1] - 1, n, 0.5)
    assert outside <= 0.05


def script(*times_us):
    """A clock that tells these times, the last one for ever, and takes none."""
    left = list(times_us)
    return lambda loops: ((left.pop(0) if len(left) > 1 else left[0]) * 1000, None)


def repeats(times, **plan):
    return len(clock.measure(script(*times), Plan(min_repeat_s=0.0, warmup_s=0.0, **plan).to_dict())["wall_ns"])


def test_repeats_go_on_until_the_interval_is_narrow():
    assert repeats([100], repeats=3) == 3
    assert repeats([100], repeats=3, target=0.01) == 8  # fewer have no interval
    wide = [100, *[90, 110] * 10, 100]  # the first two calls are the first run and the calibration, which does not look
    assert repeats(wide, repeats=3, target=0.11) == 8 and 20 < repeats(wide, repeats=3, target=0.01) < 200


def test_but_no_longer_than_their_time():
    started = time.perf_counter()
    noisy = iter([50_000, 150_000] * 100_000)
    plan = Plan(min_repeat_s=0.0, warmup_s=0.0, target=0.001, limit_s=0.2)
    fields = clock.measure(lambda loops: (time.sleep(0.001), (next(noisy), None))[1], plan.to_dict())
    assert len(fields["wall_ns"]) > 8 and 0.2 <= time.perf_counter() - started < 5


def test_counters_are_divided_by_inferences():
    ticks = iter([100.0, 700.0])
    plan = Plan(min_repeat_s=0.0, repeats=3, warmup_s=0.0).to_dict()
    assert clock.measure(script(100), plan, lambda: {"energy_mj": next(ticks)})["energy_mj"] == 200.0
