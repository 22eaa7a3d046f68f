"""hwnas/transports/ssh.py against a real OpenSSH server: files, faults, and what it refuses."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sshd
import toy

from hwnas.block import Block
from hwnas.device import BUILT_IN
from hwnas.errors import HwnasError
from hwnas.measure import Job, Worker, measure
from hwnas.profiler import load_profiler
from hwnas.table import Table
from hwnas.transports.ssh import Ssh
from hwnas.transports.transport import LinkLost

pytestmark = sshd.needs_sshd
QUICK = replace(toy.PLAN, rounds=2)


def over(board, **options):
    return Ssh(board.host, options.pop("python", sys.executable), config=str(board.config), **options)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A quiet board for tests that do it no harm."""
    board = sshd.make_board(tmp_path_factory.mktemp("board"))
    board.start()
    yield board
    board.stop()


@pytest.fixture
def victim(tmp_path):
    """A talkative board of one test's own, to be mistreated."""
    board = sshd.make_board(tmp_path / "victim", sshd.BANNER)
    board.start()
    yield board
    board.stop()


def build(folder, does="work", size=1):
    job = toy.job(does, size)
    return toy.Profiler().build(job.make(), job.shapes, toy.DEVICE, folder / f'it\'s a "{does}" & more.toy')


def test_a_table_is_measured_over_ssh_and_files_are_sent_once(board, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(board)) as worker:
        with Table.open(tmp_path / "table.jsonl", "toy", worker.fingerprint()) as table:
            measure(worker, toy.jobs(6), table, QUICK)
            assert set(table.values()) == set(toy.jobs(6)) and not table.failed
    sent = board.sent()
    assert len([name for name in sent if name.endswith(".toy")]) == 6  # the five distinct contents of six jobs, and the sentinel
    with Worker(toy.DEVICE, toy.Profiler(), over(board)) as worker:
        with Table.open(tmp_path / "again.jsonl", "toy", worker.fingerprint()) as table:
            measure(worker, toy.jobs(6), table, QUICK)
    assert board.sent() == sent


def test_a_real_runtime_gives_the_same_outputs_there_as_here(board, tmp_path):
    device = BUILT_IN["onnx-cpu"]
    profiler, job = load_profiler(device.runtime), Job.of(Block("mbconv", 8, 8, 10, 12, kernel=5, expand=4, act="relu"), 2)
    file = profiler.build(job.make().eval(), ((2, 8, 10, 12),), device, tmp_path / "model.onnx")
    x = np.random.default_rng(0).standard_normal((3, 8, 10, 12), dtype=np.float32)
    with Worker(device, profiler) as here, Worker(device, profiler, over(board)) as there:
        assert here.fingerprint() == there.fingerprint()
        assert np.array_equal(there.predict(file, x), here.predict(file, x))
        assert there.time(file, toy.PLAN).error is None
    assert not [name for name in board.sent() if name.endswith("y.npy")]


def test_an_interpreter_with_spaces_and_quotes_in_its_name_and_words_before_it(board, tmp_path):
    python = tmp_path / 'it\'s "my" $python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with Worker(toy.DEVICE, toy.Profiler(), over(board, python=str(python), prefix=("env", "A=it's $HOME"))) as worker:
        assert worker.time(build(tmp_path), toy.PLAN).error is None
        assert b"A=it's $HOME" in Path(f"/proc/{worker.facts()['pid']}/environ").read_bytes().split(b"\0")


def test_the_home_folder_there_is_the_tilde(board, tmp_path):
    (board.home / "py thon").unlink(missing_ok=True)
    (board.home / "py thon").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (board.home / "py thon").chmod(0o755)
    with Worker(toy.DEVICE, toy.Profiler(), over(board, python="~/py thon")) as worker:
        assert worker.time(build(tmp_path), toy.PLAN).error is None


def test_what_a_worker_leaves_behind_there_is_its_end(board, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(board)) as worker:
        pid = worker.facts()["pid"]
    gone(pid)


def gone(pid, limit_s=10.0):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def test_a_killed_worker_costs_the_block_in_flight(board, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(board)) as worker:
        os.kill(worker.facts()["pid"], signal.SIGKILL)
        assert "SIGKILL" in worker.time(build(tmp_path), toy.PLAN).error
        assert "SIGABRT" in worker.time(build(tmp_path, "die"), toy.PLAN).error
        assert worker.time(build(tmp_path), toy.PLAN).error is None


def test_a_hung_block_is_killed_there_too(board, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(board)) as worker:
        pid = worker.facts()["pid"]
        assert "no answer within 1 s" in worker.time(build(tmp_path, "hang"), replace(toy.PLAN, time_limit_s=1.0)).error
        gone(pid, 1.5)  # before its own alarm would end it
        assert worker.time(build(tmp_path), toy.PLAN).error is None


@pytest.mark.slow
def test_a_link_cut_again_and_again_costs_nothing_but_time(victim, tmp_path):
    cuts = []

    def cut(done, total, key, sample):
        if done % 3 == 0:
            cuts.append(victim.cut())

    with Worker(toy.DEVICE, toy.Profiler(), over(victim)) as worker:
        with Table.open(tmp_path / "table.jsonl", "toy", worker.fingerprint()) as table:
            measure(worker, toy.jobs(4), table, QUICK, cut)
            assert set(table.values()) == set(toy.jobs(4)) and not table.failed
    assert sum(cuts) >= 2


@pytest.mark.slow
def test_a_link_cut_in_the_middle_of_a_block(victim, tmp_path):
    slow = replace(toy.PLAN, min_total_s=1.5)
    with Worker(toy.DEVICE, toy.Profiler(), over(victim)) as worker:
        pid = worker.facts()["pid"]
        threading.Timer(0.7, victim.cut).start()
        sample = worker.time(build(tmp_path), slow)
        assert sample.error is None and len(sample.wall_ns) >= 3
        assert worker.facts()["pid"] != pid


