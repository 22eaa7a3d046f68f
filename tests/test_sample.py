"""hwnas/sample.py: statistics of made-up timings, and timings that cannot be."""

import json

import numpy as np
import pytest

from hwnas.sample import Sample, Summary

MS = 1_000_000
SAMPLE = Sample(wall_ns=(10 * MS, 20 * MS, 11 * MS, 12 * MS), cpu_ns=(10 * MS, 10 * MS, 11 * MS, 12 * MS), loops=10, load_s=0.5)

SUMMARISED = Sample(wall_ns=(2 * MS, 3 * MS), summaries=(Summary(50, 1.5, 4.0, 0.25), Summary(40, 2.5, 3.5, 0.0)))


def test_times_are_those_of_one_inference():
    assert SAMPLE.wall_ms.tolist() == [1.0, 2.0, 1.1, 1.2]
    assert SAMPLE.cpu_ms.tolist() == [1.0, 1.0, 1.1, 1.2]


def test_preempted_repeats_are_marked_counted_and_kept():
    assert SAMPLE.preempted.tolist() == [False, True, False, False] and SAMPLE.rejected == 1
    assert len(SAMPLE.wall_ms) == 4


def test_a_microsecond_between_the_clocks_is_not_preemption():
    assert Sample((10_000,), (9_000,)).rejected == 0 and Sample((10_000,), (7_000,)).rejected == 1


def test_the_statistic_is_p20_of_cpu_time_and_of_undisturbed_wall_time():
    assert SAMPLE.latency_ms() == SAMPLE.latency_ms("cpu") == np.percentile([1.0, 1.0, 1.1, 1.2], 20)
    assert SAMPLE.latency_ms("wall") == np.percentile([1.0, 1.1, 1.2], 20)


def test_with_every_repeat_preempted_the_wall_clock_still_answers():
    assert Sample((2 * MS, 4 * MS), (MS, MS)).latency_ms("wall") == np.percentile([2, 4], 20)


def test_without_cpu_time_there_is_the_wall_clock_only():
    sample = Sample((2 * MS,), None)
    assert sample.latency_ms() == 2 and sample.rejected == 0 and sample.cpu_ms is None
    with pytest.raises(ValueError, match="no CPU time"):
        sample.latency_ms("cpu")


@pytest.mark.parametrize("sample", [SAMPLE, Sample((5,), None), Sample.failed("out of memory"), SUMMARISED])
def test_json_and_back(sample):
    assert Sample.from_dict(json.loads(json.dumps({"key": "k", **sample.to_dict()}))) == sample


def test_a_summary_counts_the_inferences_that_are_in_its_average():
    assert SUMMARISED.inferences == 90 and SUMMARISED.wall_ms.tolist() == [2.0, 3.0] and SAMPLE.inferences == 40
    assert "summaries" not in SAMPLE.to_dict()


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({}, "wall_ns is None"),
        ({"wall_ns": []}, "wall_ns"),
        ({"wall_ns": [0]}, "positive"),
        ({"wall_ns": [-5]}, "positive"),
        ({"wall_ns": [float("nan")]}, "whole"),
        ({"wall_ns": [True]}, "whole"),
        ({"wall_ns": "fast"}, "wall_ns is fast"),
        ({"wall_ns": [1, 2], "cpu_ns": [1]}, "2 wall_ns but 1 cpu_ns"),
        ({"wall_ns": [1], "cpu_ns": [0]}, "cpu_ns"),
        ({"wall_ns": [1], "loops": 0}, "loops is 0"),
        ({"wall_ns": [1, 2], "summaries": [{"count": 1, "min_ms": 1, "max_ms": 1, "std_ms": 0}]}, "2 wall_ns but summaries"),
        ({"wall_ns": [1], "summaries": [{"count": 0, "min_ms": 1, "max_ms": 1, "std_ms": 0}]}, "count of at least 1"),
        ({"wall_ns": [1], "summaries": [{"count": 1, "min_ms": 2, "max_ms": 1, "std_ms": 0}]}, "min_ms <= max_ms"),
        ({"wall_ns": [1], "summaries": [{"count": 1, "min_ms": 1, "max_ms": float("nan"), "std_ms": 0}]}, "finite"),
        ({"wall_ns": [1], "summaries": ["fast"]}, "summaries has fast"),
    ],
)
def test_a_device_that_lies_is_not_believed(fields, reason):
    with pytest.raises(ValueError, match=reason):
        Sample.from_dict(fields)


def test_slowed_repeats_are_left_out_of_both_clocks_if_others_are_left():
    sample = Sample((2 * MS, 2 * MS, 4 * MS), (MS, 2 * MS, 4 * MS), reference_ns=(100, 110, 160), best_ns=100)
    assert (
        sample.slowed.tolist() == [False, False, True] and sample.times_ms().tolist() == [1, 2] and sample.times_ms("wall").tolist() == [2]
    )
    assert sample.against(50).slowed.all() and sample.against(50).times_ms().tolist() == [1, 2, 4], "all are: nothing is left out"
    assert sample.undisturbed_ns == 105 and sample.against(50).undisturbed_ns is None and SAMPLE.undisturbed_ns is None
    assert sample.against(50).times_ms("wall").tolist() == [2, 4], "but those that lost the core"
    assert Sample.from_dict(sample.to_dict()) == sample


@pytest.mark.parametrize(
    "told",
    [{"reference_ns": [1, 2]}, {"reference_ns": 3}, {"reference_ns": [1, 2, 0]}, {"best_ns": None}, {"best_ns": 0}, {"best_ns": 1.5}],
)
def test_looks_that_cannot_be_are_refused(told):
    with pytest.raises(ValueError, match="reference_ns"):
        Sample.from_dict({"wall_ns": [1, 1, 1], "reference_ns": [1, 2, 3], "best_ns": 1, **told})
