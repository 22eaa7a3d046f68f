"""A program with the flags and the output of LiteRT's benchmark_model, which really runs the model, through ai-edge-litert.

It misbehaves on demand: a file that begins with `HANG`, `DIE` or `LIE` is a graph that does.
Flags and output follow tensorflow/lite/tools/benchmark/benchmark_model.cc and xla/tsl/util/stats_calculator.h.
"""

import math
import os
import signal
import statistics
import sys
import time

KNOWN = "graph num_threads num_runs min_secs max_secs warmup_runs warmup_min_secs use_xnnpack".split()
flags = {}
for word in sys.argv[1:]:
    name, _, value = word.lstrip("-").partition("=")
    if name not in KNOWN:
        print(f"ERROR: Unconsumed cmdline flags: {word}")
        sys.exit(1)
    flags[name] = value


def stat(us):
    if min(us) == max(us):
        return f"count={len(us)} curr={us[-1]}" + ("(all same)" if len(us) > 1 else "")
    average, deviation = statistics.fmean(us), int(statistics.pstdev(us))
    return f"count={len(us)} first={us[0]} curr={us[-1]} min={min(us)} max={max(us)} avg={average:.6g} std={deviation}"


print("INFO: STARTING!\nINFO: Log parameter values verbosely: [0]")
print(f"INFO: Num threads: [{flags['num_threads']}]\nINFO: Graph: [{flags['graph']}]", flush=True)
try:
    head = open(flags["graph"], "rb").read(4)
except OSError:
    head = None
if head == b"HANG":
    time.sleep(1000)
if head == b"DIE!":
    os.kill(os.getpid(), signal.SIGSEGV)
if head == b"LIE!":
    print("INFO: count=50 first=1 curr=1 min=5 max=3 avg=-2 std=nan\n")
    print("INFO: Inference timings in us: Init: 1, First inference: 1, Warmup (avg): 1, Inference (avg): -2")
    sys.exit(0)
from ai_edge_litert import interpreter as tflite  # noqa: E402  (after the faults, which are quick)

start = time.perf_counter()
resolver = tflite.OpResolverType
chosen = resolver.AUTO if flags.get("use_xnnpack", "true") == "true" else resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
try:
    model = tflite.Interpreter(flags["graph"], num_threads=int(flags["num_threads"]), experimental_op_resolver_type=chosen)
    model.allocate_tensors()
except (ValueError, RuntimeError):
    print(f"ERROR: Failed to load model {flags['graph']}\nERROR: Benchmarking failed.")
    sys.exit(1)
init_us = int((time.perf_counter() - start) * 1e6)
print(f"INFO: Loaded model {flags['graph']}\nINFO: Initialized session in {init_us / 1000}ms.")


def run(runs, min_s, max_s):
    print(
        f"INFO: Running benchmark for at least {runs} iterations and at least {min_s} seconds but terminate if exceeding {max_s} seconds."
    )
    us, begun = [], time.perf_counter()
    while len(us) < runs or time.perf_counter() - begun < min_s:
        start = time.perf_counter()
        model.invoke()
        us.append(math.floor((time.perf_counter() - start) * 1e6))
        if time.perf_counter() - begun > max_s:
            break
    print(f"INFO: {stat(us)}\n")
    return us


max_s = float(flags.get("max_secs", 150))
warm = run(int(flags.get("warmup_runs", 1)), float(flags.get("warmup_min_secs", 0.5)), max_s)
us = run(int(flags.get("num_runs", 50)), float(flags.get("min_secs", 1)), max_s)
averages = f"Warmup (avg): {statistics.fmean(warm):.6g}, Inference (avg): {statistics.fmean(us):.6g}"
print(f"INFO: Inference timings in us: Init: {init_us}, First inference: {warm[0]}, {averages}")
print("INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint")
print("INFO: Memory footprint delta from the start of the tool (MB): init=2.2 overall=4.5")