@pytest.mark.slow
def test_a_board_that_reboots_and_has_lost_its_files(victim, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(victim, patience_s=60)) as worker:
        assert worker.time(build(tmp_path), toy.PLAN).error is None
        victim.stop()
        subprocess.run(["rm", "-r", victim.home / ".cache"], check=True)
        timer = threading.Timer(1.5, victim.start)
        timer.start()
        assert worker.time(build(tmp_path), toy.PLAN).error is None
        timer.join()


def test_a_board_that_does_not_come_back_ends_the_run_with_one_line(victim, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(victim, patience_s=1)) as worker:
        victim.stop()
        with pytest.raises(HwnasError, match="did not come back within 1 s.*What was measured is kept"):
            worker.time(build(tmp_path), toy.PLAN)


def test_a_board_that_comes_back_another_one_is_refused(board, tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), over(board)) as worker:
        worker._facts = {**worker.facts(), "host": {**worker.facts()["host"], "governor": "performance"}}
        os.kill(worker.facts()["pid"], signal.SIGKILL)
        worker.time(build(tmp_path), toy.PLAN)
        with pytest.raises(HwnasError, match="came back another one .host.governor: 'performance' before, "):
            worker.time(build(tmp_path), toy.PLAN)


@pytest.mark.slow
def test_a_file_cut_in_the_middle_is_never_taken_for_whole(victim, tmp_path):
    big = tmp_path / "big.npy"
    big.write_bytes(os.urandom(20_000_000))
    transport = over(victim)
    transport.connect()
    threading.Timer(0.1, victim.cut).start()
    try:
        transport.send(big)
    except LinkLost:
        pass
    transport.connect()
    name = transport.send(big)
    assert Path(name).read_bytes() == big.read_bytes()


def test_a_file_that_rots_there_is_sent_again(board, tmp_path):
    file = build(tmp_path, size=7)
    there = Path(over(board).send(file))
    there.write_bytes(b"{}")
    assert Path(over(board).send(file)).read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_faults_at_random_moments_leave_the_table_complete_and_valid(victim, tmp_path):
    """Links cut, workers killed there, clients killed here; HWNAS_FAULTS=100 does it for longer."""
    wanted, moments, done = int(os.environ.get("HWNAS_FAULTS", "12")), random.Random(0), []
    over_now = threading.Event()
    path = tmp_path / "table.jsonl"

    def strike(worker):
        kind = moments.choice(["cut", "worker", "client"])
        if kind == "cut":
            return victim.cut() > 0
        pid = worker._facts["pid"] if kind == "worker" else worker.pid
        try:
            if pid is None or b"worker.py" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return False  # it is just being replaced
            os.kill(pid, signal.SIGKILL)
            return True
        except OSError:
            return False

    def disturb(worker):
        while len(done) < wanted and not over_now.wait(moments.uniform(0.0, 0.8)):
            if strike(worker):
                done.append(1)

    sizes = iter(range(1, 10**6))
    with Worker(toy.DEVICE, toy.Profiler(), over(victim)) as worker:
        disturber = threading.Thread(target=disturb, args=(worker,))
        disturber.start()
        jobs = {}
        try:
            while len(done) < wanted:  # more blocks for as long as there are faults to come
                jobs |= {f"block{size}": toy.job(size=1 + size % 5) for size in (next(sizes) for _ in range(4))}
                with Table.open(path, "toy", worker.fingerprint()) as table:
                    measure(worker, jobs, table, QUICK, retry=True)
        finally:
            over_now.set()
            disturber.join()
        for _ in range(2):  # what a kill made fail is measured on request
            with Table.open(path, "toy", worker.fingerprint()) as table:
                measure(worker, jobs, table, QUICK, retry=True)
    table = Table.read(path)
    assert set(table.values()) == set(jobs) and not table.failed
    assert all(len(table.samples(key)) == QUICK.rounds for key in jobs)


def refusal(board, **options):
    with pytest.raises(HwnasError) as error:
        Worker(toy.DEVICE, toy.Profiler(), over(board, **options)).facts()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_host_key_that_does_not_match_is_refused_with_a_line(tmp_path):
    board = sshd.make_board(tmp_path / "board")
    other = (board.folder / "user_key.pub").read_text().split()[:2]
    (board.folder / "known_hosts").write_text(f"[127.0.0.1]:{board.port} {' '.join(other)}\n")
    board.start()
    try:
        said = refusal(board)
        assert "host key is not the one in" in said and "known_hosts" in said and "ssh-keygen -R" in said
        (board.folder / "known_hosts").write_text("")
        assert "host key is not known here: run `ssh board` once" in refusal(board)
        assert not board.sent()
    finally:
        board.stop()


def test_a_key_that_is_not_let_in_names_the_way_out(tmp_path):
    board = sshd.make_board(tmp_path / "board")
    (board.folder / "authorized_keys").write_text("")
    board.start()
    try:
        assert "refuses your key: run `ssh-copy-id board`" in refusal(board)
    finally:
        board.stop()


def test_a_board_that_was_never_reached_is_not_waited_for(tmp_path):
    said = refusal(sshd.make_board(tmp_path / "board"))
    assert "'toy' is not reached" in said and "Connection refused" in said


def test_an_interpreter_that_is_not_there(board):
    assert "no/python" in refusal(board, python="/no/python")


def test_a_key_file_that_is_not_there(board):
    with pytest.raises(HwnasError, match="there is no file .*nokey"):
        over(board, identity="~/nokey")
