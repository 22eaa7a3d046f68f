"""hwnas/transports/adb.py and phone.py: the real adb client, a stand-in of the phone's daemon, a program like benchmark_model."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hwnas.block import Block
from hwnas.data import load_data
from hwnas.deploy.timing import Rules, time_file
from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.measure import Job, Plan, Worker, profile
from hwnas.profiler import load_profiler
from hwnas.sample import Sample
from hwnas.steps.deliver import _tested
from hwnas.steps.progress import silent
from hwnas.table import Table
from hwnas.transports import benchmark_model
from hwnas.transports.adb import Adb
from hwnas.transports.reach import Reach, save_reach

HERE = Path(__file__).parent
DEVICE = Device(name="phone", runtime="tflite")
PLAN = Plan(min_repeat_s=0.01, repeats=2, rounds=1, warmup_s=0.0, time_limit_s=60.0)
needs_adb = pytest.mark.skipif(not shutil.which("adb"), reason="not here: adb (Debian: apt-get install adb)")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Phone:
    def __init__(self, root, *words):
        self.root, self.words, self.port = root, words, free_port()
        (root / "bin").mkdir(parents=True)
        self.program(root / "bin/getprop", 'case $1 in ro.product.model) echo "Stand In";; ro.build.version.release) echo 14;; esac')
        self.benchmark = root.parent / f"{root.name} benchmark model"
        source = (HERE / "benchmark_model.py").read_text()
        self.benchmark.write_text(f"#!{sys.executable}\n{source}")

    @staticmethod
    def program(path, script):
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self):
        argv = [sys.executable, str(HERE / "phone_daemon.py"), str(self.port), str(self.root), *self.words]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"
        return self

    def stop(self):
        self.process.kill()
        self.process.communicate()

    def transport(self, **options):
        return Adb(f"127.0.0.1:{self.port}", self.benchmark, **options)

    @property
    def files(self):
        return {p.name: p.stat().st_mtime_ns for p in (self.root / "data/local/tmp/hwnas").iterdir()}


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory):
    """An adb server of our own: another port, another home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
        if shutil.which("adb"):
            subprocess.run(["adb", "kill-server"], capture_output=True)


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    phone = Phone(tmp_path_factory.mktemp("adb") / "phone").start()
    yield phone
    phone.stop()


@pytest.fixture(scope="module")
def worker(phone):
    with Worker(DEVICE, load_profiler("tflite"), phone.transport()) as worker:
        yield worker


def build(folder, name='it\'s a "model".tflite', size=8):
    job = Job.of(Block("mbconv", size, size, 14, 14, kernel=3, expand=2, act="relu"))
    return load_profiler("tflite").build(job.make().eval(), job.shapes, DEVICE, folder / name)


@needs_adb
def test_the_phone_says_what_it_is(worker, phone):
    host = worker.facts()["host"]
    assert host["model"] == "Stand In" and host["os"].startswith("Android 14, Linux") and host["cores"] == os.cpu_count()
    assert worker.facts()["runtime"]["name"] == "benchmark_model" and worker.facts()["runtime"]["version"] in str(phone.files)


@needs_adb
def test_a_file_is_timed_by_invocations_that_say_their_summaries(worker, tmp_path):
    sample = worker.time(build(tmp_path), PLAN)
    assert sample.error is None and len(sample.wall_ns) == len(sample.summaries) == 2 and sample.cpu_ns is None
    for average, summary in zip(sample.wall_ms, sample.summaries):
        assert summary.min_ms <= average <= summary.max_ms and summary.count > 1
    assert sample.inferences == sum(s.count for s in sample.summaries) and sample.load_s > 0 and sample.first_run_ms > 0
    assert Sample.from_dict(sample.to_dict()) == sample


@pytest.mark.slow
@needs_adb
def test_single_inferences_are_split_into_invocations(worker, tmp_path):
    sample = worker.time(build(tmp_path), Plan.single_shot(samples=30, total_s=0.1))
    assert len(sample.wall_ns) == benchmark_model.SINGLE_SHOT_INVOCATIONS and sample.inferences >= 30


