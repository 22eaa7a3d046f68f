"""Precision: how many bytes a network's numbers take in a file and in memory, for each dtype."""

from __future__ import annotations

from dataclasses import dataclass

NODE_BYTES = 180  # what one operator adds to an .onnx or .tflite file beside its weights (names, attributes), about


@dataclass(frozen=True)
class Precision:
    """Bytes of one weight, of one bias, of one operator in the file, and of one activation while the network runs."""

    weight: float
    bias: float
    node: float
    activation: float


_FULL = Precision(4, 4, NODE_BYTES, 4)
# Least squares over ten MobileNet-like networks of 40 to 90 operators, written by hwnas.lower: within 2 % of each file. An int8 bias is
# 32 bits and comes with scales and zero points of its channel's weights; an int8 operator comes with those of its output. Activations
# of an fp16 file count as fp32: that is what a CPU without fp16 arithmetic makes of them.
_LOW = {
    ("fp16", ".onnx"): Precision(2, 2, 167, 4),
    ("fp16", ".tflite"): Precision(2, 4, 257, 4),
    ("int8", ".onnx"): Precision(1, 17, 747, 1),
    ("int8", ".tflite"): Precision(1, 28, 349, 1),
}


def precision(dtype: str, suffix: str = ".onnx") -> Precision:
    """Of a file of that dtype and kind; a kind that is not known counts as ONNX, an unknown dtype as fp32."""
    return _LOW.get((dtype, suffix), _LOW.get((dtype, ".onnx"), _FULL))
