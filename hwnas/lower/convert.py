"""to_onnx and to_tflite: module -> file bytes, by our writers, or by the vendor's converter for what `lower` does not know."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from ..errors import did_you_mean
from .calibration import Calibration, random_calibration
from .emitter import numbered
from .onnx import OPSET, onnx_model
from .onnx_precision import half_onnx, quantize_onnx
from .simplify import split_hardswish
from .tflite import write_tflite
from .tflite_precision import half_tflite, quantize_tflite
from .unknown import UnknownOp
from .walk import evaluating, lower

Shape = tuple[int, ...]
DTYPES = ("fp32", "fp16", "int8")
_log = logging.getLogger(__name__)


def to_onnx(module: nn.Module, *shapes: Shape, dtype: str = "fp32", calibration: Calibration | None = None) -> bytes:
    """An .onnx file of the module in evaluation mode; its inputs and outputs are float32 whatever the dtype.

    dtype: one of DTYPES; int8 is static, with ranges observed on the calibration (None: random inputs, which do for timing alone).
    Where `lower` raises UnknownOp, `torch.onnx.export` writes it, and a warning says so.
    """
    _check(dtype)
    try:
        model = onnx_model(lower(module, *shapes))
    except UnknownOp as error:
        _log.warning("%s; converting with torch.onnx.export, which is slower", error)
        model = onnx.load_from_string(_converted(module, shapes, _torch_onnx))
    if dtype == "int8":
        model = quantize_onnx(model, random_calibration(shapes) if calibration is None else calibration)
    elif dtype == "fp16":
        model = half_onnx(model)
    return model.SerializeToString()


def to_tflite(
    module: nn.Module, *shapes: Shape, dtype: str = "fp32", calibration: Calibration | None = None, int8_io: bool = False
) -> bytes:
    """A .tflite file of the module in evaluation mode; images are (n, h, w, c) at its boundary, and float32 unless int8_io.

    dtype, calibration: as for `to_onnx`. Where `lower` raises UnknownOp, litert-torch writes it if it is installed, and a warning
    says so; its signature names the inputs args_0, args_1, ... and the outputs output_0, ... (TensorFlow's own converter takes no
    torch modules.)
    """
    _check(dtype)
    try:
        program = lower(module, *shapes)
        file = write_tflite(split_hardswish(program) if dtype == "int8" else program)
    except UnknownOp as error:
        if find_spec("litert_torch") is None:  # 1.2 GB: not a dependency
            raise UnknownOp(f"{error}; or let Google's converter write it: pip install litert-torch") from error
        _log.warning("%s; converting with litert-torch, which takes seconds", error)
        file = _converted(module, shapes, _litert_torch)
    if dtype == "int8":
        return quantize_tflite(file, random_calibration(shapes) if calibration is None else calibration, int8_io)
    return half_tflite(file) if dtype == "fp16" else file


def _check(dtype: str) -> None:
    if dtype not in DTYPES:
        raise did_you_mean("dtype", dtype, DTYPES)


def _torch_onnx(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # dynamo=True needs one more package and a second per block
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=numbered("input", len(inputs)),
            output_names=["output"],
            opset_version=OPSET,
            dynamo=False,
        )


def _litert_torch(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    litert_torch = import_module("litert_torch")
    images_last = tuple(x.permute(0, 2, 3, 1) if x.dim() == 4 else x for x in inputs)
    litert_torch.convert(_ImagesLast(module).eval(), images_last).export(str(path))


class _ImagesLast(nn.Module):
    """The module with images as (n, h, w, c) at its boundary."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        y = self.module(*(x.permute(0, 3, 1, 2) if x.dim() == 4 else x for x in inputs))
        return y.permute(0, 2, 3, 1) if y.dim() == 4 else y


def _converted(module: nn.Module, shapes: tuple[Shape, ...], convert: Callable[[nn.Module, tuple[Tensor, ...], Path], None]) -> bytes:
    """What the converter writes for the module in evaluation mode."""
    inputs = tuple(torch.zeros(shape) for shape in shapes)
    with tempfile.TemporaryDirectory() as folder, evaluating(module), torch.no_grad():
        path = Path(folder) / "model"
        convert(module, inputs, path)
        return path.read_bytes()
