"""write_torch(program) and read_torch(path): a program as one safetensors file, and the module that runs it in eager PyTorch.

The file's tensors are the weights, named "<node's output>.<weight>"; its metadata holds the program as JSON under "hwnas_program". Nothing
in it is code and nothing is unpickled, so a file from elsewhere is safe to read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import HwnasError
from .program import Node, Program
from .runner import Runner

FORMAT = 1  # 1: inputs, outputs, shapes, nodes [op, inputs, output, attrs, weight names]
KEY = "hwnas_program"


def write_torch(program: Program) -> bytes:
    weights = {
        f"{node.output}.{name}": np.ascontiguousarray(value.numpy()) for node in program.nodes for name, value in node.weights.items()
    }
    nodes = [[node.op, node.inputs, node.output, node.attrs, list(node.weights)] for node in program.nodes]
    text = json.dumps({"format": FORMAT, "inputs": program.inputs, "outputs": program.outputs, "shapes": program.shapes, "nodes": nodes})
    return save(weights, metadata={KEY: text})


def read_torch(path: str | Path, channels_last: bool = False, device: str | torch.device = "cpu") -> Runner:
    """The module that runs the program in the file: as many tensors as the program has inputs -> its output, or a tuple of them.

    channels_last: images are brought into that memory format first, and weights lie in it. Raises HwnasError for anything but a file
    of `write_torch`.
    """
    try:
        with safe_open(str(path), "pt", device=str(device)) as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            program = _program((file.metadata() or {}).get(KEY), weights)
        return Runner(program, channels_last)
    except (SafetensorError, OSError) as error:
        raise HwnasError(f"{path}: not readable as safetensors ({error}); write it with hwnas.lower.write_torch") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HwnasError(f"{path}: holds no program of format {FORMAT} ({error}); write it with hwnas.lower.write_torch") from None


def _program(text: str | None, weights: dict[str, torch.Tensor]) -> Program:
    if text is None:
        raise ValueError(f"no {KEY!r} in the metadata")
    read = json.loads(text)
    if read["format"] != FORMAT:
        raise ValueError(f"its format is {read['format']}")
    nodes = tuple(
        Node(op, tuple(inputs), output, {k: _tuples(v) for k, v in attrs.items()}, {name: weights[f"{output}.{name}"] for name in names})
        for op, inputs, output, attrs, names in read["nodes"]
    )
    return Program(tuple(read["inputs"]), tuple(read["outputs"]), nodes, {k: tuple(v) for k, v in read["shapes"].items()})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
