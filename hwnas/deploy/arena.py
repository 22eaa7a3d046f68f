"""arena(file): how much working memory TensorFlow Lite for Microcontrollers needs for a .tflite file."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT_BYTES = 16  # of every buffer in the arena
TENSOR_BYTES = 256  # what the runtime keeps for a tensor and its share of an operator: 130 to 255 on 64 bits, less on 32
PLANNER_BYTES = 64  # for each tensor, while it plans
TIME_LIMIT_S = 60.0
_ALLOCATE = """
import sys
from tflite_micro.python.tflite_micro import runtime
config = runtime.InterpreterConfig.kAllocationRecording
runtime.Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=1 << 28, intrepreter_config=config).print_allocations()
"""


class Arena(NamedTuple):
    """Bytes, and where the figure is from."""

    bytes: int
    how: str


def arena(file: bytes) -> Arena:
    """Measured in that runtime where `tflite-micro` is installed, else `arena_plan_bytes` and TENSOR_BYTES for each tensor.

    A plan knows nothing of a kernel's scratch buffers: five of six int8 networks that were compared took 60 to 100 % of the
    estimate, the sixth three times as much.
    """
    if find_spec("tflite_micro") and (measured := _measured(file)):
        return Arena(measured, "measured in tflite-micro on a 64-bit machine")
    tensors = schema.Model.GetRootAs(file).Subgraphs(0).TensorsLength()
    return Arena(
        _aligned(arena_plan_bytes(file) + TENSOR_BYTES * tensors),
        f"an estimate: activations packed by size, and {TENSOR_BYTES} bytes a tensor; pip install tflite-micro measures it instead",
    )


def arena_plan_bytes(file: bytes) -> int:
    """The most bytes of activations at one time, packed as that runtime's GreedyMemoryPlanner packs them.

    Largest buffer first, each into the lowest gap that is free for as long as it lives: from the operator that writes it to the last
    that reads it.
    """
    graph = schema.Model.GetRootAs(file).Subgraphs(0)
    end = graph.OperatorsLength()
    first_use: dict[int, int] = {int(i): 0 for i in graph.InputsAsNumpy()}
    last_use: dict[int, int] = {}
    for at in range(end):
        operator = graph.Operators(at)
        for index in operator.OutputsAsNumpy():
            first_use.setdefault(int(index), at)
            last_use.setdefault(int(index), at)
        for index in operator.InputsAsNumpy():
            last_use[int(index)] = at
    last_use |= {int(i): end for i in graph.OutputsAsNumpy()}
    placed: list[tuple[int, int, int]] = []  # (start, end, tensor)
    for index in sorted(first_use, key=lambda i: -_bytes(graph.Tensors(i))):
        size, start = _aligned(_bytes(graph.Tensors(index))), 0
        for low, high, other in sorted(placed):
            if first_use[index] <= last_use[other] and first_use[other] <= last_use[index]:  # both live at some time
                if start + size <= low:
                    break
                start = max(start, high)
        placed.append((start, start + size, index))
    return max((high for _, high, _ in placed), default=0)


def _measured(file: bytes) -> int | None:
    """In a process of its own: the runtime reports to stderr, and aborts on what it does not know."""
    try:
        done = subprocess.run([sys.executable, "-c", _ALLOCATE], input=file, capture_output=True, timeout=TIME_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = dict(re.findall(rb"Arena allocation (head|tail) (\d+) bytes", done.stdout + done.stderr))
    if done.returncode or len(found) != 2:
        return None
    planning = PLANNER_BYTES * schema.Model.GetRootAs(file).Subgraphs(0).TensorsLength()  # where activations come to lie later
    return _aligned(max(int(found[b"head"]), planning) + int(found[b"tail"]))


def _bytes(tensor: schema.Tensor) -> int:
    return int(np.prod(tensor.ShapeAsNumpy())) * (1 if tensor.Type() in (schema.TensorType.INT8, schema.TensorType.UINT8) else 4)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
