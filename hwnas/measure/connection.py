"""Worker: a process beside the runtime, reached over its stdin and stdout, that is killed and replaced when it dies or hangs."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ..device import Device
from ..errors import HwnasError
from ..profiler import Profiler, check_device
from ..sample import Sample
from .plan import Plan

BOARD = Path(__file__).parent.parent / "board"
START_LIMIT_S = 120.0  # importing torch from a cold disk takes most of a minute
log = logging.getLogger(__name__)


class Transport(Protocol):
    """Where the worker runs: the command that starts it there, and how files get there and back."""

    def argv(self, device_module: Path) -> list[str]: ...
    def send(self, file: Path) -> str: ...  # returns its name over there
    def fetch(self, name: str, file: Path) -> None: ...


@dataclass(frozen=True)
class Local:
    """This machine, with this or another Python interpreter (a virtualenv with other versions of a runtime, say)."""

    python: str = sys.executable

    def argv(self, device_module: Path) -> list[str]:
        return [self.python, str(BOARD / "worker.py"), str(device_module)]

    def send(self, file: Path) -> str:
        return str(file.resolve())

    def fetch(self, name: str, file: Path) -> None:
        if Path(name) != file.resolve():
            file.write_bytes(Path(name).read_bytes())


class WorkerLost(Exception):
    """The worker died or did not answer in time; the message says which. It has been killed."""


class Worker:
    """`with Worker(device, profiler) as worker: worker.time(file, plan)`.

    Starting it asks for the device's facts, so a runtime that is not there shows at once, as an HwnasError with the command that
    installs it. A file that kills or hangs the worker costs that file only: the next request starts another worker.
    """

    def __init__(self, device: Device, profiler: Profiler, transport: Transport | None = None):
        check_device(device, profiler)
        self.device, self.profiler, self.transport = device, profiler, transport or Local()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None
        self._facts: dict[str, Any] = {}
        self._id = 0

    def __enter__(self) -> Worker:
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the local end of the connection, or None while there is none."""
        return self._process.pid if self._process else None

    def facts(self) -> dict[str, Any]:
        """What the device side said when it started: host (identity), conditions (passing), runtime."""
        if self._process is None:
            self._start()
        return self._facts

    def fingerprint(self) -> dict[str, Any]:
        """Under what rows are measured: the device's settings, the host's identity, the runtime's name and version.

        An estimate depends on no host: it is the same wherever it is computed.
        """
        facts = self.facts()
        host = {} if self.profiler.estimate else facts["host"]
        return {"device": self.device.settings, "host": host, "runtime": facts["runtime"]}

    def time(self, file: Path, plan: Plan) -> Sample:
        """Times a file once, after the plan. What goes wrong with the file is a Sample with an error."""
        request = {"do": "time", "file": self.transport.send(file), "plan": plan.to_dict()}
        try:
            return Sample.from_dict(self._ask(request, plan.time_limit_s))
        except WorkerLost as lost:
            return Sample.failed(str(lost))
        except ValueError as error:
            return Sample.failed(f"the device's answer was refused: {error}")

    def predict(self, file: Path, x: np.ndarray, time_limit_s: float = 600.0) -> np.ndarray:
        """Outputs (n, ...) of the file for x (n, c, h, w) float32, run on the device. Raises HwnasError if it cannot."""
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            x_file, y_file = Path(folder, "x.npy"), Path(folder, "y.npy")
            np.save(x_file, np.ascontiguousarray(x, dtype=np.float32), allow_pickle=False)
            x_there = self.transport.send(x_file)
            y_there = str(Path(x_there).with_name("y.npy"))
            try:
                answer = self._ask({"do": "predict", "file": self.transport.send(file), "x": x_there, "y": y_there}, time_limit_s)
            except WorkerLost as lost:
                raise HwnasError(f"device {self.device.name!r}: {file.name}: {lost}") from None
            if "error" in answer:
                raise HwnasError(f"device {self.device.name!r}: {file.name}: {answer['error']}")
            self.transport.fetch(y_there, y_file)
            return np.asarray(np.load(y_file, allow_pickle=False))

    def close(self) -> None:
        """Lets the worker end; kills it if it does not within 2 s."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin and self._stderr
        try:
            process.stdin.close()  # end of input is how a worker is told to go
        except OSError:
            pass
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._stderr.close()

    def _start(self) -> None:
        argv = self.transport.argv(self.profiler.device_module)
        self._stderr = tempfile.TemporaryFile()
        self._lines = queue.Queue()
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                encoding="utf-8",
                errors="replace",
                env={k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"},  # ours for training, see hwnas.cli
                start_new_session=True,  # Ctrl-C is for us; the worker ends when its input does
            )
        except OSError as error:
            self._stderr.close()
            raise HwnasError(f"device {self.device.name!r}: cannot start {argv[0]}: {error}") from None
        threading.Thread(target=_read_lines, args=(self._process.stdout, self._lines), daemon=True).start()
        try:
            facts = self._ask({"do": "facts"}, START_LIMIT_S)
            reason = facts.get("error") or (None if facts.keys() >= {"host", "runtime"} else f"its facts are {facts}")
        except WorkerLost as lost:
            reason = str(lost)
        if reason:
            self.close()
            missing = reason.startswith(("ImportError", "ModuleNotFoundError")) and self.profiler.extra
            install = f" Its runtime is installed with: {self.profiler.extra}" if missing else ""
            raise HwnasError(f"device {self.device.name!r} (runtime {self.device.runtime!r}) does not start: {reason}.{install}")
        self._facts = facts

    def _ask(self, request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Sends a request and returns the answer with its id; raises WorkerLost if there is none in time."""
        if self._process is None:
            self._start()
        process = self._process
        assert process and process.stdin
        self._id += 1
        deadline = time.monotonic() + time_limit_s
        line = json.dumps({"id": self._id, **request, "options": self.device.worker_options, "time_limit_s": time_limit_s})
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            while True:
                answer = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
                if answer is None:
                    break
                if (fields := _answer(answer, self._id)) is not None:
                    return fields
                log.debug("device %s: not an answer: %s", self.device.name, answer.rstrip())
        except OSError:
            pass  # it closed its input: it is dead, and its exit status says more
        except queue.Empty:
            process.kill()
            self.close()
            raise WorkerLost(f"no answer within {time_limit_s:g} s: killed") from None
        raise WorkerLost(self._bury())

    def _bury(self) -> str:
        """Cleans up after a worker that closed its end of the line; returns how it died and its last words."""
        process = self._process
        assert process and self._stderr
        try:
            process.wait(1)  # it is about to end by itself, with a status of its own
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._stderr.seek(0, 2)
        self._stderr.seek(max(0, self._stderr.tell() - 2000))
        words = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        code = process.returncode
        status = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self.close()
        return f"the worker died ({status})" + (f": {words[-1]}" if words else "")


def _read_lines(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Puts each line into the queue, then None: in a thread, so that waiting for a line can have a limit everywhere."""
    try:
        with stream:
            for line in stream:
                lines.put(line)
    finally:
        lines.put(None)


def _answer(line: str, request_id: int) -> dict[str, Any] | None:
    """The answer to this request, or None for anything else on the line: a banner, junk, an answer to a request of before."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and fields.get("id") == request_id else None
