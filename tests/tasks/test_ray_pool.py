"""RayPool on a real cluster of two nodes on this machine, a worker of which is killed in the middle."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch

from hwnas.data import load_data
from hwnas.device import Device
from hwnas.errors import HwnasError
from hwnas.measure import Plan
from hwnas.score import InheritedScorer, scoring_work
from hwnas.spaces import load_space
from hwnas.steps.boards import Profiling, profile_boards
from hwnas.supernet import Supernet
from hwnas.table import Table
from hwnas.tasks import Work, Workers
from hwnas.transports.reach import Reach, save_reach

sys.path.insert(0, str(Path(__file__).parent.parent / "transports"))
import sshd

HERE = str(Path(__file__).parent)
without_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install 'hwnas[ray]'")
pytestmark = [pytest.mark.slow, without_ray]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a head and a second node, one core each, no dashboard. Ray listens on every interface, so it asks for a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(mkdtemp(prefix="ray-", dir="/tmp"))  # short: the name of a socket has at most 107 characters
    start = [Path(sys.executable).with_name("ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=100000000"]
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    settings = {"PYTHONPATH": HERE, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    nodes = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        try:
            for k, words in enumerate((head, [f"--address=127.0.0.1:{port}"])):
                with (folder / f"{k}.log").open("wb") as log:
                    nodes.append(subprocess.Popen([*start, *words], stdout=log, stderr=log, start_new_session=True))
                _wait_for(nodes[k], folder / f"{k}.log")
            yield f"127.0.0.1:{port}"
        finally:
            if "ray" in sys.modules:  # imported by now, after its settings
                sys.modules["ray"].shutdown()
            for node in reversed(nodes):
                os.killpg(node.pid, signal.SIGKILL)  # all that it started; an orderly end takes most of a minute
                node.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_for(node: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        if "Ray runtime started" in log.read_text():
            return
        assert node.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def workers(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.syspath_prepend(HERE)
    with Workers(2, cluster) as made:
        yield made


def test_results_come_from_both_nodes(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("100")
    pool = workers.pool(Work("made_up_work:squares", {"plus": 1}, {"more": tmp_path / "more"}))
    names = [str(tmp_path / name) for name in "ab"]
    found = dict(pool.run([{"meet": names, "me": 0}, {"meet": names, "me": 1}, *range(2, 20)]))
    assert [found[i][0] for i in range(2, 20)] == [i * i + 101 for i in range(2, 20)]
    nodes = sys.modules["ray"].nodes()
    assert len(nodes) == 2 and all(n["Alive"] for n in nodes)
    assert found[0] != found[1] and {found[0], found[1]} == set(pool.pids)  # type: ignore[attr-defined]


def test_the_task_of_a_killed_worker_is_done_again(workers: Workers, tmp_path: Path) -> None:
    pool = workers.pool(Work("made_up_work:squares", {"plus": 1}))
    said: list[int] = []
    found = dict(pool.run([1, {"die": str(tmp_path / "mark")}, 2, {"sleep": 3}, 4], lambda n, what: said.append(n)))
    assert found[1] == "alive" and found[3] == "slept" and [found[i][0] for i in (0, 2, 4)] == [2, 5, 17]
    assert (tmp_path / "mark").exists() and set(said) == {3}


def test_a_task_that_kills_three_workers_is_named(workers: Workers, tmp_path: Path) -> None:
    pool = workers.pool(Work("made_up_work:squares", {"plus": 1}))
    with pytest.raises(HwnasError, match="task 0 .*never.*3 workers died of it"):
        list(pool.run([{"die": str(tmp_path / "never"), "once": False}, 2]))


def test_what_cannot_begin_or_fails_is_one_line(workers: Workers) -> None:
    with pytest.raises(HwnasError, match="cannot begin: data 'none'"):
        list(workers.pool(Work("made_up_work:cannot_begin", {})).run([1]))
    with pytest.raises(HwnasError, match="task 0 .*ValueError: no such thing"):
        list(workers.pool(Work("made_up_work:squares", {"plus": 1})).run([{"raise": "no such thing"}]))


def test_scores_of_a_cluster_are_those_of_one_process(workers: Workers, tmp_path: Path) -> None:
    data, space = load_data("digits", 0), load_space("quickstart", {"channels": 1, "size": 8, "classes": 10})
    torch.manual_seed(0)
    net, Z = Supernet(space, True).eval(), space.sample(6, np.random.default_rng(0))
    expected = InheritedScorer(net, data, valid_images=100).score(Z)
    scorer = InheritedScorer(net, data, valid_images=100)
    scorer.pool = workers.pool(scoring_work(scorer, "quickstart", "digits", 0, workers.folder))
    assert scorer.score(Z).tolist() == expected.tolist()


@sshd.needs_sshd
def test_boards_are_profiled_from_the_cluster(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    board = sshd.make_board(tmp_path / "board")
    board.start()
    try:
        save_reach("pi", Reach(ssh=board.host, ssh_config=str(board.config), python=sys.executable))
        plan = Plan(rounds=1, repeats=1, min_repeat_s=0.001, warmup_s=0.0)
        profiling = Profiling("quickstart", None, 12, 19, 0, False, plan)
        assert profile_boards([Device(name="pi", runtime="onnx")], tmp_path / "lut", profiling, ray=cluster) == {}
        folder = tmp_path / "lut/pi"
        assert len(Table.read(folder / "table.jsonl").values()) >= 12 + 19 and (folder / "device.toml").exists()
        assert (folder / "calibration.json").exists() and (folder / "trust.json").exists()
    finally:
        board.stop()
