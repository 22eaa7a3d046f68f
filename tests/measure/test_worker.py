"""hwnas/measure/connection.py and hwnas/board/worker.py: a real process that answers, dies, hangs and prints junk."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
import toy

from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.measure import Local, Worker
from hwnas.transports.transport import BOARD


@pytest.fixture(scope="module")
def worker():
    with Worker(toy.DEVICE, toy.Profiler()) as worker:
        yield worker


def build(folder, does="work", size=1):
    job = toy.job(does, size)
    return toy.Profiler().build(job.make(), job.shapes, toy.DEVICE, folder / f"{does}.toy")


def test_facts_say_what_it_runs_on(worker):
    facts = worker.facts()
    assert facts["runtime"] == {"name": "toy", "version": "1.0"}
    assert facts["host"]["cores"] == os.cpu_count() and "load_average" not in facts["host"]
    assert worker.fingerprint()["device"]["runtime"] == "toy" and "name" not in worker.fingerprint()["device"]


def test_facts_that_no_file_can_hold_are_refused(tmp_path):
    odd = toy.Profiler()
    odd.device_module = tmp_path / "odd_device.py"
    odd.device_module.write_text(toy.Profiler.device_module.read_text().replace('"1.0"}', '"1.0", "ghz": float("nan")}'))
    with pytest.raises(HwnasError, match="'toy'.*nan"), Worker(toy.DEVICE, odd):
        pass


def test_a_file_is_timed_by_both_clocks(worker, tmp_path):
    sample = worker.time(build(tmp_path), toy.PLAN)
    assert sample.error is None and len(sample.wall_ns) == len(sample.cpu_ns) == toy.PLAN.repeats
    assert 0 < sample.latency_ms() < 1 and sample.load_s > 0 and sample.first_run_ms > 0
    assert sample.peak_rss_bytes is None or 1e6 < sample.peak_rss_bytes < 1e9


def test_cpu_time_is_left_out_where_it_means_nothing(tmp_path):
    two_threads = toy.DEVICE.model_copy(update={"threads": 2})
    with Worker(two_threads, toy.Profiler()) as worker:
        sample = worker.time(build(tmp_path), toy.PLAN)
    assert sample.cpu_ns is None and sample.rejected == 0 and sample.latency_ms() > 0


@pytest.mark.parametrize(
    "does, reason",
    [
        ("die", r"died \(signal SIGABRT\): about to die"),
        ("quit", r"died \(exit status 3\)"),
        ("fail", "ValueError: shape mismatch"),
        ("exhaust", "MemoryError"),
    ],
)
def test_a_file_that_fails_says_why_and_costs_nothing_else(worker, tmp_path, does, reason):
    failed = worker.time(build(tmp_path, does), toy.PLAN)
    assert re.search(reason, failed.error)
    assert worker.time(build(tmp_path), toy.PLAN).error is None


def test_a_hung_file_is_killed_in_time(worker, tmp_path):
    start = time.monotonic()
    failed = worker.time(build(tmp_path, "hang"), replace(toy.PLAN, time_limit_s=1.0))
    assert "no answer within 1 s" in failed.error and time.monotonic() - start < 5
    assert worker.time(build(tmp_path), toy.PLAN).error is None


def test_junk_on_stdout_does_no_harm(worker, tmp_path):
    before = worker.pid
    assert worker.time(build(tmp_path, "junk"), toy.PLAN).error is None
    assert worker.time(build(tmp_path), toy.PLAN).error is None and worker.pid == before


def test_a_worker_killed_between_requests_is_replaced(worker, tmp_path):
    assert worker.time(build(tmp_path), toy.PLAN).error is None
    os.kill(worker.pid, signal.SIGKILL)
    samples = [worker.time(build(tmp_path), toy.PLAN) for _ in range(2)]
    assert "SIGKILL" in samples[0].error and samples[1].error is None


def test_predict_runs_all_rows_in_batches_of_the_file(worker, tmp_path):
    x = np.random.default_rng(0).standard_normal((7, 3, 4, 4), dtype=np.float32)  # the file's batch is 2
    assert np.allclose(worker.predict(build(tmp_path, size=3), x), x.mean((2, 3)) * 3)


@pytest.mark.parametrize("does, reason", [("die", "SIGABRT"), ("fail", "shape mismatch in node 7")])
def test_predict_raises_what_went_wrong(worker, tmp_path, does, reason):
    with pytest.raises(HwnasError, match=f"'toy'.*{does}.toy.*{reason}"):
        worker.predict(build(tmp_path, does), np.zeros((2, 3, 4, 4), np.float32))


def test_a_missing_file_is_an_error_value(worker, tmp_path):
    assert "FileNotFoundError" in worker.time(tmp_path / "none.toy", toy.PLAN).error


def test_a_dead_host_takes_its_hung_worker_with_it(tmp_path):
    """The host is gone (end of input) and the runtime hangs: the worker's own alarm ends it."""
    argv = [sys.executable, BOARD / "worker.py", toy.Profiler.device_module]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    plan = str(toy.PLAN.to_dict()).replace("'", '"')
    process.stdin.write(f'{{"id":1,"do":"time","file":"{build(tmp_path, "hang")}","options":{{}},"plan":{plan},"time_limit_s":0.5}}\n')
    process.stdin.close()
    assert process.wait(20) == -signal.SIGALRM
    process.stdout.close()


