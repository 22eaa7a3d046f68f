"""TfliteFile: the tensors, operators and buffers of one .tflite file, through TFLite's own schema classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ALIGNMENT_BYTES = 16  # what the schema asks for weights (force_align), and its Python classes leave out
_TYPES = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}
_DEPRECATED_CODES = 127  # operators above this number exist in the newer of two fields only


class TfliteFile:
    """Tensors are known by their index, as in the file."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]  # number 0 means: no data
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.code_index: dict[tuple[int, int], int] = {}  # (builtin operator, version) -> index in codes

    def tensor(self, name: str, shape: Sequence[int], type: int = schema.TensorType.FLOAT32) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), np.array(shape, np.int32), type
        tensor.buffer, tensor.hasRank = 0, True
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, value: np.ndarray) -> int:
        index = self.tensor(name, value.shape, _TYPES[value.dtype])
        buffer = _AlignedBuffer()
        buffer.data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def operator(self, name: str, inputs: Sequence[int], output: int, version: int = 1, options: Any = None) -> None:
        """name: of a builtin operator, e.g. "CONV_2D"; options: of its kind, e.g. Conv2DOptionsT."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(schema.BuiltinOperator, name), version)
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.operators.append(operator)

    def _code(self, builtin: int, version: int) -> int:
        if (builtin, version) not in self.code_index:
            code = schema.OperatorCodeT()
            code.builtinCode, code.version = builtin, version
            code.deprecatedBuiltinCode = min(builtin, _DEPRECATED_CODES)
            self.code_index[builtin, version] = len(self.codes)
            self.codes.append(code)
        return self.code_index[builtin, version]

    def to_bytes(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file, with one subgraph and the signature "serving_default" that names its inputs and outputs."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = b"main", self.tensors, self.operators
        graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs, signature.outputs = self._named(inputs), self._named(outputs)
        model = schema.ModelT()
        model.version, model.description = 3, b"hwnas"
        model.operatorCodes, model.subgraphs, model.buffers, model.signatureDefs = self.codes, [graph], self.buffers, [signature]
        weight_bytes = sum(buffer.data.nbytes for buffer in self.buffers[1:])
        builder = flatbuffers.Builder(weight_bytes + 1024 * len(self.tensors) + 4096)  # large enough: it need not grow by copying
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _named(self, indices: Sequence[int]) -> list[Any]:
        maps = []
        for index in indices:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = self.tensors[index].name, index
            maps.append(entry)
        return maps


class _AlignedBuffer(schema.BufferT):
    """A buffer whose data starts at a multiple of ALIGNMENT_BYTES in the file."""

    def Pack(self, builder: Any) -> int:
        size = self.data.nbytes
        builder.StartVector(1, size, ALIGNMENT_BYTES)
        builder.head -= size
        builder.Bytes[builder.head : builder.head + size] = self.data.tobytes()
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)
