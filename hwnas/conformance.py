"""The conformance kit: does a profiler keep what hwnas relies on? Plain check functions, as scikit-learn's check_estimator has them.

`hwnas check NAME` runs them. In a plugin's own tests, with pytest or any runner that collects methods called test_*:

    from hwnas.conformance import Conformance
    from hwnas.device import Device

    class TestMine(Conformance):
        device = Device(name="mine", runtime="mine")
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .block import Block
from .device import Device
from .errors import HwnasError
from .measure import Job, Local, Plan, Worker
from .profiler import API, Profiler, load_profiler

SMALL = Block("mbconv", 8, 16, 9, 9, stride=2, kernel=3, expand=3, act="relu")
LARGE = Block("mbconv", 16, 16, 48, 48, kernel=5, expand=6, act="relu")
JOINED = Block("concat", 4, 12, 6, 6, inputs=3)
PLAN = Plan(min_repeat_s=0.005, repeats=3, warmup_s=0.0, rounds=1, time_limit_s=120.0)
SESSIONS = 12
END_S = 30.0
LEAK_BYTES = 1_000_000  # a session, of resident memory
TOLERANCE = {
    "fp32": 1e-3,
    "tf32": 1e-2,
    "fp16": 2e-2,
    "bf16": 1e-1,
}  # of the largest output; others: half, which still finds a wrong layout


@dataclass
class Subject:
    """What a check looks at: a profiler, a device that uses it, a worker that runs, and a folder for files."""

    profiler: Profiler
    device: Device
    worker: Worker
    folder: Path

    def file(self, block: Block, batch: int | None = None) -> Path:
        """The block's file, made by the profiler."""
        job = Job.of(block, batch or self.device.batch)
        out = self.folder / f"{abs(hash((block, batch))):x}{self.profiler.suffix}"
        return self.profiler.build(job.module(), job.shapes, self.device, out)

    @property
    def estimate(self) -> bool:
        """Whether times are computed from a datasheet: then nothing takes time."""
        return bool(self.worker.facts()["runtime"].get("estimate"))


Check = Callable[[Subject], None]  # raises AssertionError with what is wrong and what would be right


def interface(it: Subject) -> None:
    """api, suffix and device_module are what they should be, and the device side stands on its own."""
    p = it.profiler
    assert p.api == API, f"api is {p.api!r}: expected {API}"
    assert p.suffix.startswith(".") and len(p.suffix) > 1, f"suffix is {p.suffix!r}: expected a file name's ending, such as '.onnx'"
    assert Path(p.device_module).is_file(), f"device_module {p.device_module}: there is no such file"
    assert p.extra == "" or " " in p.extra, f"extra is {p.extra!r}: expected the whole command that installs the runtime"
    tree = ast.parse(Path(p.device_module).read_text(encoding="utf-8"), feature_version=(3, 9))
    relative = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    assert not relative, f"the device side imports {relative[0]!r} relative to a package: on a board it is a single file"


def facts(it: Subject) -> None:
    """facts() names the runtime and its version, and says the same every time: rows are kept apart by them."""
    runtime = it.worker.facts()["runtime"]
    for field in ("name", "version"):
        assert isinstance(runtime.get(field), str) and runtime[field], f"facts()[{field!r}] is {runtime.get(field)!r}: expected a text"
    with Worker(it.device, it.profiler, it.worker.transport) as another:
        again = another.facts()["runtime"]
    assert again == runtime, f"facts() of two processes differ: {runtime} and {again}; rows of the two would never mix"


def build_is_deterministic(it: Subject) -> None:
    """The same module makes the same bytes in the file it was told to write, and no other file."""
    made, job = [], Job.of(SMALL, it.device.batch)
    for name in ("one", "two"):
        folder = it.folder / name
        folder.mkdir()
        out = folder / f"x{it.profiler.suffix}"
        found = it.profiler.build(job.module(), job.shapes, it.device, out)
        assert Path(found) == out, f"build returned {found}: expected out, {out}"
        extra = [p.name for p in folder.iterdir() if p != out]
        assert not extra, f"build left {extra[0]!r} beside its file: only that one file is sent to a board"
        made.append(out.read_bytes())
    assert made[0] == made[1], "build made different bytes of the same module: files are named by their content, so each would be sent anew"