def test_an_idle_worker_is_not_hung():
    with Worker(toy.DEVICE, toy.Profiler()) as worker:
        before = worker.pid
        worker._ask({"do": "facts"}, 0.3)
        time.sleep(2.5)
        assert worker.facts() and worker._ask({"do": "facts"}, 5.0) and worker.pid == before


def test_a_worker_ends_with_its_input():
    with Worker(toy.DEVICE, toy.Profiler()) as worker:
        process = worker._process
    assert process.returncode == 0


@dataclass(frozen=True)
class Chatty(Local):
    """As over ssh: a banner comes first, and the command has a prefix."""

    def argv(self, device_module):
        return ["/bin/sh", "-c", 'echo Welcome to the board; echo "[1]"; exec "$@"', "sh", *super().argv(device_module)]


def test_a_prefix_and_a_banner_make_no_difference(tmp_path):
    with Worker(toy.DEVICE, toy.Profiler(), Chatty()) as worker:
        assert worker.time(build(tmp_path), toy.PLAN).error is None


class Missing(toy.Profiler):
    extra = "pip install toy-runtime"


def test_a_missing_runtime_names_the_command(tmp_path):
    Missing.device_module = tmp_path / "device.py"
    Missing.device_module.write_text("import toy_runtime_that_is_not_there\n")
    with pytest.raises(HwnasError, match="No module named.*installed with: pip install toy-runtime"):
        Worker(toy.DEVICE, Missing()).facts()


@pytest.mark.parametrize(
    "source, reason", [("API = 7", "speaks API 7"), ("import os; os._exit(9)", "exit status 9"), ("1/0", "ZeroDivisionError")]
)
def test_a_device_side_that_does_not_start_is_an_error(tmp_path, source, reason):
    profiler = toy.Profiler()
    profiler.device_module = tmp_path / "device.py"
    profiler.device_module.write_text(source)
    with pytest.raises(HwnasError, match=f"'toy'.*does not start.*{reason}"):
        Worker(toy.DEVICE, profiler).facts()


def test_an_interpreter_that_is_not_there_is_an_error():
    with pytest.raises(HwnasError, match="cannot start /no/python"):
        Worker(toy.DEVICE, toy.Profiler(), Local("/no/python")).facts()


def test_a_core_that_is_not_there_is_an_error():
    with pytest.raises(HwnasError, match="core 4096 is not among the cores"):
        Worker(toy.DEVICE.model_copy(update={"pin": 4096}), toy.Profiler()).facts()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin")
def test_a_worker_stays_on_its_core():
    core = max(os.sched_getaffinity(0))
    with Worker(toy.DEVICE.model_copy(update={"pin": core}), toy.Profiler()) as worker:
        assert os.sched_getaffinity(worker.pid) == {core}


@pytest.mark.parametrize(
    "update, reason", [({"dtype": "int9"}, "dtype of device 'toy' 'int9'"), ({"options": {"xnpack": 1}}, "option of device 'toy' 'xnpack'")]
)
def test_what_the_runtime_does_not_know_is_refused_first(update, reason):
    with pytest.raises(HwnasError, match=reason):
        Worker(Device(**{**toy.DEVICE.model_dump(), **update}), toy.Profiler())
