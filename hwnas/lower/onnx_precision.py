"""quantize_onnx and half_onnx: an fp32 ONNX model -> int8 (static, QDQ) or fp16, by ONNX Runtime's own tools."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto

from .calibration import LEAST_RANGE, Calibration


def quantize_onnx(model: ModelProto, calibration: Calibration) -> ModelProto:
    """Static int8: every tensor between a QuantizeLinear / DequantizeLinear pair, inputs and outputs float32.

    Activations are uint8, weights int8 by output channel. Weights use 7 of their 8 bits (`reduce_range`): on x86 without VNNI two
    products are added in 16 bits, which saturates otherwise (17.7 dB against 34.2 dB). Ranges are the least and the greatest value
    over the calibration. The graph is not optimised beforehand: that would split HardSwish in two.
    """
    from onnxruntime.quantization import QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    model = onnx.shape_inference.infer_shapes(model)  # the quantiser leaves alone what has no known type
    ranges = TensorsData(CalibrationMethod.MinMax, onnx_ranges(model, calibration))
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],  # empty: all
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry} - {"BatchNormalization"}),  # that has no int8 kernel
        extra_options={"ForceQuantizeNoInputCheck": True},  # a pool alone is quantised, too, as it is within a network
    )
    quantizer.quantize_model()
    return _sorted(quantizer.model.model)


def half_onnx(model: ModelProto) -> ModelProto:
    """fp16 weights and arithmetic; inputs and outputs float32. A CPU without fp16 kernels computes in fp32 between casts."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return _sorted(convert_float_to_float16(model, keep_io_types=True, op_block_list=[]))


def _sorted(model: ModelProto) -> ModelProto:
    """Its nodes in an order in which they can run, which the format asks for and the tools leave to the runtime."""
    from onnxruntime.quantization.onnx_model import ONNXModel

    ONNXModel(model).topological_sort()
    return model


def onnx_ranges(model: ModelProto, calibration: Calibration) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Tensor -> its least and its greatest value over the calibration, of every float tensor that a node writes or the model is given."""
    import onnxruntime

    wide = ModelProto()
    wide.CopyFrom(model)
    outputs = {output.name for output in wide.graph.output}
    wide.graph.output.extend(ValueInfoProto(name=name) for node in wide.graph.node for name in node.output if name not in outputs)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # all tensors are wanted: nothing can be fused
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(wide.SerializeToString(), options, providers=["CPUExecutionProvider"])
    inputs, names = [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]
    low: dict[str, np.ndarray] = {}
    high: dict[str, np.ndarray] = {}
    for xs in calibration:
        for name, value in [*zip(inputs, xs), *zip(names, session.run(None, dict(zip(inputs, xs))))]:
            if value.dtype == np.float32:
                low[name], high[name] = min(low.get(name, value.min()), value.min()), max(high.get(name, value.max()), value.max())
    return {name: (low[name], np.maximum(high[name], low[name] + np.float32(LEAST_RANGE))) for name in low}