def outputs(it: Subject) -> None:
    """What the file computes is what the module computes, for more rows than its batch, and a row at a time."""
    if not it.worker.transport.gives_outputs:
        return  # a phone's program: it only times
    x = np.random.default_rng(0).standard_normal((3, SMALL.cin, SMALL.height, SMALL.width), dtype=np.float32)
    with torch.inference_mode():
        expected = Job.of(SMALL).module()(torch.from_numpy(x)).numpy()
    y = it.worker.predict(it.file(SMALL), x)
    assert y.shape == expected.shape, f"outputs have shape {y.shape}: expected {expected.shape}, rows first, channels second"
    assert y.dtype == np.float32, f"outputs are {y.dtype}: expected float32"
    error = float(np.abs(y - expected).max() / np.abs(expected).max())
    allowed = TOLERANCE.get(it.device.dtype, 0.5)
    assert error <= allowed, f"outputs are {error:.1%} off the module's: at most {allowed:.1%} ({it.device.dtype}); is the layout NCHW?"


def several_inputs(it: Subject) -> None:
    """A block of three inputs and batch 2 is timed, or batch 1 where the profiler refuses others."""
    batch = 2
    try:
        it.profiler.check(it.device.model_copy(update={"batch": batch}))
    except HwnasError:
        batch = 1
    sample = it.worker.time(it.file(JOINED, batch), PLAN)
    assert sample.error is None, f"a concatenation of three inputs fails: {sample.error}"


def units(it: Subject) -> None:
    """Times are nanoseconds of all loops: their sum is about what the host's own clock sees pass."""
    if it.estimate:
        return
    plan = Plan(min_repeat_s=0.02, repeats=10, warmup_s=0.0, rounds=1, time_limit_s=60.0)
    file = it.file(SMALL)
    it.worker.time(file, PLAN)  # loads what is loaded once
    start = time.perf_counter()
    sample = it.worker.time(file, plan)
    passed_s = time.perf_counter() - start
    assert sample.error is None, sample.error
    claimed_s = sum(sample.wall_ns) / 1e9
    assert claimed_s <= passed_s, f"the device says it ran for {claimed_s:.3g} s within {passed_s:.3g} s: wall_ns must be nanoseconds"
    floor = 0.02 * (passed_s - (sample.load_s or 0.0))
    assert claimed_s >= floor, f"the device says it ran for {claimed_s:.3g} s of {passed_s:.3g} s: wall_ns must be nanoseconds of all loops"


def more_work_takes_longer(it: Subject) -> None:
    """A block of a hundred times the operations takes longer, and outputs are finished when run() returns."""
    small, large = (it.worker.time(it.file(b), PLAN) for b in (SMALL, LARGE))
    assert small.error is None and large.error is None, small.error or large.error
    a, b = small.latency_ms(), large.latency_ms()
    assert b > 1.5 * a, f"{LARGE} takes {b:.4g} ms and {SMALL} {a:.4g} ms: does run() return before the work is done?"


def repeats(it: Subject) -> None:
    """A file timed twice takes about as long: the better of five pairs is within a factor of two."""
    file = it.file(LARGE)
    ratios = []
    for _ in range(5):
        a, b = (it.worker.time(file, PLAN) for _ in range(2))
        assert a.error is None and b.error is None, a.error or b.error
        ratios.append(max(a.latency_ms() / b.latency_ms(), b.latency_ms() / a.latency_ms()))
    assert min(ratios) < 2, f"two timings of a file never lie within a factor of two of each other: {', '.join(f'{r:.2f}' for r in ratios)}"


def bad_files(it: Subject) -> None:
    """Junk, an empty file and no file at all are errors with a reason, and the next good file is timed."""
    for name, data in (("junk", b"junk" * 100), ("empty", b""), ("torn", it.file(SMALL).read_bytes()[:100]), ("missing", None)):
        file = it.folder / f"{name}{it.profiler.suffix}"
        if data is not None:
            file.write_bytes(data)
        sample = it.worker.time(file, PLAN)
        assert sample.error, f"a file that is {name} was timed: {sample.latency_ms():.4g} ms"
    after = it.worker.time(it.file(SMALL), PLAN)
    assert after.error is None, f"after bad files a good one fails: {after.error}"


