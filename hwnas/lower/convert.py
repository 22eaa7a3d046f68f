"""to_onnx and to_tflite: module -> file bytes, by our writers, or by the vendor's converter for what `lower` does not know."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from .emitter import numbered
from .onnx import OPSET, write_onnx
from .tflite import write_tflite
from .unknown import UnknownOp
from .walk import evaluating, lower

Shape = tuple[int, ...]
_log = logging.getLogger(__name__)


def to_onnx(module: nn.Module, *shapes: Shape) -> bytes:
    """An .onnx file of the module in evaluation mode.

    Where `lower` raises UnknownOp, `torch.onnx.export` writes it, and a warning says so.
    """
    try:
        return write_onnx(lower(module, *shapes))
    except UnknownOp as error:
        _log.warning("%s; converting with torch.onnx.export, which is slower", error)
    return _converted(module, shapes, _torch_onnx)


def to_tflite(module: nn.Module, *shapes: Shape) -> bytes:
    """A .tflite file of the module in evaluation mode; images are (n, h, w, c) at its boundary.

    Where `lower` raises UnknownOp, litert-torch writes it if it is installed, and a warning says so; its signature names the inputs
    args_0, args_1, ... and the outputs output_0, ... (TensorFlow's own converter takes no torch modules.)
    """
    try:
        return write_tflite(lower(module, *shapes))
    except UnknownOp as error:
        if find_spec("litert_torch") is None:  # 1.2 GB: not a dependency
            raise UnknownOp(f"{error}; or let Google's converter write it: pip install litert-torch") from error
        _log.warning("%s; converting with litert-torch, which takes seconds", error)
    return _converted(module, shapes, _litert_torch)


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
