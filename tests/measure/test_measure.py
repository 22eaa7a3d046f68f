"""hwnas/measure/measure.py: what is measured, in which order, what fails, and what a kill costs."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import toy

from hwnas.errors import HwnasError
from hwnas.measure import Worker, measure
from hwnas.sample import Sample
from hwnas.table import SENTINEL, Table

KILLS = 12
HEADER = json.dumps({"format": 1, "device": "toy", "fingerprint": {}})


@pytest.fixture
def worker():
    with Worker(toy.DEVICE, toy.Profiler()) as worker:
        yield worker


@pytest.fixture
def table(tmp_path, worker):
    with Table.open(tmp_path / "table.jsonl", "toy", worker.fingerprint()) as table:
        yield table


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_every_key_is_timed_once_a_round_in_random_order(worker, table):
    seen = []
    quietness = measure(worker, toy.jobs(30), table, toy.PLAN, lambda done, total, key, sample: seen.append((done, total, key)))
    seen, again = seen[:90], seen[90:]  # on a busy machine some rows go into quarantine, and are measured again
    assert [done for done, _, _ in seen] == list(range(1, 91)) and {total for _, total, _ in seen} == {90}
    assert [done for done, _, _ in again] == list(range(91, 91 + len(again)))
    orders = [[key for _, _, key in seen[i : i + 30]] for i in (0, 30, 60)]
    assert orders[0] != orders[1] != orders[2] and set(orders[0]) == set(orders[1]) == set(orders[2]) == toy.jobs(30).keys()
    assert len(table.values()) == 30 and not table.failed and all(v > 0 for v in table.values().values())
    assert 0 <= quietness.rejected <= 1 and len(quietness.noisiest) == 5 and str(quietness)


def test_the_sentinel_opens_every_round_and_comes_back_within_it(worker, table):
    measure(worker, toy.jobs(30), table, toy.PLAN)
    written = rows(table.path)
    starts = [i for i, row in enumerate(written) if i == 0 or row["round"] != written[i - 1]["round"]]
    assert all(written[i]["key"] == SENTINEL for i in starts)
    first = [row["round"] for row in written[:100] if row["key"] == SENTINEL]  # without what a busy machine had measured again
    assert first == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2], "and closes the last"


def test_a_finished_table_is_left_as_it_is(worker, table):
    measure(worker, toy.jobs(3), table, toy.PLAN)
    before = table.path.read_bytes()
    measure(worker, toy.jobs(3), table, toy.PLAN)
    assert table.path.read_bytes() == before
    measure(worker, toy.jobs(4), table, toy.PLAN)  # one block more costs that block and a sentinel a round, and one at the end
    new = [json.loads(line)["key"] for line in table.path.read_bytes().splitlines()[len(before.splitlines()) :]]
    assert sorted(new[:7]) == ["block3"] * 3 + [SENTINEL] * 4 and set(new[7:]) <= {"block3", SENTINEL}  # measured again, if disturbed


def test_failed_jobs_are_rows_with_their_reason_and_are_tried_once(worker, table):
    jobs = {"good": toy.job(), "bad": toy.job("fail"), "dead": toy.job("die"), "hung": toy.job("hang"), "unbuilt": toy.job("no file")}
    quietness = measure(worker, jobs, table, replace(toy.PLAN, time_limit_s=1.5))
    assert set(table.values()) == {"good"} and quietness.failed == 4
    for key, reason in [
        ("bad", "shape mismatch"),
        ("dead", "SIGABRT"),
        ("hung", "no answer within 1.5 s"),
        ("unbuilt", "cannot be lowered"),
    ]:
        assert reason in table.failed[key] and len(table.samples(key)) == 1
    before = table.path.read_bytes()
    measure(worker, jobs, table, toy.PLAN)
    assert table.path.read_bytes() == before


def test_retry_gives_failed_jobs_another_chance(worker, table):
    measure(worker, {"good": toy.job(), "shaky": toy.job("fail")}, table, toy.PLAN)
    measure(worker, {"good": toy.job(), "shaky": toy.job()}, table, toy.PLAN, retry=True)
    assert not table.failed and set(table.values()) == {"good", "shaky"} and len(table.samples("shaky")) == toy.PLAN.rounds


def test_a_worker_killed_again_and_again_costs_only_the_blocks_in_flight(worker, table):
    kills = random.Random(0)

    def kill(done, total, key, sample):
        if kills.random() < 0.1:
            worker._process.kill()

    measure(worker, toy.jobs(), table, toy.PLAN, kill)
    assert table.failed and all("SIGKILL" in reason for reason in table.failed.values())
    assert set(table.values()) | set(table.failed) == set(toy.jobs())


def test_a_device_that_is_gone_ends_the_run_with_one_line(table, tmp_path):
    profiler = toy.Profiler()
    profiler.device_module = tmp_path / "device.py"
    profiler.device_module.write_bytes(toy.Profiler.device_module.read_bytes())
    with Worker(toy.DEVICE, profiler) as worker:
        profiler.device_module.write_text("raise SystemExit(1)")
        with pytest.raises(HwnasError, match="'toy'.*does not start"):
            measure(worker, {"dead": toy.job("die"), "good": toy.job()}, table, toy.PLAN)


def test_a_full_disk_for_the_files_to_measure_ends_the_run(worker, table):
    def full(module, shapes, device, out):
        Path("/dev/full").write_bytes(b"x")

    worker.profiler.build = full
    with pytest.raises(HwnasError, match="no room for the files to measure"):
        measure(worker, toy.jobs(2), table, toy.PLAN)


def start(path):
    argv = [sys.executable, toy.__file__, str(path)]
    environment = {**os.environ, "TMPDIR": str(path.parent)}  # what a killed process leaves there goes with the test
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="waits by reading /proc")
def test_sigkill_at_random_moments_loses_at_most_the_block_in_flight(tmp_path):
    path, moments = tmp_path / "table.jsonl", random.Random(1)
    reached, wanted = 0, toy.JOBS * toy.PLAN.rounds
    for _ in range(KILLS):
        process = start(path)
        done = 0
        for _row in range(moments.randrange(wanted // KILLS)):  # so many rows are reported by this run ...
            done += bool(process.stdout.readline())
        time.sleep(moments.random() * 0.02)  # ... and it is killed somewhere in the next ones
        process.send_signal(signal.SIGKILL)
        process.wait()
        rest = process.stdout.read().count("\n")
        if path.exists() and path.stat().st_size:
            found = len([row for row in rows(path) if row["key"] != SENTINEL]) if path.read_bytes().endswith(b"\n") else None
            assert found is None or reached + done + rest <= found <= reached + done + rest + 1
            reached = found or reached
        process.stdout.close(), process.stderr.close()
    process = start(path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    table = Table.read(path)
    assert set(table.values()) == set(toy.jobs()) and not table.failed
    written = [(row["key"], row["round"]) for row in rows(path) if row["key"] != SENTINEL]
    first, again = written[:wanted], written[wanted:]  # again: what a machine out of order had disturbed
    assert len(set(first)) == wanted and len(set(again)) == len(again) <= toy.JOBS


def test_two_profiles_into_one_table_are_refused(tmp_path):
    path = tmp_path / "table.jsonl"
    first = start(path)
    first.stdout.readline()
    first.send_signal(signal.SIGSTOP)  # or it would have finished before the second has started
    second = start(path)
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1 and "another process is writing to it" in errors
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=120)
    assert first.returncode == 0 and set(Table.read(path).values()) == set(toy.jobs())


class Moody(Worker):
    """A worker on a machine that is 40 % slower for a while: from its 20th file to its 50th, and for ever if it is `sick`."""

    timed, sick = 0, False

    def time(self, file, plan):
        self.timed += 1
        slow = 1.4 if 20 <= self.timed < 50 or (self.sick and self.timed >= 100) else 1.0
        base = 100_000 if "sentinel" in file.name else 200_000
        return Sample((round(base * slow),) * 3, (round(base * slow),) * 3)


@pytest.mark.parametrize("sick", [False, True])
def test_rows_measured_on_a_machine_out_of_order_are_measured_again(tmp_path, sick):
    with Moody(toy.DEVICE, toy.Profiler()) as worker, Table.open(tmp_path / "t.jsonl", "toy", worker.fingerprint()) as table:
        worker.sick = sick
        seen = []
        quietness = measure(worker, toy.jobs(30), table, toy.PLAN, lambda done, total, key, sample: seen.append((done, total)))
        again = len(seen) - 90
        assert seen[89] == (90, 90) and 20 <= again <= 30 and seen[-1] == (90 + again, 90 + again)
        lines = len(rows(table.path))
        if sick:  # it was off again
            assert quietness.quarantined > 0 and "at over 20% off its usual speed, twice" in str(quietness)
        else:
            assert quietness.quarantined == 0 and table.drifted(0.2) == {}
            assert all(len(table.samples(key)) == toy.PLAN.rounds for key in table.keys)
        worker.sick = False
        measure(worker, toy.jobs(30), table, toy.PLAN)  # a finished table is left as it is
        assert len(rows(table.path)) == lines