@needs_adb
def test_a_table_is_measured_and_files_are_sent_once(phone, tmp_path):
    jobs = {f"net{i}": Job.of(Block("mbconv", 8, 8 * i, 7, 7, kernel=3, expand=2, act="relu")) for i in (1, 2)}
    profile(DEVICE, jobs, tmp_path, replace(PLAN, repeats=1, rounds=2), transport=phone.transport())
    table = Table.read(tmp_path / "phone/table.jsonl")
    assert set(table.values()) == set(jobs) and not table.failed
    sent = phone.files
    profile(DEVICE, jobs, tmp_path / "again", replace(PLAN, repeats=1), transport=phone.transport())
    assert phone.files == sent and not [name for name in sent if name.startswith("new-")]


@needs_adb
@pytest.mark.parametrize(
    "content, reason",
    [
        (b"this is no model", "Failed to load model"),
        (b"DIE!", "exit status 139"),
        (b"LIE!", "cannot be: .*avg=-2|nan"),
    ],
)
def test_a_file_that_fails_says_why(worker, tmp_path, content, reason):
    file = tmp_path / "bad.tflite"
    file.write_bytes(content)
    assert re.search(reason, worker.time(file, PLAN).error)


@needs_adb
def test_a_hung_file_is_killed_and_costs_nothing_else(worker, phone, tmp_path):
    (tmp_path / "hung.tflite").write_bytes(b"HANG")
    assert "no answer within 2 s" in worker.time(tmp_path / "hung.tflite", replace(PLAN, time_limit_s=2.0)).error
    assert worker.time(build(tmp_path), PLAN).error is None
    processes = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if os.access(p, os.R_OK)]
    assert not [p for p in processes if str(phone.root).encode() in p and b"num_runs" in p]


@needs_adb
def test_an_option_that_means_nothing_there_is_refused(phone, tmp_path):
    with Worker(DEVICE.model_copy(update={"pin": 4096}), load_profiler("tflite"), phone.transport()) as worker:
        assert "core 4096 is not among those" in worker.time(build(tmp_path), PLAN).error
    with pytest.raises(ValueError, match="option 'gpu' means nothing to benchmark_model"):
        benchmark_model.flags("g", {"gpu": True}, 1, 0.0, 0.0, 1.0)


@needs_adb
def test_outputs_are_not_to_be_had(worker, tmp_path):
    with pytest.raises(HwnasError, match="benchmark_model cannot predict"):
        worker.predict(build(tmp_path), np.zeros((1, 8, 14, 14), np.float32))


@pytest.mark.slow
@needs_adb
def test_a_certificate_of_a_phone_says_what_its_samples_are(phone, tmp_path):
    timing = time_file(DEVICE, build(tmp_path), Rules(samples=30, processes=2, total_s=0.1), phone.transport())
    facts = timing.to_dict()
    assert facts["samples"] == 2 * benchmark_model.SINGLE_SHOT_INVOCATIONS <= 30 <= facts["inferences"]
    assert "average of one invocation" in facts["sample_is"] and facts["p90_ms"] is facts["p95_ms"] is None
    assert 0 < facts["p50_ms"] <= facts["p50_upper_ms"] <= timing.wall_ms.max()


def test_accuracy_of_a_phone_is_that_of_the_file_here_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    save_reach("phone", Reach(adb="nophone", benchmark="/no/benchmark"))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 10)).eval()
    file = load_profiler("tflite").build(net, ((1, 1, 8, 8),), DEVICE, tmp_path / "net.tflite")
    run = SimpleNamespace(data=load_data("digits"))
    found = _tested(run, net, (8, 8), {file.suffix: file}, [], DEVICE.model_copy(update={"pin": 4096}), silent)
    assert found["tested_on"].startswith("host: ") and found["parity"]["top1_agreement"] == 1 and 0 <= found["test"] <= 1


