"""RayPool: workers that are actors of a Ray cluster. Ray pickles what it sends and opens ports: for clusters that you trust only."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ..errors import HwnasError
from .pool import MAX_DEATHS, Work, deadly, failed

START_LIMIT_S = 180.0  # with no worker at all; importing torch from a cold disk takes most of a minute
TICK_S = 1.0  # how often workers are asked how far they are
SAME = ("hwnas", "torch", "numpy", "onnxruntime")  # versions on every node: others would score by other bits


class RayPool:
    """One actor for each core of the cluster, or `count` of them; one core and one thread each.

    hwnas must be installed on every node. A worker or a node that is lost costs the task in flight, which another one does again;
    a new actor takes its place as soon as the cluster has room for one.
    """

    def __init__(self, work: Work, address: str, count: int = 0):
        self._ray = _connected(address)
        self.work, self.count = work, count
        contents = {name: path.read_bytes() for name, path in work.files.items()}
        self._contents = self._ray.put(contents)  # sent once to each node
        self._idle: list[Any] = []
        self._pending: dict[Any, tuple[Any, int | None]] = {}  # what an actor will answer -> (actor, number of its job; None: it begins)
        self._deaths_at_start = 0

    @property
    def pids(self) -> list[int]:
        """Of idle workers, each on its own node."""
        return list(self._ray.get([a.pid.remote() for a in self._idle]))

    def run(self, jobs: Sequence[Any], told: Callable[[int, Any], None] | None = None) -> Iterator[tuple[int, Any]]:
        """See Pool.run."""
        ray, todo, deaths, left = self._ray, deque(range(len(jobs))), Counter[int](), len(jobs)
        for _ in range(min(self._room(), len(jobs)) - len(self._idle) - len(self._pending)):
            self._hire()
        heard = time.monotonic()
        try:
            while left:
                while self._idle and todo:
                    actor, following = self._idle.pop(), todo.popleft()
                    self._pending[actor.do.remote(jobs[following])] = actor, following
                done, _ = ray.wait(list(self._pending), timeout=TICK_S)
                busy = [(a, n) for a, n in self._pending.values() if n is not None]
                if busy or done:
                    heard = time.monotonic()
                elif time.monotonic() - heard > START_LIMIT_S:
                    free, all_of_them = (f().get("CPU", 0) for f in (ray.available_resources, ray.cluster_resources))
                    raise HwnasError(f"--ray: no worker started within {START_LIMIT_S:g} s: {free:g} of {all_of_them:g} cores are free")
                for reference in done:
                    actor, now = self._pending.pop(reference)
                    answer = self._answer(reference, actor, now, jobs, todo, deaths)
                    if answer is not None and now is not None:
                        left -= 1
                        yield now, answer
                if told is not None and not done:
                    self._ask_how_far(busy, told)
        finally:
            for reference, (actor, number) in list(self._pending.items()):
                if number is not None:  # left before the end: what still runs is of no use
                    del self._pending[reference]
                    ray.kill(actor)

    def close(self) -> None:
        for actor in [*self._idle, *(a for a, _ in self._pending.values())]:
            self._ray.kill(actor)
        self._idle.clear()
        self._pending.clear()

    def _room(self) -> int:
        return self.count or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def _hire(self) -> None:
        actor = self._ray.remote(num_cpus=1, max_restarts=0, concurrency_groups={"say": 1})(_Actor).remote()
        self._pending[actor.begin.remote(self.work.make, dict(self.work.setup), self._contents, os.getcwd())] = actor, None

    def _answer(self, reference: Any, actor: Any, number: int | None, jobs: Sequence[Any], todo: deque[int], deaths: Counter[int]) -> Any:
        """The result of a task; None where there is none: a worker that has begun, or one that died, whose task goes back to the others."""
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as death:
            self._ray.kill(actor)  # if its node only was out of reach, it must not go on
            self._hire()
            last = str(death).strip().splitlines()[0]
            if number is None:
                self._deaths_at_start += 1
                if self._deaths_at_start == MAX_DEATHS:
                    raise HwnasError(f"--ray: {MAX_DEATHS} workers died while they began, the last one: {last}") from None
                return None
            deaths[number] += 1
            if deaths[number] == MAX_DEATHS:
                raise deadly(number, jobs[number], last) from None
            todo.appendleft(number)
            return None
        if "error" in answer:
            if number is None:
                raise HwnasError(f"--ray: a worker cannot begin: {answer['error']}")
            raise failed(number, jobs[number], answer["error"])
        self._idle.append(actor)
        if number is None:
            self._deaths_at_start = 0
            _require_same(answer["node"], answer["versions"])
            return None
        return answer["result"]

    def _ask_how_far(self, busy: Sequence[tuple[Any, int]], told: Callable[[int, Any], None]) -> None:
        for actor, number in busy:
            try:
                said = self._ray.get(actor.said.options(concurrency_group="say").remote(), timeout=TICK_S)
            except self._ray.exceptions.RayError:
                continue  # dead or far away: its task says so
            if said is not None:
                told(number, said)


class _Actor:
    """A worker. `said` runs beside `do`, in a thread of its own."""

    def __init__(self) -> None:
        self.latest: Any = None

    def begin(self, make: str, setup: dict[str, Any], contents: dict[str, bytes], folder: str) -> dict[str, Any]:
        if os.path.isdir(folder):
            os.chdir(folder)  # so that names of files mean here what they mean there, on one machine or a shared disk
        os.environ["OMP_NUM_THREADS"] = "1"
        own = Path(mkdtemp(prefix="hwnas-ray-"))
        files = {name: own / Path(name).name for name in contents}
        for name, path in files.items():
            path.write_bytes(contents[name])
        try:
            self.work = Work(make, setup, files).begin()
        except Exception as error:
            return {"error": _reason(error)}
        finally:
            for path in files.values():
                path.unlink()
            own.rmdir()
        return {"node": os.uname().nodename, "versions": _versions()}

    def do(self, job: Any) -> dict[str, Any]:
        self.latest = None
        try:
            return {"result": self.work(job, self._tell)}
        except Exception as error:
            return {"error": _reason(error)}

    def said(self) -> Any:
        return self.latest

    def pid(self) -> int:
        return os.getpid()

    def _tell(self, said: Any) -> None:
        self.latest = said


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, HwnasError) else f"{type(error).__name__}: {error}"


def _versions() -> dict[str, str]:
    found = {}
    for name in SAME:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def _require_same(node: str, there: dict[str, str]) -> None:
    here = _versions()
    if other := [f"{name} {there[name]}, here {here[name]}" for name in SAME if there[name] != here[name]]:
        raise HwnasError(f"--ray: node {node} has {'; '.join(other)}: install the same versions on all nodes")


def _connected(address: str) -> Any:
    """The module ray, connected. Raises HwnasError where it is not installed, or nothing answers at the address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # leaves CUDA_VISIBLE_DEVICES alone where no GPU is asked for
    try:
        import ray
    except ImportError:
        raise HwnasError("--ray: ray is not installed: pip install 'hwnas[ray]', on every node of the cluster") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError, AssertionError) as error:
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            way_out = "`ray start --head` starts one, see docs/many-machines.md"
            raise HwnasError(f"--ray {address!r}: no cluster there ({said}): {way_out}") from None
    return ray
