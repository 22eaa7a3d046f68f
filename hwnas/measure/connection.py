"""Worker: a process beside the runtime, reached over its stdin and stdout, that is killed and replaced when it dies or hangs."""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

from ..device import Device
from ..errors import HwnasError
from ..profiler import Profiler, check_device
from ..sample import Sample
from ..transports.reach import transport_of
from ..transports.transport import LINK_LOST, LinkLost, Local, Transport
from .as_trained import WEIGHTS
from .plan import Plan

START_LIMIT_S = 120.0  # importing torch from a cold disk takes most of a minute
LINK_TRIES = 3  # of one request; a file that takes the board down each time has failed
START_TRIES = 3  # of a worker that has run before and dies while it starts: something out of memory, or out of patience, kills it
LONGEST_PAUSE_S = 10.0  # between two attempts to reach a device that is away
OURS = ("GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS")  # variables that suit training and searching, see hwnas.cli: no worker gets them
T = TypeVar("T")
_BEST_NS: dict[str, int] = {}  # machine, as it is reached -> the best of hwnas/board/calm.py there so far, for the workers to come
log = logging.getLogger(__name__)


class WorkerLost(Exception):
    """The worker died or did not answer in time; the message says which. It has been killed."""


class Worker:
    """`with Worker(device, profiler) as worker: worker.time(file, plan)`.

    Without a transport the device is reached as the user's configuration says (hwnas.transports.reach). Starting it asks for the
    device's facts, so a runtime that is not there shows at once, as an HwnasError with the command that installs it. A file that
    kills or hangs the worker costs that file only: the next request starts another worker. A link that is lost, or a board that
    reboots, costs nothing but time: it is waited for, what it lost is sent again, and the request is made again.
    """

    def __init__(self, device: Device, profiler: Profiler, transport: Transport | None = None):
        check_device(device, profiler)
        self.device, self.profiler, self.transport = device, profiler, transport or transport_of(device.name)
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None
        self._facts: dict[str, Any] = {}
        self._pid_there: int | None = None  # of the worker that runs now, on its own machine
        self._session, self._id = secrets.token_hex(4), 0  # so that no banner and no device can guess the id of a request

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

    def conditions(self) -> dict[str, Any]:
        """Load, temperature and frequency as they are now, as far as the device tells. Raises HwnasError if it does not answer."""
        try:
            return dict(self._again_over_a_new_link(lambda: self._ask({"do": "facts"}, START_LIMIT_S)).get("conditions", {}))
        except (WorkerLost, LinkLost) as lost:
            raise HwnasError(f"device {self.device.name!r}: {lost}") from None

    def fingerprint(self) -> dict[str, Any]:
        """Under what rows are measured: the device's settings, the host's identity, the runtime's name and version, and what files hold.

        An estimate depends on no host: it is the same wherever it is computed.
        """
        facts = self.facts()
        host = {} if self.profiler.estimate else facts["host"]
        return {"device": self.device.settings, "host": host, "runtime": facts["runtime"], "weights": WEIGHTS}

    def time(self, file: Path, plan: Plan) -> Sample:
        """Times a file once, after the plan. What goes wrong with the file is a Sample with an error."""

        def ask() -> dict[str, Any]:
            known = {"best_ns": _BEST_NS.get(str(self.transport))}
            return self._ask({"do": "time", "file": self.transport.send(file), "plan": plan.to_dict(), **known}, plan.time_limit_s)

        try:
            answer = self._again_over_a_new_link(ask)
            sample = Sample.from_dict(answer)
            self.knows(sample.best_ns)
            return sample
        except (WorkerLost, LinkLost) as lost:
            return Sample.failed(str(lost))
        except ValueError as error:
            return Sample.failed(f"the device's answer was refused: {error}")

    def knows(self, best_ns: int | None) -> None:
        """What the core was seen to do at its best (Sample.best_ns), so that this worker and those to come know when somebody slows it."""
        if best_ns is not None:
            machine = str(self.transport)
            _BEST_NS[machine] = min(best_ns, _BEST_NS.get(machine, best_ns))

    def predict(self, file: Path, x: np.ndarray, time_limit_s: float = 600.0) -> np.ndarray:
        """Outputs (n, ...) of the file for x (n, c, h, w) float32, run on the device. Raises HwnasError if it cannot."""
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
            x_file, y_file = Path(folder, "x.npy"), Path(folder, "y.npy")
            np.save(x_file, np.ascontiguousarray(x, dtype=np.float32), allow_pickle=False)

            def ask() -> dict[str, Any]:
                x_there = self.transport.send(x_file)
                y_there = x_there.removesuffix(x_file.name).removesuffix(x_file.suffix) + "y.npy"
                request = {"do": "predict", "file": self.transport.send(file), "x": x_there, "y": y_there}
                answer = self._ask(request, time_limit_s)
                if "error" not in answer:
                    self.transport.fetch(y_there, y_file)
                return answer

            try:
                answer = self._again_over_a_new_link(ask)
            except (WorkerLost, LinkLost) as lost:
                raise HwnasError(f"device {self.device.name!r}: {file.name}: {lost}") from None
            if "error" in answer:
                raise HwnasError(f"device {self.device.name!r}: {file.name}: {answer['error']}")
            try:
                return np.asarray(np.load(y_file, allow_pickle=False))
            except (OSError, ValueError, EOFError) as error:
                raise HwnasError(f"device {self.device.name!r}: {file.name}: its outputs are no array: {error}") from None

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
            _kill(process)
            process.wait()
        self._stderr.close()

    def _again_over_a_new_link(self, do: Callable[[], T]) -> T:
        """What do returns, tried again when the link is lost in it. Raises LinkLost when it is lost every time."""
        for _ in range(LINK_TRIES):
            try:
                if self._process is None:
                    self._start()
                return do()
            except LinkLost as lost:
                reason = lost
                log.warning("device %s: the link was lost: %s", self.device.name, lost)
                self.close()
        raise LinkLost(f"the link was lost {LINK_TRIES} times while it ran, the last time: {reason}")

    def _start(self) -> None:
        """Starts a worker; a device that was reached before is waited for."""
        deadline, pause_s, deaths = time.monotonic() + self.transport.patience_s, 0.5, 0
        while True:
            try:
                return self._start_once()
            except LinkLost as lost:
                if not self._facts:
                    raise HwnasError(f"device {self.device.name!r} is not reached: {lost}") from None
                if time.monotonic() + pause_s > deadline:
                    given_up = f"device {self.device.name!r} was lost and did not come back within {self.transport.patience_s:g} s: {lost}"
                    raise HwnasError(f"{given_up}. What was measured is kept: run the same command again to go on") from None
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            except WorkerLost as lost:
                deaths += 1
                if not self._facts or deaths == START_TRIES:
                    raise self._does_not_start(str(lost)) from None

    def _does_not_start(self, reason: str) -> HwnasError:
        missing = reason.startswith(("ImportError", "ModuleNotFoundError")) and self.profiler.extra
        install = f" Its runtime is installed with: {self.profiler.extra}" if missing else ""
        return HwnasError(f"device {self.device.name!r} (runtime {self.device.runtime!r}) does not start: {reason}.{install}")

    def _start_once(self) -> None:
        self._pid_there = None
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
                env={k: v for k, v in os.environ.items() if k not in OURS},
                start_new_session=True,  # Ctrl-C is for us; the worker ends when its input does; it and what it starts are a group
            )
        except OSError as error:
            self._stderr.close()
            raise HwnasError(f"device {self.device.name!r}: cannot start {argv[0]}: {error}") from None
        threading.Thread(target=_read_lines, args=(self._process.stdout, self._lines), daemon=True).start()
        facts = self._ask({"do": "facts"}, START_LIMIT_S)
        if reason := facts.get("error") or (None if facts.keys() >= {"host", "runtime"} and _is_json(facts) else f"its facts are {facts}"):
            self.close()
            raise self._does_not_start(reason)
        if self._facts and (changes := _changes(self._facts, facts)):
            self.close()
            what = f"device {self.device.name!r} came back another one ({changes})"
            raise HwnasError(f"{what}: what it measures now must not mix with what was measured before")
        self._facts, pid = facts, facts.get("pid")
        self._pid_there = pid if type(pid) is int and pid > 1 else None

    def _ask(self, request: dict[str, Any], time_limit_s: float) -> dict[str, Any]:
        """Sends a request and returns the answer with its id; raises WorkerLost if there is none in time."""
        if self._process is None:
            self._start()
        process = self._process
        assert process and process.stdin
        self._id += 1
        deadline = time.monotonic() + time_limit_s
        line = json.dumps(
            {"id": f"{self._session}-{self._id}", **request, "options": self.device.worker_options, "time_limit_s": time_limit_s}
        )
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            while True:
                answer = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
                if answer is None:
                    break
                if (fields := _answer(answer, f"{self._session}-{self._id}")) is not None:
                    return fields
                log.debug("device %s: not an answer: %s", self.device.name, answer.rstrip())
        except OSError:
            pass  # it closed its input: it is dead, and its exit status says more
        except queue.Empty:
            if self._pid_there is not None:
                self.transport.kill(self._pid_there)
            _kill(process)
            self.close()
            raise WorkerLost(f"no answer within {time_limit_s:g} s: killed") from None
        raise WorkerLost(self._bury())

    def _bury(self) -> str:
        """Cleans up after a worker that closed its end of the line; returns how it died and its last words. Raises LinkLost."""
        process = self._process
        assert process and self._stderr
        try:
            process.wait(1)  # it is about to end by itself, with a status of its own
        except subprocess.TimeoutExpired:
            _kill(process)
            process.wait()
        self._stderr.seek(0, 2)
        self._stderr.seek(max(0, self._stderr.tell() - 2000))
        words = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        code = process.returncode
        self.close()
        if code == LINK_LOST and not isinstance(self.transport, Local):
            raise LinkLost(f"{self.transport} was cut" + (f" ({words[-1]})" if words else ""))
        number = -code if code < 0 else code - 128 if code > 128 else 0  # a shell between us adds 128
        status = f"signal {signal.Signals(number).name}" if number in set(signal.Signals) else f"exit status {code}"
        return f"the worker died ({status})" + (f": {words[-1]}" if words else "")


def _kill(process: subprocess.Popen[str]) -> None:
    """Ends a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In what identity and runtime differ: `host.governor: 'performance' before, 'ondemand' now`; empty when they do not."""
    leaves = [(part, name) for part in ("host", "runtime") for name in {**before[part], **now[part]}]
    pairs = [(f"{part}.{name}", before[part].get(name), now[part].get(name)) for part, name in leaves]
    return "; ".join(f"{name}: {a!r} before, {b!r} now" for name, a, b in pairs if a != b)


def _is_json(facts: dict[str, Any]) -> bool:
    """Whether a file can hold them: no NaN, no infinity."""
    try:
        json.dumps(facts, allow_nan=False)
    except ValueError:
        return False
    return True


def _read_lines(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Puts each line into the queue, then None: in a thread, so that waiting for a line can have a limit everywhere."""
    try:
        with stream:
            for line in stream:
                lines.put(line)
    finally:
        lines.put(None)


def _answer(line: str, request_id: str) -> dict[str, Any] | None:
    """The answer to this request, or None for anything else on the line: a banner, junk, an answer to a request of before."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and fields.get("id") == request_id else None
