"""hwnas/deploy/timing.py, certificate.py: bounds on measured latency, and the verdict."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from tiny_spaces import chain_space

from hwnas.budget import Budget
from hwnas.cost import CostModel
from hwnas.deploy import RULES, Timing, judge
from hwnas.deploy.certificate import proves_nothing, share_used, word
from hwnas.errors import HwnasError
from hwnas.sample import Sample, Summary
from hwnas.search import Target

SPACE = chain_space()
MODEL = CostModel(SPACE, {"latency_ms": np.full(len(SPACE.blocks), 0.1)})
COUNTED = {"memory_bytes": 5e3, "params": 4000, "macs": 1e5, "file_bytes": 2e4}


def timing(wall_ms, preempted=0, cpu=True, processes=3):
    """Wall times; of the first `preempted` of them only half was CPU time."""
    wall = np.round(np.asarray(wall_ms) * 1e6).astype(int)
    own = np.where(np.arange(len(wall)) < preempted, wall // 2, wall)
    parts = zip(np.array_split(wall, processes), np.array_split(own, processes))
    return Timing(tuple(Sample(tuple(map(int, w)), tuple(map(int, c)) if cpu else None) for w, c in parts), {"host": "A"}, {})


def target(text):
    return Target.of(Budget.parse(f"toy:{text}")[0], MODEL)


def rank_by_hand(n, q):
    """The smallest r for which the r-th smallest of n lies at or above the quantile with 95 % probability."""
    chance = 0.0
    for r in range(1, n + 1):
        chance += comb(n, r - 1) * q ** (r - 1) * (1 - q) ** (n - r + 1)
        if chance >= 0.95:
            return r
    return n


@pytest.mark.parametrize("n", [6, 10, 11, 59, 100, 500, 1000])
@pytest.mark.parametrize("q", [0.5, 0.9])
def test_the_upper_limit_is_an_order_statistic_by_the_binomial(n, q):
    order = np.random.default_rng(n).permutation(n) + 1.0
    assert timing(order, processes=1).upper_ms(q) == rank_by_hand(n, q)


def test_the_upper_limit_covers_the_true_median_in_95_of_100_samples():
    rng = np.random.default_rng(0)
    covered = np.mean([timing(rng.lognormal(0, 0.5, 101)).upper_ms() >= 1.0 for _ in range(1000)])
    assert 0.94 <= covered <= 0.99


def test_all_samples_count():
    t = timing(1 + np.arange(1, 1201) / 1000, preempted=300)
    assert len(t.wall_ms) == 1200 and t.preempted == 0.25 and t.percentile_ms(0.5) == pytest.approx(1.6005)
    facts = t.to_dict()
    assert facts["samples"] == 1200 and facts["preempted"] == 300 and [p["samples"] for p in facts["processes"]] == [400] * 3
    assert facts["p50_ms"] < facts["p50_upper_ms"] < facts["p90_ms"] < facts["p95_ms"]
    assert timing([1.0, 2.0, 3.0], cpu=False).preempted == 0


def test_what_was_slowed_counts_and_is_told():
    calm, busy = (Sample((1000,) * 4, (1000,) * 4, reference_ns=(ns,) * 4, best_ns=ns) for ns in (40_000, 64_000))
    told = Timing((calm, busy, calm), {}, {}).to_dict()  # the second process never saw the core at its best, the others did
    assert told["samples"] == 12 and told["slowed"] == 4 and timing([1.0, 2.0, 3.0]).to_dict()["slowed"] == 0


def test_what_it_takes_while_nobody_slows_the_core():
    ours, theirs = [(w, w, r) for w, r in ((1_000_000, 40_000), (1_600_000, 64_000))]

    def process(mine, his):
        wall, cpu, reference = zip(*[ours] * mine, *[theirs] * his)
        return Sample(wall, cpu, reference_ns=reference, best_ns=min(reference), load_s=0.5)

    busy = Timing((process(30, 70), process(0, 100), process(40, 60)), {}, {})
    assert busy.slowed == pytest.approx(230 / 300) and busy.upper_ms() == 1.6
    assert len(busy.calm.wall_ms) == 70 and busy.calm.upper_ms() == 1.0 and busy.calm.upper("load_ms") == 500
    assert [len(s.cpu_ns) for s in busy.calm.samples] == [30, 40]
    few = Timing((process(30, 70), process(0, 100), process(33, 67)), {}, {})
    assert few.calm == few, "63 inferences say nothing"
    assert timing([1.0, 2.0, 3.0]).calm.upper_ms() == 3.0, "a device that does not tell"


def test_fewer_inferences_than_were_asked_for_prove_nothing():
    slow = replace(timing([900.0] * 30), asked=1024)
    assert judge(target("latency=2s"), slow, COUNTED)[0] == "INCONCLUSIVE"
    assert "1,024 are asked for" in proves_nothing(slow) and "30 of 900 ms" in proves_nothing(slow)
    assert judge(target("latency=2s"), replace(slow, asked=30), COUNTED)[0] == "PASS"


def test_rules():
    assert RULES["default"].samples >= 1024 and RULES["default"].processes >= 3 and RULES["mlperf"].total_s >= 60


def verdict(text, wall_ms, counted=COUNTED, **kinds):
    return judge(target(text), timing(wall_ms, **kinds), counted)


def test_pass_fail_and_inconclusive():
    fast, slow = np.full(1200, 1.9), np.full(1200, 2.1)
    assert verdict("latency=2ms", fast) == ("PASS", {"latency_ms": {"budget": 2.0, "value": 1.9, "keeps": True}})
    assert verdict("latency=2ms", slow) == ("FAIL", {"latency_ms": {"budget": 2.0, "value": 2.1, "keeps": False}})
    assert verdict("latency=2ms", np.full(1200, 2.0))[0] == "PASS"  # exactly the budget keeps it
    assert verdict("latency=2ms", fast, preempted=240)[0] == "PASS"  # 20 % and not more
    for times in (fast, slow, fast / 100):
        assert verdict("latency=2ms", times, preempted=241)[0] == "INCONCLUSIVE"


def test_the_limit_of_the_median_decides_and_not_the_median():
    times = np.r_[np.full(505, 1.9), np.full(495, 2.1)]
    assert np.median(times) < 2 and verdict("latency=2ms", times)[0] == "FAIL"
    assert verdict("latency=2ms", np.r_[np.full(540, 1.9), np.full(460, 2.1)])[0] == "PASS"


def test_counted_limits():
    fast = np.full(1200, 1.0)
    for name, field in (("memory", "memory_bytes"), ("size", "file_bytes"), ("macs", "macs"), ("params", "params")):
        text = f"latency=2ms,{name}=100%"
        limit = target(text).limits[1]
        kept, broken = {**COUNTED, field: limit}, {**COUNTED, field: limit * 1.001}
        assert verdict(text, fast, kept)[0] == "PASS" and verdict(text, fast * 3, kept)[0] == "FAIL"
        found, facts = verdict(text, fast, broken)
        assert found == "FAIL" and not facts[field]["keeps"] and facts["latency_ms"]["keeps"]
        assert verdict(text, fast, broken, preempted=1000)[0] == "FAIL"  # no timing mends that
        assert verdict(text, fast, kept, preempted=1000)[0] == "INCONCLUSIVE"


def test_each_quantile_is_held_against_its_own_limit():
    times = np.r_[np.full(1100, 1.0), np.full(100, 3.0)]  # p90 is 1 ms, p95 is 3 ms
    tails = CostModel(SPACE, {"latency_ms": np.full(len(SPACE.blocks), 0.1)}, tails={"latency_p90_ms": 1.1, "latency_p95_ms": 1.2})

    def judged(text):
        return judge(Target.of(Budget.parse(f"toy:{text}")[0], tails), timing(times), COUNTED)

    assert judged("latency=2ms,latency_p90=2ms")[0] == "PASS" and judged("latency=2ms,latency_p95=2ms")[0] == "FAIL"
    assert judged("latency_p95=3ms")[1]["latency_p95_ms"] == {"budget": 3.0, "value": 3.0, "keeps": True}
    averages = tuple(Sample((10**6,) * 3, summaries=(Summary(50, 0.9, 1.2, 0.1),) * 3) for _ in range(3))
    with pytest.raises(HwnasError, match="averages of many inferences"):
        Timing(averages, {}, {}).upper("latency_p95_ms")


def test_a_lower_probability_asks_less():
    times = np.r_[np.full(505, 1.9), np.full(495, 2.1)]
    sure, unsure = (judge(Target.of(Budget.parse(f"toy:latency=2ms@{p}%")[0], MODEL), timing(times), COUNTED) for p in (99, 55))
    assert sure[0] == "FAIL" and sure[1]["latency_ms"]["confidence"] == 0.99 and unsure[0] == "PASS"


def test_loading_is_that_of_the_slowest_process():
    t = timing(np.full(30, 1.0))
    loaded = Timing(tuple(replace(s, load_s=x) for s, x in zip(t.samples, (0.01, 0.03, 0.02))), {}, {})
    assert loaded.upper("load_ms") == pytest.approx(30)
    with pytest.raises(HwnasError, match="did not tell load_ms"):
        t.upper("load_ms")


def test_a_soft_limit_fails_nothing():
    slow = np.full(1200, 2.2)
    found, kept = verdict("latency=2ms~0.5%per10%", slow)
    assert found == "PASS" and kept["latency_ms"] == {"budget": 2.0, "value": 2.2, "keeps": False, "soft": True}
    assert word(kept["latency_ms"]) == "over (soft)" and share_used(kept) == 1.0
    found, kept = verdict("latency=2ms~0.5%per10%,params=5k", slow)
    assert found == "PASS" and share_used(kept) == pytest.approx(0.8)
    assert verdict("latency=2ms~0.5%per10%,params=5k", slow, {**COUNTED, "params": 5001})[0] == "FAIL"


def test_share_used_is_that_of_the_fullest_limit():
    half = target("memory=100%").limits[0] / 2
    _, kept = verdict("latency=2ms,memory=100%", np.full(1200, 1.8), {**COUNTED, "memory_bytes": half})
    assert share_used(kept) == pytest.approx(0.9)
    _, kept = verdict("latency=2ms,memory=100%", np.full(1200, 0.2), {**COUNTED, "memory_bytes": half})
    assert share_used(kept) == pytest.approx(0.5)
    assert share_used(verdict("latency=2ms", np.full(1200, 2.5))[1]) == pytest.approx(1.25)
