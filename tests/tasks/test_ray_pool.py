"""RayPool on a real cluster of two nodes on this machine, a worker of which is killed in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from hwnas.errors import HwnasError
from hwnas.tasks import Work, Workers

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'hwnas[ray]'")
HERE = str(Path(__file__).parent)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a head and a second node, one core each, loopback only, no dashboard."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = mkdtemp(prefix="ray-", dir="/tmp")  # short: the name of a socket has at most 107 characters
    start = [Path(sys.executable).with_name("ray"), "start", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=1"]
    start += ["--object-store-memory=100000000", "--disable-usage-stats"]
    head = [*start, "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"]
    env = {**os.environ, "PYTHONPATH": HERE, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    nodes = []
    try:
        for words in (head, [*start, f"--address=127.0.0.1:{port}"]):
            nodes.append(subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True))
            if len(nodes) == 1:
                _wait_for(port, nodes[0])
        yield f"127.0.0.1:{port}"
    finally:
        ray.shutdown()
        for node in reversed(nodes):
            os.killpg(node.pid, signal.SIGTERM)  # `ray start --block` takes its own processes along
        for node in nodes:
            try:
                node.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, node: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert node.poll() is None, node.stderr.read().decode() if node.stderr else ""
            time.sleep(0.1)
    raise AssertionError("ray does not listen")


@pytest.fixture
def workers(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.syspath_prepend(HERE)
    with Workers(2, cluster) as made:
        yield made


def test_results_come_from_both_nodes(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("100")
    pool = workers.pool(Work("made_up_work:squares", {"plus": 1}, {"more": tmp_path / "more"}))
    found = dict(pool.run([{"sleep": 1}, {"sleep": 1}, *range(2, 20)]))
    assert [found[i][0] for i in range(2, 20)] == [i * i + 101 for i in range(2, 20)]
    assert len(ray.nodes()) == 2 and all(n["Alive"] for n in ray.nodes())
    assert len(set(pool.pids)) == 2  # type: ignore[attr-defined]


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
