"""LocalPool: every result once, whatever dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwnas.errors import HwnasError
from hwnas.tasks import LocalPool, Work, Workers

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", HERE)


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    made = LocalPool(Work("made_up_work:squares", {"plus": 1}), 2)
    yield made
    made.close()
    assert not made.pids


def test_every_job_has_its_result(pool: LocalPool, tmp_path: Path) -> None:
    found = dict(pool.run(range(20)))
    assert {i: r[0] for i, r in found.items()} == {i: i * i + 1 for i in range(20)}
    assert {r[1] for r in found.values()} <= set(pool.pids)
    before = set(pool.pids)
    assert dict(pool.run([7]))[0][0] == 50 and set(pool.pids) == before, "workers live on between two runs"
    assert dict(pool.run([])) == {}


def test_files_come_along(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("100")
    pool = LocalPool(Work("made_up_work:squares", {"plus": 1}, {"more": tmp_path / "more"}), 1)
    assert dict(pool.run([2]))[0][0] == 105
    pool.close()


def test_the_task_of_a_killed_worker_is_done_again(pool: LocalPool, tmp_path: Path) -> None:
    jobs = [1, {"die": str(tmp_path / "mark")}, 2, 3, 4, 5]
    found = dict(pool.run(jobs))
    assert found[1] == "alive" and [found[i][0] for i in (0, 2, 3, 4, 5)] == [2, 5, 10, 17, 26]


def test_a_worker_killed_from_outside_while_it_works(pool: LocalPool) -> None:
    list(pool.run([1, 2]))
    victims: list[int] = []

    def told(number: int, what: object) -> None:
        if not victims:
            victims.append(pool.pids[number])  # the first two jobs went to the two workers
            os.kill(victims[0], signal.SIGKILL)

    found = dict(pool.run([{"sleep": 1}, {"sleep": 1}, 3, 4], told))
    assert found[0] == found[1] == "slept" and [found[i][0] for i in (2, 3)] == [10, 17]
    assert victims and victims[0] not in pool.pids


def test_a_task_that_kills_three_workers_is_named(pool: LocalPool, tmp_path: Path) -> None:
    deadly = {"die": str(tmp_path / "never"), "once": False}
    with pytest.raises(HwnasError, match=r"task 1 .*never.*3 workers died of it, the last one: signal SIGKILL"):
        list(pool.run([1, deadly, 2]))
    assert dict(pool.run([3]))[0][0] == 10, "the pool is as good as new"


def test_a_task_that_fails_is_named(pool: LocalPool) -> None:
    with pytest.raises(HwnasError, match=r"task 0 .*ValueError: no such thing"):
        list(pool.run([{"raise": "no such thing"}]))


def test_work_that_cannot_begin() -> None:
    pool = LocalPool(Work("made_up_work:cannot_begin", {}), 2)
    with pytest.raises(HwnasError, match="cannot begin: data 'none'"):
        list(pool.run([1, 2, 3]))
    pool.close()


def test_what_a_task_says_on_its_way(pool: LocalPool) -> None:
    said: list[tuple[int, object]] = []
    assert dict(pool.run([{"sleep": 0.05}], lambda n, what: said.append((n, what)))) == {0: "slept"}
    assert said == [(0, {"at": i}) for i in range(100)]


def test_leaving_early_ends_what_runs(pool: LocalPool) -> None:
    began = time.monotonic()
    for number, _ in pool.run([1, {"sleep": 60}]):
        assert number == 0
        break
    assert time.monotonic() - began < 30


def test_one_pool_for_one_work() -> None:
    with Workers(2) as workers:
        first = workers.pool(Work("made_up_work:squares", {"plus": 1}))
        assert workers and first is workers.pool(Work("made_up_work:squares", {"plus": 1}))
        assert first is not workers.pool(Work("made_up_work:squares", {"plus": 2}))
        folder = workers.folder
        assert folder.is_dir()
    assert not folder.exists() and not Workers(1) and Workers(2).chosen and not Workers().chosen
    with pytest.raises(HwnasError, match="workers = -1"):
        Workers(-1)
