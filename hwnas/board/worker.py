"""The worker: `python worker.py DEVICE_MODULE.py` answers requests, one JSON object per line, until its input ends.

    {"id": 1, "do": "facts", "options": {...}}
        -> {"id": 1, "host": {...}, "conditions": {...}, "runtime": {...}, "pid": ...}
    {"id": 2, "do": "time", "file": ..., "options": {...}, "plan": {...}, "best_ns": ...}
        -> {"id": 2, "wall_ns": [...], "cpu_ns": [...], "loops": ..., "reference_ns": [...], "best_ns": ..., "conditions": {...}, ...}
    {"id": 3, "do": "predict", "file": ..., "options": {...}, "x": file.npy, "y": file.npy}
        -> {"id": 3}
    {"id": 4, "do": "exit"}

A request that fails is answered by {"id": ..., "error": reason}. It runs one file at a time, writes no file but the y it is
told to, and never opens a port. "time_limit_s" in a request is the last resort: the worker ends itself when the host is gone
and the runtime hangs.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import calm  # type: ignore[import-not-found]  # beside this file on every device
import clock  # type: ignore[import-not-found]
import counters  # type: ignore[import-not-found]
import host_facts  # type: ignore[import-not-found]
import numpy as np

API = 1
COUNTERS = counters.Counters()  # before the runtime starts its threads
CALM = calm.Calm()
GRACE_S = 2.0  # the host gives up first, if it is there
Request = dict[str, Any]
Answer = dict[str, Any]


def load_device(path: str) -> ModuleType:
    """The device module of a profiler, from its file."""
    spec = importlib.util.spec_from_file_location("hwnas_device", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if getattr(module, "API", None) != API:
        raise ValueError(f"{path} speaks API {getattr(module, 'API', None)}, this worker {API}")
    return module


def facts(device: Any, request: Request) -> Answer:
    seen = {"host": host_facts.identity(), "conditions": host_facts.conditions(), "runtime": device.facts(request["options"])}
    return {**seen, "pid": os.getpid()}


def time_file(device: Any, request: Request) -> Answer:
    """Loads a file and times it on random inputs (zeros can be faster than data, and denormals slower)."""
    options, plan = request["options"], request["plan"]
    fresh = host_facts.reset_peak_rss()
    start = time.perf_counter()
    session = device.Session(request["file"], options)
    load_s = None if getattr(session, "from_cache", False) else time.perf_counter() - start
    try:
        rng = np.random.default_rng(0)
        session.put([rng.standard_normal(shape, dtype=np.float32) for shape in session.shapes])
        on_cpu = getattr(session, "on_cpu", True)
        with_cpu = on_cpu and options.get("threads", 1) == 1
        own = getattr(session, "timed", None)  # a device with a clock of its own, such as CUDA events
        count = getattr(session, "counters", COUNTERS.read if on_cpu else dict)
        estimate = device.facts(options).get("estimate", False)
        if estimate:  # nothing runs: there is nothing to wait for, and only the times are the device's
            plan = {**plan, "warmup_s": 0.0, "min_repeat_s": 0.0}
        CALM.learn(request.get("best_ns"))
        alone = CALM if with_cpu and not own and not estimate and plan.get("patience_s") else None
        result = clock.measure(own or (lambda loops: clock.timed(session.run, loops, with_cpu)), plan, count, alone)
    finally:
        session.close()
    if estimate:
        return {name: result[name] for name in ("wall_ns", "cpu_ns", "loops")}
    peak = host_facts.peak_rss_bytes() if fresh else None
    return {**result, "load_s": load_s, "peak_rss_bytes": peak, "conditions": host_facts.conditions()}


def predict(device: Any, request: Request) -> Answer:
    """Runs all rows of x (n, c, h, w) through the file, in batches of the size it has, and writes y (n, ...) as .npy."""
    x = np.load(request["x"], allow_pickle=False)
    session = device.Session(request["file"], request["options"])
    try:
        batch = session.shapes[0][0]
        ys = []
        for i in range(0, len(x), batch):
            rows = x[i : i + batch]
            padded = np.concatenate([rows, np.zeros((batch - len(rows), *x.shape[1:]), x.dtype)]) if len(rows) < batch else rows
            session.put([padded])
            session.run()
            ys.append(np.array(session.get()[: len(rows)]))
    finally:
        session.close()
    np.save(request["y"], np.concatenate(ys), allow_pickle=False)
    return {}


def _set_alarm(seconds: float) -> None:
    """Ends this process after so long, even inside a hung runtime (the default action of the signal); 0 calls it off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


DO: dict[str, Callable[[Any, Request], Answer]] = {"facts": facts, "time": time_file, "predict": predict}


def main(device_path: str) -> None:
    # Runtimes print to stdout as they please: keep it for answers, and let everything else go to stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    device: ModuleType | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "exit":
            return
        _set_alarm(request.get("time_limit_s", 0) + GRACE_S)
        try:
            if device is None:
                host_facts.pin(request["options"].get("pin", "off"))  # first: thread pools made on import obey it, too
                device = load_device(device_path)
                if getattr(device, "ALLOCATES", False):
                    host_facts.keep_freed_memory()
                gc.freeze()  # what the runtime made stays: to look through torch's objects before each file took 80 ms
            answer = DO[request["do"]](device, request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        _set_alarm(0)
        answers.write(json.dumps({"id": request["id"], **answer}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