@pytest.mark.slow
@needs_adb
def test_a_phone_that_goes_away_is_waited_for(tmp_path):
    phone = Phone(tmp_path / "phone").start()
    try:
        with Worker(DEVICE, load_profiler("tflite"), phone.transport(patience_s=60)) as worker:
            assert worker.time(build(tmp_path), PLAN).error is None
            phone.stop()
            shutil.rmtree(phone.root / "data")
            timer = threading.Timer(1.5, phone.start)
            timer.start()
            assert worker.time(build(tmp_path), PLAN).error is None
            timer.join()
            phone.stop()
            threading.Timer(0.5, phone.start).start()  # away again, now in the middle of a measurement
            assert worker.time(build(tmp_path), replace(PLAN, min_total_s=2.0)).error is None
    finally:
        phone.stop()


@needs_adb
def test_an_old_phone_whose_shell_is_a_terminal_without_an_exit_status(tmp_path):
    phone = Phone(tmp_path / "phone", "--old").start()
    try:
        with Worker(DEVICE, load_profiler("tflite"), phone.transport()) as worker:
            assert worker.time(build(tmp_path), PLAN).error is None
            (tmp_path / "bad.tflite").write_bytes(b"no model")
            assert "Failed to load model" in worker.time(tmp_path / "bad.tflite", PLAN).error
    finally:
        phone.stop()


@needs_adb
def test_a_phone_that_is_not_there_and_a_program_that_is_not_there(phone, tmp_path):
    with pytest.raises(HwnasError, match="'phone' is not reached: adb nophone: .*not found"):
        Worker(DEVICE, load_profiler("tflite"), Adb("nophone", phone.benchmark)).facts()
    with pytest.raises(HwnasError, match="benchmark = '/no/benchmark': there is no such file"):
        Worker(DEVICE, load_profiler("tflite"), Adb("nophone", Path("/no/benchmark"))).facts()


# Lines as they stand in reports of users of the program.
WARM = "count=15 first=49060 curr=33682 min=32825 max=49060 avg=34825.1 std=3930\n\n"
END = "Inference timings in us: Init: 855, First inference: 49060, Warmup (avg): 34825.1, Inference (avg): 33209.4\n"


@pytest.mark.parametrize(
    "line, count, avg_ms, min_ms, max_ms, std_ms",
    [
        ("count=50 first=32891 curr=33978 min=32641 max=34005 avg=33209.4 std=450", 50, 33.2094, 32.641, 34.005, 0.45),
        ("INFO: count=50 first=3 curr=4 min=3 max=5 avg=3.5 std=0 p5=3 median=3 p95=5", 50, 0.0035, 0.003, 0.005, 0.0),
        ("count=1 curr=7000", 1, 7.0, 7.0, 7.0, 0.0),
        ("I/tflite : count=9 curr=12(all same) p5=12 median=12 p95=12", 9, 0.012, 0.012, 0.012, 0.0),
        ("count=84 first=1.2e+06 curr=1 min=1 max=1.3e+06 avg=1.1e+06 std=5", 84, 1100.0, 0.001, 1300.0, 0.005),
    ],
)
def test_what_the_program_prints(line, count, avg_ms, min_ms, max_ms, std_ms):
    found = benchmark_model.parse(f"INFO: STARTING!\n{WARM}{line}\n\n{END}")
    figures = (found.count, found.avg_ms, found.min_ms, found.max_ms, found.std_ms, found.init_ms, found.first_ms)
    assert figures == pytest.approx((count, avg_ms, min_ms, max_ms, std_ms, 0.855, 49.06))


@pytest.mark.parametrize(
    "printed, reason",
    [
        ("", "printed nothing"),
        ("ERROR: Failed to load model x\nERROR: Benchmarking failed.", "Failed to load model x"),
        ("CANNOT LINK EXECUTABLE: library not found", "CANNOT LINK"),
        (WARM, "count=15"),
        (f"count=0\n{END}", "curr"),
        (f"count=5 first=1 curr=2 min=1 max=2 avg=nan std=1\n{END}", "cannot be"),
        (f"count=5 first=1 curr=2 min=9 max=2 avg=1 std=1\n{END}", "cannot be"),
        (f"count=5 first=0 curr=0 min=0 max=0 avg=0 std=0\n{END}", "cannot be"),
    ],
)
def test_what_is_not_understood_is_refused(printed, reason):
    with pytest.raises(benchmark_model.NotUnderstood, match=reason):
        benchmark_model.parse(printed)
