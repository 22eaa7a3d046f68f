"""hwnas/budget.py, hwnas/cost/metrics.py: budgets as a person writes them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.budget import Budget, Limit, Price
from hwnas.cost import METRICS
from hwnas.errors import HwnasError


@pytest.mark.parametrize(
    "text, limit",
    [
        ("latency=2ms", Limit("latency", 2.0)),
        ("latency=1500us", Limit("latency", 1.5)),
        ("latency = 0.5 s", Limit("latency", 500.0)),
        ("memory=4MB", Limit("memory", 4e6)),
        ("size=96kB", Limit("size", 96e3)),
        ("size=1e3B", Limit("size", 1e3)),
        ("macs=30M", Limit("macs", 30e6)),
        ("params=88000", Limit("params", 88000.0)),
        ("latency=30%", Limit("latency", 0.3, relative=True)),
        ("latency=0%", Limit("latency", 0.0, relative=True)),
        ("latency_p95=2ms", Limit("latency_p95", 2.0)),
        ("load=30ms", Limit("load", 30.0)),
        ("latency=2ms@90%", Limit("latency", 2.0, confidence=0.9)),
        ("energy=3mJ @ 99.5%", Limit("energy", 3.0, confidence=0.995)),
        ("latency=2ms~0.5%per10%", Limit("latency", 2.0, price=Price(0.005, 0.1))),
        ("size=30%~1% per 5%", Limit("size", 0.3, relative=True, price=Price(0.01, 0.05))),
        ("latency=40%@80%~2%per100%", Limit("latency", 0.4, relative=True, confidence=0.8, price=Price(0.02, 1.0))),
    ],
)
def test_one_limit(text, limit):
    (budget,) = Budget.parse(f"onnx-cpu:{text}")
    assert budget.device == "onnx-cpu" and budget.limits == (limit,) and " " not in budget.name


def test_text_says_what_is_unusual():
    (budget,) = Budget.parse("d:latency=2ms@90%~0.5%per10%,latency_p95=50%,size=1MB~1%per10%")
    assert budget.text == "latency <= 2 ms @90% ~0.5%per10%, latency_p95 <= 50%, size <= 1 MB ~1%per10%"
    assert budget.confidences == {"latency_ms": 0.9, "latency_p95_ms": 0.95} and "/" not in budget.name
    (again,) = Budget.parse("d:" + budget.text.replace(" <= ", "=").replace(", ", ","))
    assert again.limits == budget.limits


def test_several_limits_and_a_list():
    budgets = Budget.parse("onnx-cpu:latency=1ms|2ms|30%,memory=4MB")
    assert [b.limits[0].value for b in budgets] == [1.0, 2.0, 0.3] and {b.limits[1] for b in budgets} == {Limit("memory", 4e6)}
    assert [b.name for b in budgets] == [f"latency={v},memory=4MB" for v in ("1ms", "2ms", "30%")]
    assert budgets[0].text == "latency <= 1 ms, memory <= 4 MB" and budgets[2].text == "latency <= 30%, memory <= 4 MB"
    assert [b.name for b in Budget.parse("d:latency=1ms|2ms,size=1MB|2MB")] == [f"latency={a}ms,size={b}MB" for a in (1, 2) for b in (1, 2)]


@pytest.mark.parametrize(
    "text, reason",
    [
        ("onnx-cpu", "expected DEVICE:metric=value"),
        (":latency=2ms", "expected DEVICE:metric=value"),
        ("onnx-cpu:", "expected DEVICE:metric=value"),
        ("onnx-cpu:latncy=2ms", "did you mean 'latency'?"),
        ("onnx-cpu:latency", "no value"),
        ("onnx-cpu:latency=2", "no unit: write it as 2us or 2ms or 2s, or as 30% of the reachable range"),
        ("onnx-cpu:latency=2MB", "unknown unit 'MB'"),
        ("onnx-cpu:memory=4mb", "unknown unit 'mb'"),
        ("onnx-cpu:latency=-2ms", "not above zero"),
        ("onnx-cpu:latency=0ms", "not above zero"),
        ("onnx-cpu:latency=-5%", "not above zero"),
        ("onnx-cpu:latency=101%", "above 100 %"),
        ("onnx-cpu:latency=1.2.3ms", "is not a number"),
        ("onnx-cpu:latency=fast", "is not a value"),
        ("onnx-cpu:latency=nan", "is not a value"),
        ("onnx-cpu:latency=1ms|", "is not a value"),
        ("onnx-cpu:latency=2ms,latency=3ms", "latency is given twice"),
        ("onnx-cpu:latency=2ms,", "unknown metric"),
        ("onnx-cpu:latency=2ms@", "no probability from 50% to 99.9%"),
        ("onnx-cpu:latency=2ms@90", "no probability"),
        ("onnx-cpu:latency=2ms@100%", "no probability"),
        ("onnx-cpu:latency=2ms@1.2.3%", "no probability"),
        ("onnx-cpu:size=2MB@90%", "counted, not measured"),
        ("onnx-cpu:latency=2ms~", "is no price"),
        ("onnx-cpu:latency=2ms~0.5%", "0.5 % of accuracy for each 10 % over"),
        ("onnx-cpu:latency=2ms~0%per10%", "is no price"),
        ("onnx-cpu:latency=2ms~1.1.1%per10%", "is no price"),
        ("onnx-cpu:latency=2ms~1%per10%@90%", "2ms@90%~0.5%per10%"),
    ],
)
def test_a_budget_that_is_none(text, reason):
    with pytest.raises(HwnasError) as error:
        Budget.parse(text)
    assert reason in str(error.value) and text in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "metric, value, text",
    [
        ("latency", 1.2344, "1.23 ms"),
        ("latency", 0.0123, "12.3 us"),
        ("latency", 2500, "2.5 s"),
        ("latency", 0.99996, "1000 us"),
        ("memory", 96_000, "96 kB"),
        ("memory", 0, "0 B"),
        ("macs", 22_300_000, "22.3 M"),
        ("params", 3, "3"),
        ("macs", 5e12, "5000 G"),
    ],
)
def test_values_as_text(metric, value, text):
    assert METRICS[metric].text(value) == text


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(METRICS)), st.floats(1e-4, 1e12) | st.integers(1, 10**9))
def test_text_above_is_a_budget_that_the_value_keeps(metric, value):
    (budget,) = Budget.parse(f"d:{metric}={METRICS[metric].text_above(value)}")
    assert value <= budget.limits[0].value <= value * 1.0101
