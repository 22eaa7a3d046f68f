"""Kills the worker and the host of a real profile at random moments, and looks at what is left of the table.

    python tools/fault_injection.py                     # 100 kills, ONNX Runtime; about ten minutes
    python tools/fault_injection.py --kills 10 --device tflite-cpu

A run measures small blocks in many rounds. It is killed (SIGKILL) at a random moment: sometimes the worker, whose block then has failed
and the run goes on; sometimes the host, and the run is started again. After each kill every whole line of the table must be a valid row,
none that was there may be gone, and at most one may be torn. At the end the run is left in peace, and the table must be complete: every
block in every round, none failed. Exit code 1 if anything was otherwise.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from hwnas.block import Block
from hwnas.device import find_device
from hwnas.measure import Job, Plan, profile
from hwnas.table import Table

BLOCKS = [Block("mbconv", c, c, 6, 6, kernel=k, expand=e, act="relu") for c in (4, 8, 12, 16, 20, 24) for k in (3, 5) for e in (1, 2, 3)]
JOBS = {str(b): Job.of(b) for b in BLOCKS}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--kills", type=int, default=100)
parser.add_argument("--device", default="onnx-cpu")
parser.add_argument("--hosts", type=float, default=0.2, help="Share of hosts among the victims; starting one takes seconds.")
parser.add_argument("--rounds", type=int, default=60)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--lut", type=Path, help="(default: a temporary folder)")
parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)  # the run that is killed
args = parser.parse_args()
lut = args.lut or Path(mkdtemp(prefix="hwnas-faults-"))
lut.mkdir(parents=True, exist_ok=True)
path = lut / args.device / "table.jsonl"

if args.run:
    plan = Plan(min_repeat_s=0.0005, repeats=2, warmup_s=0.0, rounds=args.rounds, time_limit_s=60.0)
    profile(find_device(args.device, lut), JOBS, lut, plan, retry=True)
    sys.exit()


def start() -> subprocess.Popen[bytes]:
    words = [sys.executable, __file__, "--run", "--lut", lut, "--device", args.device, "--rounds", args.rounds]
    environment = {**os.environ, "TMPDIR": str(lut)}  # what a killed host leaves there goes with the tables
    return subprocess.Popen([str(w) for w in words], stderr=subprocess.DEVNULL, env=environment)


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    try:
        return [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]
    except OSError:
        return []


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


problems: list[str] = []
lines: list[bytes] = []


def look(what: str) -> None:
    """The table after a kill: what was there is there, byte for byte, and it can be read."""
    global lines
    if not path.exists() or not path.stat().st_size:
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1].splitlines()
    if whole[: len(lines)] != lines:
        problems.append(f"after {what}: rows that were there are gone or changed")
    if whole:
        Table.read(path)  # raises if a row is not one
    lines = whole


moments = random.Random(args.seed)
kills = {"worker": 0, "host": 0}
began, run = time.perf_counter(), None
while sum(kills.values()) < args.kills:
    if run is None or run.poll() is not None:
        if run is not None and run.returncode == 0:
            args.rounds += 20  # done before its time: more to do
        run, grown = start(), len(lines)
        while run.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") <= grown):
            time.sleep(0.02)  # importing is not what is to be disturbed
    time.sleep(2 * moments.random() ** 3)  # often within a row or the start of a worker, sometimes after many rows
    if moments.random() < args.hosts:
        victim, what = run.pid, "host"
    elif workers := children(run.pid):
        victim, what = workers[0], "worker"
    else:
        continue  # the last one was killed and the next one is not there yet
    if run.poll() is None and kill(victim):
        kills[what] += 1
        if what == "host":
            run.wait()
        time.sleep(0.01)
        look(f"kill {sum(kills.values())} ({what})")
        print(f"\r{sum(kills.values())} of {args.kills} kills, {len(lines)} lines", end="", file=sys.stderr, flush=True)
if run is not None:
    kill(run.pid)
    run.wait()
look("the last kill")
interrupted = Table.read(path)
code = start().wait()
table = Table.read(path)
wanted = {(key, r) for key in JOBS for r in range(args.rounds)}
missing = [(key, r) for key, r in wanted if not table.has(key, r)]
if code or missing or table.failed or table.values().keys() != JOBS.keys():
    problems.append(f"at the end: exit code {code}, {len(missing)} rows missing, {len(table.failed)} blocks failed")
seconds = time.perf_counter() - began
print(f"{args.device}: {kills['worker']} workers and {kills['host']} hosts killed in {seconds:.0f} s")
print(f"before the last run {len(interrupted.failed)} of {len(JOBS)} blocks had failed")
print(f"at the end {len(wanted) - len(missing)} of {len(wanted)} rows, {len(table.failed)} blocks failed")
print("\n".join(problems) or "the table is complete and valid")
sys.exit(bool(problems))
