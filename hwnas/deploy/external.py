"""refuse_external: a model file that would have its runtime read other files is refused before any runtime sees it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from ..errors import HwnasError


def refuse_external(name: str, data: bytes) -> None:
    """Raises HwnasError for an .onnx with external data, and for a .tflite with weights outside itself; other files pass."""
    if name.endswith(".onnx"):
        _refuse_onnx(name, data)
    elif name.endswith(".tflite"):
        _refuse_tflite(name, data)


def _refuse_onnx(name: str, data: bytes) -> None:
    try:
        model = onnx.load_from_string(data)
    except (DecodeError, ValueError) as error:
        raise HwnasError(f"{name}: not readable as ONNX: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            where = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
            raise HwnasError(f"{name}: tensor {tensor.name[:60]!r} lies outside the file, in {where[:100]!r}: refused")


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor, wherever the format allows one."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _of_attributes(node.attribute)
        yield from _of_attributes(function.attribute_proto)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _of_attributes(node.attribute)


def _of_attributes(attributes: list[AttributeProto]) -> Iterator[TensorProto]:
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in (*([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []), *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from _of_graph(graph)


def _refuse_tflite(name: str, data: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    try:
        if data[4:8] != b"TFL3":
            raise ValueError("no TFL3 identifier")
        model = schema.Model.GetRootAs(data)
        graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
        outside = sum(graph.Tensors(i).ExternalBuffer() != 0 for graph in graphs for i in range(graph.TensorsLength()))
        ends = [(buffer.Offset(), buffer.Size()) for i in range(model.BuffersLength()) if (buffer := model.Buffers(i))]
        if any(offset > 1 and offset + size > len(data) for offset, size in ends):
            raise ValueError("a buffer ends outside the file")
    except Exception as error:  # flatbuffers turns hostile offsets into any error there is
        raise HwnasError(f"{name}: not readable as TFLite: {type(error).__name__}: {str(error)[:100]}") from None
    if outside:
        raise HwnasError(f"{name}: {outside} of its tensors lie outside the file: refused")
