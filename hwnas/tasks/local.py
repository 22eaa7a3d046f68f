"""LocalPool: workers that are processes of this machine."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from ..errors import HwnasError
from .pool import MAX_DEATHS, Tell, Work, deadly, failed


class WorkerDied(Exception):
    """The message says how."""


class LocalPool:
    """Plain subprocesses that speak JSON lines: no fork of a process that has threads, no pickle, no port.

    They start when there is something to do, with one thread each for what computes, and end with their input: also when this
    process is killed.
    """

    def __init__(self, work: Work, workers: int):
        if workers < 1:
            raise HwnasError(f"workers = {workers}: at least 1")
        self.work, self._workers = work, [_Process(work) for _ in range(workers)]

    @property
    def pids(self) -> list[int]:
        """Of the workers that run now."""
        return [w.process.pid for w in self._workers if w.process is not None]

    def run(self, jobs: Sequence[Any], told: Callable[[int, Any], None] | None = None) -> Iterator[tuple[int, Any]]:
        """See Pool.run. A thread waits for each worker; what it hears comes through one queue."""
        todo, heard = iter(range(len(jobs))), queue.Queue[tuple[str, int, Any]]()
        lock, stop = threading.Lock(), threading.Event()

        def serve(worker: _Process) -> None:
            while not stop.is_set():
                with lock:
                    number = next(todo, None)
                if number is None:
                    return
                heard.put(self._attempt(worker, number, jobs[number], stop, lambda said, n=number: heard.put(("told", n, said))))  # type: ignore[misc]

        threads = [threading.Thread(target=serve, args=(w,), daemon=True) for w in self._workers[: len(jobs)]]
        for thread in threads:
            thread.start()
        try:
            left = len(jobs)
            while left:
                kind, number, what = heard.get()
                if kind == "result":
                    left -= 1
                    yield number, what
                elif kind == "told":
                    if told is not None:
                        told(number, what)
                else:
                    raise what
        finally:
            stop.set()
            if any(t.is_alive() for t in threads):  # left before the end: what still runs is of no use
                for worker in self._workers:
                    worker.kill()
            for thread in threads:
                thread.join()

    def _attempt(self, worker: _Process, number: int, job: Any, stop: threading.Event, tell: Tell) -> tuple[str, int, Any]:
        last = ""
        for _ in range(MAX_DEATHS):
            try:
                answer = worker.ask(job, tell)
                if "error" in answer:
                    return "failed", number, failed(number, job, answer["error"])
                return "result", number, answer["result"]
            except WorkerDied as death:
                last = str(death)
            except HwnasError as error:
                return "failed", number, error
            if stop.is_set():
                break
        return "failed", number, deadly(number, job, last)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


class _Process:
    """One worker; started when it is asked something, and again after it has died."""

    def __init__(self, work: Work):
        self.work = work
        self.process: subprocess.Popen[str] | None = None
        self._stderr: IO[bytes] | None = None

    def ask(self, job: Any, tell: Tell) -> dict[str, Any]:
        """{"result": ...} or {"error": ...}. Raises WorkerDied, and HwnasError when the worker cannot begin its work."""
        if self.process is None:
            self._start()
        return self._ask({"job": job}, tell)

    def _start(self) -> None:
        self._stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hwnas.tasks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for us
        )
        work = self.work
        answer = self._ask({"make": work.make, "setup": dict(work.setup), "files": {k: str(p) for k, p in work.files.items()}})
        if "error" in answer:
            self.close()
            raise HwnasError(f"a worker cannot begin: {answer['error']}")

    def _ask(self, request: dict[str, Any], tell: Tell | None = None) -> dict[str, Any]:
        process = self.process
        assert process and process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            while line := process.stdout.readline():
                if not line.endswith("\n"):
                    break  # torn: it died while it wrote
                answer: dict[str, Any] = json.loads(line)
                if "told" not in answer:
                    return answer
                if tell is not None:
                    tell(answer["told"])
        except OSError:
            pass  # its exit status says more
        raise WorkerDied(self._bury())

    def _bury(self) -> str:
        process, stderr, self.process = self.process, self._stderr, None
        assert process and stderr
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
        code = process.wait()
        stderr.seek(max(0, stderr.seek(0, 2) - 2000))
        words = stderr.read().decode("utf-8", "replace").strip().splitlines()
        _shut(process, stderr)
        status = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return status + (f": {words[-1]}" if words else "")

    def kill(self) -> None:
        """From another thread: whoever waits for an answer learns of its death."""
        if (process := self.process) is not None:
            process.kill()

    def close(self) -> None:
        """Lets it end; kills it if it does not within 2 s."""
        process, stderr, self.process = self.process, self._stderr, None
        if process is None or stderr is None:
            return
        assert process.stdin
        try:
            process.stdin.close()
            process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        _shut(process, stderr)


def _shut(process: subprocess.Popen[str], stderr: IO[bytes]) -> None:
    stderr.close()
    for stream in (process.stdin, process.stdout):
        try:
            if stream is not None:
                stream.close()
        except OSError:
            pass  # what was not written yet has no reader