def other_api(it: Subject) -> None:
    """A device side that speaks another API is refused when it starts."""
    if not it.worker.transport.gives_outputs:
        return  # a phone's program is not the profiler's
    text = Path(it.profiler.device_module).read_text(encoding="utf-8")
    wrong = it.folder / "device.py"
    wrong.write_text(text + f"\nAPI = {API + 998}\n", encoding="utf-8")
    worker = Worker(it.device, _with_device_module(it.profiler, wrong), it.worker.transport)
    try:
        worker.facts()
    except HwnasError as error:
        assert f"API {API + 998}" in str(error), f"refused for another reason: {error}"
    else:
        raise AssertionError(f"a device side of API {API + 998} was started: does it state `API = {API}` at the top?")
    finally:
        worker.close()


def releases_resources(it: Subject) -> None:
    """Sessions give back files, threads and memory, and start no process that stays."""
    proc = Path(f"/proc/{it.worker.pid}")
    if not isinstance(it.worker.transport, Local) or not (proc / "status").exists():
        return  # not on this machine, or not Linux: there is nothing to count
    file = it.file(SMALL)
    for _ in range(3):
        it.worker.time(file, PLAN)
    before = _resources(proc)
    for _ in range(SESSIONS):
        sample = it.worker.time(file, PLAN)
        assert sample.error is None, sample.error
    after = _resources(proc)
    for name in ("open files", "threads", "child processes"):
        assert after[name] < before[name] + SESSIONS / 2, (
            f"{SESSIONS} sessions: {name} went from {before[name]} to {after[name]}: close() them"
        )
    grown = (after["bytes"] - before["bytes"]) / SESSIONS
    assert grown < LEAK_BYTES, f"each session keeps {grown / 1e6:.1f} MB of memory: close() must let go of the model"


def ends_with_its_input(it: Subject) -> None:
    """The worker ends by itself when the host hangs up: no thread of the runtime holds it."""
    worker = Worker(it.device, it.profiler, it.worker.transport)
    worker.facts()
    process = worker._process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    try:
        code = process.wait(END_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the worker still ran {END_S:g} s after its input ended: is there a thread that is no daemon?") from None
    finally:
        worker.close()
    assert code == 0, f"the worker ended with its input, but with exit status {code}: its last words went to stderr"


CHECKS: tuple[Check, ...] = (
    interface,
    facts,
    build_is_deterministic,
    outputs,
    several_inputs,
    units,
    more_work_takes_longer,
    repeats,
    bad_files,
    other_api,
    releases_resources,
    ends_with_its_input,
)


def checks(it: Subject) -> Iterator[tuple[str, Callable[[], None]]]:
    """(name, function) for each; the function raises AssertionError, or HwnasError, with what is wrong."""
    for check in CHECKS:
        yield check.__name__, lambda check=check: check(it)  # type: ignore[misc]


@dataclass(frozen=True)
class Result:
    check: str
    what: str  # the check's first line
    problem: str | None  # None: kept


def run_checks(device: Device, profiler: Profiler | None = None) -> Iterator[Result]:
    """The result of every check, as they are done. Raises HwnasError when the device does not start at all."""
    profiler = profiler or load_profiler(device.runtime)
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, Worker(device, profiler) as worker:
        for (name, function), check in zip(checks(Subject(profiler, device, worker, Path(folder))), CHECKS):
            try:
                function()
                problem = None
            except Exception as error:
                problem = str(error) if isinstance(error, AssertionError | HwnasError) else f"{type(error).__name__}: {error}"
            yield Result(name, (check.__doc__ or "").splitlines()[0], problem)


class Conformance:
    """Base of a plugin's test class: set `device`; every check is a test. Runs nothing where the profiler cannot run."""

    device: Device


def _as_test(check: Check) -> Callable[[Conformance], None]:
    def test(self: Conformance) -> None:
        profiler = load_profiler(self.device.runtime)
        with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, Worker(self.device, profiler) as worker:
            check(Subject(profiler, self.device, worker, Path(folder)))

    test.__doc__ = check.__doc__
    return test


for _check in CHECKS:
    setattr(Conformance, f"test_{_check.__name__}", _as_test(_check))


def _with_device_module(profiler: Profiler, path: Path) -> Profiler:
    """The same host side with another device side."""
    made: Profiler = type("Other", (type(profiler),), {"device_module": path})()
    return made


def _resources(proc: Path) -> dict[str, int]:
    children = sum(len((task / "children").read_text().split()) for task in (proc / "task").iterdir() if (task / "children").exists())
    rss = next(int(line.split()[1]) * 1024 for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS"))
    threads = len(list((proc / "task").iterdir()))
    files = len(list((proc / "fd").iterdir())) if sys.platform == "linux" else 0
    return {"open files": files, "threads": threads, "child processes": children, "bytes": rss}
