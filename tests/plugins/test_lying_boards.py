"""Boards that lie, break or speak out of turn, against the real worker or the real host: refused or isolated, with a clear line."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hwnas import profiler
from hwnas.block import Block
from hwnas.conformance import run_checks
from hwnas.device import Device
from hwnas.measure import Job, Local, Plan, Worker, measure
from hwnas.table import Table

DEVICE = Device(name="liar", runtime="liar", pin="off")
PLAN = Plan(min_repeat_s=0.0, repeats=3, warmup_s=0.0, rounds=2, time_limit_s=5.0)
JOBS = {str(b): Job.of(b) for b in (Block("conv", 1, 1, 4, 4), Block("conv", 1, 2, 4, 4))}
DEVICE_SIDE = """
import json
import numpy as np
API = 1
def facts(options):
    return {"name": "liar", "version": "1"}
class Session:
    def __init__(self, path, options):
        self.shapes = [tuple(s) for s in json.load(open(path))]
    def put(self, xs):
        self.xs = xs
    def run(self):
        pass
    def get(self):
        return self.xs[0]
    def close(self):
        pass
"""


def make(folder: Path, more: str = "", side: str = DEVICE_SIDE) -> profiler.Profiler:
    class Liar(profiler.Profiler):
        api = 1
        suffix = ".liar"
        device_module = folder / "liar_device.py"

        def build(self, module, shapes, device, out):
            out.write_text(json.dumps(shapes))
            return out

    Liar.device_module.write_text(side + more)
    return Liar()


@pytest.mark.parametrize(
    "timed, reason",
    [
        ("return 0, None", "wall_ns is .*expected positive"),
        ("return -5 * loops, None", "wall_ns is .*expected positive"),
        ("return float('nan'), None", "wall_ns is .*nan.*expected positive|ValueError"),
        ("return 1.5 * loops, None", "wall_ns is .*expected positive"),
        ("return 10, 0", "cpu_ns is .*expected positive"),
        ("return None, None", "TypeError"),
        ("return 'fast', None", "TypeError|expected positive"),
    ],
)
def test_times_that_cannot_be_are_rows_with_the_reason(tmp_path: Path, timed: str, reason: str) -> None:
    liar = make(tmp_path, f"    def timed(self, loops):\n        {timed}\n")
    with Worker(DEVICE, liar) as worker, Table.open(tmp_path / "table.jsonl", "liar", worker.fingerprint()) as table:
        measure(worker, JOBS, table, PLAN)
    read = Table.read(tmp_path / "table.jsonl")
    assert read.failed.keys() == JOBS.keys() and not read.values()
    import re

    assert all(re.search(reason, line) for line in read.failed.values()), read.failed


def test_a_clock_that_stands_still_is_found_out_before_the_time_limit(tmp_path: Path) -> None:
    liar = make(tmp_path, "    def timed(self, loops):\n        return 0, None\n")
    with Worker(DEVICE, liar) as worker:
        file = liar.build(None, ((1, 1, 4, 4),), DEVICE, tmp_path / "x.liar")
        assert "stands still" in (worker.time(file, replace(PLAN, min_repeat_s=0.01, time_limit_s=60.0)).error or "")


BOARD = """
import json, sys
mode = sys.argv[1]
for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"], "host": {"cores": 1}, "conditions": {}, "runtime": {"name": "liar", "version": "1"}}
    if request["do"] == "time":
        answer = {"id": request["id"], "wall_ns": [1000, 1100], "loops": 1}
        if mode == "another":
            answer["id"] = "another"
        if mode == "junk":
            print("\\x00\\x1b[31m{not json", "[]", "7", '"text"', "null", json.dumps({"id": None}), sep="\\n")
        if mode == "list":
            answer["wall_ns"] = {"a": 1}
        if mode == "huge loops":
            answer["loops"] = "many"
    print(json.dumps(answer), flush=True)
"""


@dataclass(frozen=True)
class Wire(Local):
    """A board that answers by itself, not through our worker."""

    mode: str = ""
    script: str = ""

    def argv(self, device_module: Path) -> list[str]:
        return [sys.executable, self.script, self.mode]


@pytest.mark.parametrize(
    "mode, reason",
    [
        ("", None),
        ("junk", None),
        ("another", "no answer within 1 s"),
        ("list", "wall_ns is .*expected positive"),
        ("huge loops", "loops is 'many'"),
    ],
)
def test_what_is_not_the_answer_is_not_taken_for_it(tmp_path: Path, mode: str, reason: str | None) -> None:
    script = tmp_path / "board.py"
    script.write_text(BOARD)
    liar = make(tmp_path)
    file = liar.build(None, ((1, 1, 4, 4),), DEVICE, tmp_path / "x.liar")
    with Worker(DEVICE, liar, Wire(mode=mode, script=str(script))) as worker:
        sample = worker.time(file, replace(PLAN, time_limit_s=1.0 if mode == "another" else 20.0))
    import re

    assert re.search(reason, sample.error or "") if reason else sample.wall_ns == (1000, 1100)


def problems(profiler: profiler.Profiler) -> dict[str, str]:
    return {r.check: r.problem for r in run_checks(DEVICE, profiler) if r.problem is not None}


def test_the_kit_finds_what_each_mistake_is(tmp_path: Path) -> None:
    found = problems(make(tmp_path, "    def timed(self, loops):\n        return 10**12, None\n"))
    assert "must be nanoseconds" in found["units"] and "does run() return before" in found["more_work_takes_longer"]
    assert "shape" in found["outputs"] or "off the module's" in found["outputs"]
    assert "build_is_deterministic" not in found and "other_api" not in found


def test_the_kit_finds_what_is_kept_and_what_is_unstable(tmp_path: Path) -> None:
    side = DEVICE_SIDE.replace('"version": "1"', '"version": str(__import__("os").getpid())')
    side = side.replace("        self.shapes", "        LEAK.append(open(path)); self.shapes").replace("API = 1", "API = 1\nLEAK = []")
    liar = make(tmp_path, side=side)
    count = iter(range(100))
    plain = type(liar).build
    type(liar).build = lambda self, module, shapes, device, out: (
        plain(self, module, shapes, device, out).write_text(  # type: ignore[method-assign]
            out.read_text() + " " * next(count)
        ),
        out,
    )[1]
    found = problems(liar)
    assert "rows of the two would never mix" in found["facts"] and "different bytes" in found["build_is_deterministic"]
    if Path("/proc/self/status").exists():
        assert "open files went from" in found["releases_resources"]
