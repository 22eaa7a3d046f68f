"""Lowering: a torch module -> a short Program -> an ONNX, TFLite, ncnn or torch file, in milliseconds.

One walk over the module (torch.fx), four small writers; fp16 and int8 are made from what they write. What is measured, exported and
deployed is the same file.
"""

from __future__ import annotations

from .calibration import Calibration, random_calibration
from .convert import DTYPES, to_onnx, to_tflite
from .features import FEATURES
from .ncnn import write_ncnn
from .onnx import write_onnx
from .program import Node, Program
from .tflite import write_tflite
from .torch_file import read_torch, write_torch
from .unknown import UnknownOp
from .walk import lower

__all__ = [
    "DTYPES",
    "FEATURES",
    "Calibration",
    "Node",
    "Program",
    "UnknownOp",
    "lower",
    "random_calibration",
    "read_torch",
    "to_onnx",
    "to_tflite",
    "write_ncnn",
    "write_onnx",
    "write_tflite",
    "write_torch",
]
