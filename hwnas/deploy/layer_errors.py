"""layer_errors: where an int8 file departs from the fp32 one, tensor by tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from torch import nn

from ..lower import Calibration, lower, to_onnx, write_tflite
from ..lower.simplify import split_hardswish
from .accuracy import sqnr_db

MAX_DROP = 0.01  # of accuracy, int8 against fp32: above it the report is made
_DEQUANTIZED = "_DequantizeLinear_Output"


def layer_errors(module: nn.Module, shape: tuple[int, ...], file: bytes, suffix: str, samples: Calibration) -> list[dict[str, Any]]:
    """[{"layer", "sqnr_db"}], noisiest first: each tensor of the int8 file beside the same of the fp32 file, on the samples.

    Errors include those of all layers before, so the first layer that is bad, in the order of the network ("at"), is the one to look at.
    ONNX models are run without fusion: rounding as in the file, arithmetic in fp32. Only `.onnx` and `.tflite` can be looked into.
    """
    if suffix == ".onnx":
        full, low = _onnx_tensors(to_onnx(module, shape), samples), _onnx_tensors(file, samples)
        last = list(full)[-1:]  # the output keeps its name, others get a suffix
        low = {name.removesuffix(_DEQUANTIZED): value for name, value in low.items() if name.endswith(_DEQUANTIZED) or name in last}
    elif suffix == ".tflite":
        program = split_hardswish(lower(module, shape))
        full, low = _tflite_tensors(write_tflite(program), samples), _tflite_tensors(file, samples)
    else:
        return []
    rows = [{"layer": name, "at": at, "sqnr_db": sqnr_db(full[name], low[name])} for at, name in enumerate(full) if name in low]
    return sorted(rows, key=lambda row: row["sqnr_db"])


def _onnx_tensors(file: bytes, samples: Calibration) -> dict[str, np.ndarray]:
    """Name -> values over the samples, of every float tensor that a node writes, in order."""
    import onnxruntime

    model = onnx.load_from_string(file)
    outputs = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for node in model.graph.node for n in node.output if n not in outputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs, order = [i.name for i in session.get_inputs()], [n for node in model.graph.node for n in node.output]
    runs = [dict(zip((o.name for o in session.get_outputs()), session.run(None, dict(zip(inputs, xs))))) for xs in samples]
    return {name: np.stack([run[name] for run in runs]) for name in order if runs[0][name].dtype == np.float32}


def _tflite_tensors(file: bytes, samples: Calibration) -> dict[str, np.ndarray]:
    """Name -> float values over the samples, of every tensor that is no constant, in order."""
    from ..lower.tflite_precision import all_tensors

    runs = list(all_tensors(file, samples))
    return {name: np.stack([run[name] for run in runs]) for name in runs[0]}
