"""How long it takes to turn a block into a file: our walk and writers beside torch.onnx.export.

    python tools/bench_lower.py [--blocks 60] [--exports 20] [--dynamo 3]

Blocks are inverted residuals of many sizes, in a seeded random order; each is built outside the clock. One thread.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from hwnas.block import Block
from hwnas.lower import lower, to_onnx, to_tflite, write_onnx, write_tflite, write_torch
from hwnas.ops import build

TARGET_MS = {"walk + ONNX writer": 15.0, "walk + TFLite writer": 15.0, "ONNX, int8": 150.0, "TFLite, int8": 150.0}  # medians


def some_blocks(count: int) -> list[Block]:
    """Inverted residuals as a MobileNet-like space has them, the first few and the last few layers of a network alike."""
    draw = random.Random(0)
    blocks = []
    for _ in range(count):
        size, cin = draw.choice([(112, 16), (56, 24), (28, 40), (14, 80), (14, 112), (7, 160)])
        cout, stride = draw.choice([(cin, 1), (cin + 16, 2)])
        kernel, expand, se, act = draw.choice([3, 5, 7]), draw.choice([1, 3, 4, 6]), draw.choice([0, 4]), draw.choice(["relu", "hswish"])
        blocks.append(Block("mbconv", cin, cout, size, size, stride, kernel, expand, se, act=act))
    return blocks


def times_ms(prepare: Callable[[nn.Module, tuple[int, ...]], object], blocks: list[Block]) -> np.ndarray:
    """Milliseconds for each block; the first is prepared once beforehand, because imports are paid once."""
    times = []
    for block in [*blocks[:1], *blocks]:
        module, shape = build(block).eval(), (1, block.cin, block.height, block.width)
        start = time.perf_counter()
        prepare(module, shape)
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times[1:])


def export(module: nn.Module, shape: tuple[int, ...], dynamo: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "block.onnx"
        torch.onnx.export(module, (torch.zeros(shape),), str(path), dynamo=dynamo, verbose=False)
        return path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=60, help="prepared by our writers")
    parser.add_argument("--exports", type=int, default=20, help="of these also exported with dynamo=False")
    parser.add_argument("--dynamo", type=int, default=3, help="of these also exported with dynamo=True")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    blocks = some_blocks(options.blocks)
    rows: list[tuple[str, Callable[[nn.Module, tuple[int, ...]], object], list[Block]]] = [
        ("walk alone", lower, blocks),
        ("walk + ONNX writer", lambda m, shape: write_onnx(lower(m, shape)), blocks),
        ("walk + TFLite writer", lambda m, shape: write_tflite(lower(m, shape)), blocks),
        ("walk + torch writer", lambda m, shape: write_torch(lower(m, shape)), blocks),
        ("ONNX, fp16", lambda m, shape: to_onnx(m, shape, dtype="fp16"), blocks),
        ("ONNX, int8", lambda m, shape: to_onnx(m, shape, dtype="int8"), blocks),
        ("TFLite, fp16", lambda m, shape: to_tflite(m, shape, dtype="fp16"), blocks),
        ("TFLite, int8", lambda m, shape: to_tflite(m, shape, dtype="int8"), blocks),
        ("torch.onnx.export, dynamo=False", lambda m, shape: export(m, shape, False), blocks[: options.exports]),
    ]
    if find_spec("onnxscript"):
        rows.append(("torch.onnx.export, dynamo=True", lambda m, shape: export(m, shape, True), blocks[: options.dynamo]))

    table = Table("module to file bytes", "blocks", "median ms", "p90 ms", "max ms", title=f"torch {torch.__version__}, 1 thread")
    medians = {}
    for name, prepare, some in rows:
        if some:
            times = times_ms(prepare, some)
            medians[name] = float(np.median(times))
            table.add_row(name, str(len(some)), *(f"{value:.1f}" for value in (medians[name], np.percentile(times, 90), times.max())))
    console = Console()
    console.print(table)
    if not find_spec("onnxscript"):
        console.print("dynamo=True left out: it needs `pip install onnxscript`")
    for name, target_ms in TARGET_MS.items():
        console.print(f"{name}: {medians[name]:.1f} ms, {'within' if medians[name] <= target_ms else 'ABOVE'} {target_ms:g} ms")


if __name__ == "__main__":
    main()
