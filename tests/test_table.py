"""hwnas/table.py: rows to values, and what is refused."""

import json

import pytest

from hwnas.errors import HwnasError
from hwnas.sample import Sample
from hwnas.table import SENTINEL, Table

FINGERPRINT = {"device": {"runtime": "toy", "threads": 1}, "host": {"cpu": "A"}, "runtime": {"version": "1.0"}}
MS = 1_000_000


def sample(ms, cpu=True, repeats=5):
    return Sample((round(ms * MS),) * repeats, (round(ms * MS),) * repeats if cpu else None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "toy" / "table.jsonl"


@pytest.fixture
def table(path):
    with Table.open(path, "toy", FINGERPRINT) as table:
        yield table


def test_values_take_all_rounds_of_a_key(table, path):
    for round, ms in enumerate([1.0, 1.1, 1.2, 1.3]):
        table.append("a", round, sample(ms))
    table.append("b", 0, sample(3))
    assert table.values() == Table.read(path).values() == {"a": pytest.approx(1.15), "b": 3.0}
    deviation = (4 * 0.05**2 / 3) ** 0.5  # of 1.1, 1.1, 1.2, 1.2: the outer two drawn in
    assert table.standard_error() == {"a": pytest.approx(deviation / 0.5 / 4**0.5 / 1.15)}, "b's one round says nothing of itself"


def test_a_failed_key_has_a_reason_and_no_value(table):
    table.append("a", 0, sample(1))
    table.append("a", 1, Sample.failed("worker died"))
    assert table.values() == {} and table.failed == {"a": "worker died"} and table.keys == ["a"]


def test_of_two_rows_of_one_round_the_later_counts(table, path):
    table.append("a", 0, Sample.failed("worker died"))
    table.append("a", 0, sample(2))
    for t in (table, Table.read(path)):
        assert t.values() == {"a": 2.0} and not t.failed


def test_without_cpu_time_somewhere_the_wall_clock_counts_everywhere(table):
    table.append("a", 0, Sample((2 * MS,), (1 * MS,)))
    assert table.values() == {"a": 1.0}
    table.append("b", 0, sample(3, cpu=False))
    assert table.values() == {"a": 2.0, "b": 3.0}


def test_a_drift_that_the_sentinel_shows_is_divided_out(table):
    for round, slow in enumerate([1.0, 1.0, 1.25, 1.0, 1.0]):
        for _ in range(3):
            table.append(SENTINEL, round, sample(2 * slow))
        table.append("a", round, sample(8 * slow))
    assert table.drift()[1, 2] == pytest.approx(1.25) and table.drift()[1, 3] == 1.0
    assert table.standard_error()["a"] == pytest.approx(0) and table.values() == {"a": pytest.approx(8.0)}
    assert SENTINEL not in table.keys


def test_one_disturbed_sentinel_changes_nothing(table):
    for round, slow in enumerate([1.0, 1.0, 1.7, 1.0, 1.0]):
        table.append(SENTINEL, round, sample(2 * slow))
        table.append("a", round, sample(8))
    assert table.values() == {"a": pytest.approx(8.0)} and table.standard_error()["a"] == pytest.approx(0)


def test_a_drift_within_a_round_is_seen_where_it_was(table):
    """A neighbour comes in the middle of the only round: rows before it are left as they are."""
    for i in range(20):
        slow = 1.0 if i < 13 else 1.1
        table.append(SENTINEL, 0, sample(2 * slow))
        table.append(f"k{i}", 0, sample(8 * slow))
    assert table.values() == {f"k{i}": pytest.approx(8.0, rel=0.11 if i in (12, 13) else 1e-6) for i in range(20)}


def slowed(ms, slow=True, best_ns=40_000):
    """A sample in milliseconds whose repeats ran beside a neighbour, or did not."""
    wall = (round(ms * MS),) * 3
    return Sample(wall, wall, reference_ns=(best_ns * 8 // 5 if slow else best_ns,) * 3, best_ns=best_ns)


def test_rounds_on_a_slowed_core_are_left_out_where_there_are_others(table):
    for round, slow in enumerate([False, True, True]):
        table.append(SENTINEL, round, slowed(2 * (1.6 if slow else 1), slow))
        table.append("a", round, slowed(8 * (1.7 if slow else 1), slow))
    table.append("b", 0, slowed(9, True))  # never seen alone: divided by sentinels that were not either
    assert table.values() == {"a": pytest.approx(8.0), "b": pytest.approx(9 / 1.6)}
    assert table.drift() == {(1, 0): 1.0} and table.level().steady
    again = {("a", 1): pytest.approx(1.6), ("a", 2): pytest.approx(1.6), ("b", 0): pytest.approx(1.6)}
    assert table.drifted(0.2) == again
    table.append("a", 3, slowed(8, False))
    assert table.drifted(0.2) == {("b", 0): pytest.approx(1.6)}, "half of a's rounds are enough"


def test_how_fast_the_core_was_beside_a_row_is_divided_out(table):
    """The clock frequency wanders by 10 %, which sentinels far away miss."""
    table.append(SENTINEL, 0, slowed(2, False))
    for round, slow in enumerate([1.0, 1.1, 1.0, 1.05, 1.0]):
        wall = (round_ns := int(8 * MS * slow), round_ns, round_ns)
        table.append("a", round, Sample(wall, wall, reference_ns=(int(40_000 * slow),) * 3, best_ns=40_000))
    assert table.values() == {"a": pytest.approx(8.0, rel=1e-3)} and table.standard_error()["a"] == pytest.approx(0, abs=1e-3)


def test_a_machine_that_is_slowed_nearly_always_is_that_machine(table):
    for round in range(5):
        table.append(SENTINEL, round, slowed(2 if round else 1.25, bool(round)))
        table.append("a", round, slowed(8 if round else 5, bool(round)))
    assert not table.level().steady and table.values() == {"a": pytest.approx(8.0)}


def test_a_best_found_later_tells_of_the_rows_before_it(table):
    for round in range(3):
        table.append(SENTINEL, round, slowed(3.2, False, best_ns=64_000))  # that worker had seen nothing better
        table.append("a", round, slowed(12.8, False, best_ns=64_000))
    assert table.values() == {"a": pytest.approx(12.8)}
    for round in range(2, 5):
        table.append(SENTINEL, round, slowed(2, False))
        table.append("a", round, slowed(8, False))
    assert table.values() == {"a": pytest.approx(8.0)} and [s.slowed.all() for s in table.samples("a")] == [True, True, False, False, False]


def test_a_sentinel_that_fails_divides_nothing(table):
    table.append(SENTINEL, 0, Sample.failed("no such op"))
    table.append("a", 0, sample(8))
    assert table.values() == {"a": 8.0} and table.drift() == {}


def test_each_opening_is_a_sitting_with_a_sentinel_of_its_own(path):
    for slow in (1.0, 1.0, 2.0):
        with Table.open(path, "toy", FINGERPRINT) as table:
            for _ in range(2):
                table.append(SENTINEL, 0, sample(2 * slow))
            table.append(f"at {slow}", 0, sample(8 * slow))
    assert sorted(Table.read(path).sentinels) == [(1, 0), (2, 0), (3, 0)]
    assert Table.read(path).values() == {"at 1.0": 8.0, "at 2.0": 8.0}


def test_another_fingerprint_is_refused_by_the_names_of_what_differs(table, path):
    table.append("a", 0, sample(1))
    table.close()
    before = path.read_bytes()
    other = {**FINGERPRINT, "runtime": {"version": "1.1"}, "host": {"cpu": "A", "governor": "powersave"}}
    with pytest.raises(
        HwnasError, match=r"host.governor: None there, 'powersave' here; runtime.version: '1.0' there, '1.1' here.*--lut"
    ) as refused:
        Table.open(path, "toy", other)
    assert "\n" not in str(refused.value) and path.read_bytes() == before
    Table.open(path, "toy", FINGERPRINT).close()


@pytest.mark.parametrize(
    "lines, reason",
    [
        (['{"format": 2, "device": "toy", "fingerprint": {}}'], "format 2 is not that of a table"),
        (['{"hello": 1}'], "format None"),
        (["HEADER", '{"key": 3, "round": 0, "sitting": 1, "wall_ns": [1]}'], "line 2 is not a row.*key 3"),
        (["HEADER", '{"key": "a", "round": 0, "sitting": 1, "wall_ns": [0]}'], "line 2 is not a row.*positive"),
        (["HEADER", "oops", '{"key": "a"}'], "line 2 is not a JSON object"),
    ],
)
def test_what_is_no_table_is_refused_and_left_alone(path, lines, reason):
    header = json.dumps({"format": 1, "device": "toy", "fingerprint": FINGERPRINT})
    path.parent.mkdir()
    path.write_text("".join(line.replace("HEADER", header) + "\n" for line in lines))
    before = path.read_bytes()
    for access in (lambda: Table.read(path), lambda: Table.open(path, "toy", FINGERPRINT)):
        with pytest.raises(HwnasError, match=reason):
            access()
    assert path.read_bytes() == before


def test_a_torn_last_line_costs_that_row_only(table, path):
    for round in range(3):
        table.append("a", round, sample(1))
    table.close()
    path.write_bytes(path.read_bytes()[:-20])
    with Table.open(path, "toy", FINGERPRINT) as again:
        assert [again.has("a", round) for round in range(3)] == [True, True, False]
        again.append("a", 2, sample(1))
    assert Table.read(path).samples("a") == [sample(1)] * 3
