"""NcnnFile: the layers of one ncnn network, and its two files, .param (text) and .bin (weights)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

MAGIC = 7767517
FP32, FP16 = 0, 0x01306B47  # number formats of a main weight
ARRAY = -23300  # an array of parameter k has the number ARRAY - k
Value = int | float | Sequence[float]


@dataclass(frozen=True)
class Layer:
    type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[int, Value]

    def renamed(self, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Layer:
        return replace(self, inputs=tuple(inputs.get(x, x) for x in self.inputs), outputs=tuple(outputs.get(x, x) for x in self.outputs))

    def __str__(self) -> str:
        words = [f"{self.type:<24} {self.name:<24}", len(self.inputs), len(self.outputs), *self.inputs, *self.outputs]
        return " ".join(map(str, words + [_assigned(k, v) for k, v in self.params.items()]))


class NcnnFile:
    """Layers in an order in which they can run; blobs are known by name."""

    def __init__(self, half: bool = False):
        """half: main weights are stored in fp16."""
        self.half = half
        self.layers: list[Layer] = []
        self.weights: list[bytes] = []

    def layer(self, type: str, inputs: Sequence[str], *outputs: str, params: dict[int, Value] | None = None) -> None:
        """Reads the blobs `inputs` and writes the blobs `outputs`; params: by ncnn's numbers."""
        self.layers.append(Layer(type, outputs[0], tuple(inputs), outputs, params or {}))

    def weight(self, values: np.ndarray) -> None:
        """The next array in .bin, in the order of layers, in fp32."""
        self.weights.append(np.ascontiguousarray(values, "<f4").tobytes())

    def main_weight(self, values: np.ndarray) -> None:
        """The same of a convolution or a matrix product, after a word that tells its number format; in whole words."""
        data = np.ascontiguousarray(values, "<f2" if self.half else "<f4").tobytes()
        self.weights.append(struct.pack("<I", FP16 if self.half else FP32) + data + bytes(-len(data) % 4))

    def to_bytes(self, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[bytes, bytes]:
        """(.param, .bin), with blobs in0, in1, ... and out0, out1, ..., as ncnn's own converter names them."""
        named = {name: f"{kind}{i}" for kind, names in (("in", inputs), ("out", outputs)) for i, name in enumerate(names)}
        layers = _split([Layer("Input", name, (), (name,), {}) for name in inputs] + self.layers, outputs)
        layers = [a.renamed(named, named) for a in layers]
        blobs = sum(len(a.outputs) for a in layers)
        lines = [str(MAGIC), f"{len(layers)} {blobs}", *map(str, layers)]
        return ("\n".join(lines) + "\n").encode(), b"".join(self.weights)


def _split(layers: Sequence[Layer], outputs: Sequence[str]) -> list[Layer]:
    """A blob has one reader in ncnn: where there are more, a Split gives each a name of its own."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    result: list[Layer] = []
    names: dict[str, Iterator[str]] = {}  # blob -> what its readers call it, one after the other
    for layer in layers:
        inputs = tuple(next(names[x]) if x in names else x for x in layer.inputs)
        kept = {x for x in layer.outputs if x in outputs and readers[x]}  # the caller reads it, too
        written = layer.renamed({}, {x: f"{x}_whole" for x in kept})
        result.append(replace(written, inputs=inputs))
        for x, source in zip(layer.outputs, written.outputs):
            if readers[x] + (x in kept) > 1:
                copies = [f"{x}_{i}" for i in range(readers[x])]
                names[x] = iter(copies)
                result.append(Layer("Split", f"{x}_split", (source,), (*([x] if x in kept else ()), *copies), {}))
    return result


def _assigned(k: int, value: Value) -> str:
    """`3=1`, `1=0.5`, `-23310=2,0.0,6.0`."""
    if isinstance(value, (int, float)):
        return f"{k}={value}"
    return ",".join(map(str, (f"{ARRAY - k}={len(value)}", *value)))
