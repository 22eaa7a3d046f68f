"""int8 and fp16 files: close to the fp32 one in their runtimes, quantised throughout, the same bytes each time."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from onnx import numpy_helper
from parity import nhwc, randomised, run_onnx, tflite_ops
from torch import nn

from hwnas.block import Block
from hwnas.errors import HwnasError
from hwnas.lower import lower, random_calibration, to_onnx, to_tflite, write_onnx
from hwnas.lower.onnx import onnx_model
from hwnas.lower.onnx_precision import onnx_ranges
from hwnas.lower.tflite_precision import tflite_ranges
from hwnas.ops import OPS, build

torch.set_num_threads(1)
BOUND_DB = {"int8": 28.0, "fp16": 55.0}  # of the signal above the error; the least seen over all operators is 32 and 65
ACTS = {"stem": ["relu", "hswish"], "conv": ["relu6", "hswish"], "mbconv": ["relu", "relu6", "hswish"], "head": ["hswish"]}
CASES = [(op, act) for op in OPS for act in ACTS.get(op, [""])]


def sqnr_db(expected, y):
    """Signal to quantisation noise, dB."""
    error = np.square(expected - y, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(expected, dtype=np.float64).sum() / max(error, 1e-30)))


def run_tflite(file, xs):
    """The first output, images NCHW in and out, float32; an int8 boundary is converted by its own scale and zero point."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        x = nhwc(xs[int(details["name"].removeprefix("input") or 0)])
        if details["dtype"] == np.int8:
            scale, zero = details["quantization"]
            x = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(details["index"], x)
    interpreter.invoke()
    details = interpreter.get_output_details()[0]
    y = interpreter.get_tensor(details["index"])
    if y.dtype == np.int8:
        y = (y.astype(np.float32) - details["quantization"][1]) * details["quantization"][0]
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def prepared(op, act="", seed=0):
    """(module, shapes, calibration, expected output of the first calibration sample)."""
    cout = {"concat": 36}.get(op, 12 if op in ("add", "max_pool", "avg_pool", "residual", "shuffle", "xception") else 10)
    inputs = 3 if op in ("add", "concat") else 1
    stride = 2 if op in ("mbconv", "max_pool", "stem") else 1
    expand, se = (3, 4) if op == "mbconv" else (2, 0) if op == "head" else (1, 0)
    block = Block(op, 12, cout, 11, 10, stride, kernel=3, expand=expand, se=se, inputs=inputs, act=act)
    torch.manual_seed(seed)
    module, shapes = randomised(build(block), seed), [(1, 12, 11, 10)] * inputs
    calibration = random_calibration(shapes, 4, seed)
    with torch.no_grad():
        expected = module(*map(torch.from_numpy, calibration[0])).numpy()
    return module, shapes, calibration, expected


@pytest.mark.parametrize("dtype", ["int8", "fp16"])
@pytest.mark.parametrize("op, act", CASES)
def test_every_operator_keeps_its_values(op, act, dtype):
    module, shapes, calibration, expected = prepared(op, act)
    onnx_file = to_onnx(module, *shapes, dtype=dtype, calibration=calibration)
    tflite_file = to_tflite(module, *shapes, dtype=dtype, calibration=calibration)
    xs = calibration[0]
    assert sqnr_db(expected, run_onnx(onnx_file, list(map(torch.from_numpy, xs)))) > BOUND_DB[dtype]
    assert sqnr_db(expected, run_tflite(tflite_file, xs)) > BOUND_DB[dtype]


def test_a_wrong_scale_would_break_the_bound():
    module, shapes, calibration, expected = prepared("mbconv", "relu")
    model = onnx.load_from_string(to_onnx(module, *shapes, dtype="int8", calibration=calibration))
    (scale,) = [i for i in model.graph.initializer if i.name == "conv2d_10_scale" or i.name == "output_scale"][:1]
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(0.8), scale.name))
    y = run_onnx(model.SerializeToString(), [torch.from_numpy(x) for x in calibration[0]])
    assert sqnr_db(expected, y) < BOUND_DB["int8"] - 5


def test_ranges_are_the_least_and_the_greatest_value_over_all_samples():
    module = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU())
    nn.init.constant_(module[0].weight, -2.0)
    shape = (1, 1, 2, 2)
    calibration = [(np.full(shape, v, np.float32),) for v in (-3.0, 1.0, 0.5)]
    ranges = onnx_ranges(onnx_model(lower(module, shape)), calibration)
    assert {k: (float(a), float(b)) for k, (a, b) in ranges.items()} == {"input": (-3, 1), "conv2d_0": (-2, 6), "output": (0, 6)}
    ranges = tflite_ranges(to_tflite(module, shape), calibration)
    assert {k: (float(v["min"].item()), float(v["max"].item())) for k, v in ranges.items()} == {"input": (-3, 1), "output": (0, 6)}


def test_a_layer_that_lets_nothing_through_still_runs():
    """Its range is 0..0; the scale that follows from it made XNNPACK abort."""
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Hardsigmoid()).eval()
    nn.init.constant_(module[0].bias, -100.0)
    calibration = random_calibration([(1, 4, 1, 1)])
    with torch.no_grad():
        expected = module(torch.from_numpy(calibration[0][0])).numpy()
    for file, run in ((to_tflite, run_tflite), (to_onnx, lambda f, xs: run_onnx(f, list(map(torch.from_numpy, xs))))):
        y = run(file(module, (1, 4, 1, 1), dtype="int8", calibration=calibration), calibration[0])
        assert np.abs(y - expected).max() < 0.02


def test_int8_scales_by_hand():
    """An input that spans -1..3 is 255 steps of 4/255; weights -2..2 are 127 (TFLite) or 63 (ONNX, 7 bits) steps either way."""
    module = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    calibration = [(np.array([-1, 0, 1, 3], np.float32).reshape(1, 1, 2, 2),)]
    model = onnx.load_from_string(to_onnx(module, (1, 1, 2, 2), dtype="int8", calibration=calibration))
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    assert values["input_scale"] == pytest.approx(4 / 255) and values["input_zero_point"] == 64
    assert values["output.weight_scale"].ravel() == pytest.approx(2 / 63, rel=0.02)
    interpreter = Interpreter(model_content=to_tflite(module, (1, 1, 2, 2), dtype="int8", calibration=calibration, int8_io=True))
    details = interpreter.get_input_details()[0]
    assert details["quantization"] == (pytest.approx(4 / 255), -64) and details["dtype"] == np.int8


def test_boundaries_are_float_unless_int8_is_asked_for():
    module, shapes, calibration, expected = prepared("mbconv", "hswish")
    for dtype in ("fp32", "fp16", "int8"):
        file = Interpreter(model_content=to_tflite(module, *shapes, dtype=dtype))
        assert {d["dtype"] for d in (*file.get_input_details(), *file.get_output_details())} == {np.float32}
        session = ort.InferenceSession(to_onnx(module, *shapes, dtype=dtype), providers=["CPUExecutionProvider"])
        assert {d.type for d in (*session.get_inputs(), *session.get_outputs())} == {"tensor(float)"}
    whole = to_tflite(module, *shapes, dtype="int8", calibration=calibration, int8_io=True)
    file = Interpreter(model_content=whole)
    assert {d["dtype"] for d in (*file.get_input_details(), *file.get_output_details())} == {np.int8}
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(tflite_ops(whole))
    assert sqnr_db(expected, run_tflite(whole, calibration[0])) > BOUND_DB["int8"]


def test_int8_tflite_has_no_hard_swish_and_quantises_everything_between_its_ends():
    module, shapes, *_ = prepared("mbconv", "hswish")
    ops = tflite_ops(to_tflite(module, *shapes, dtype="int8"))
    assert "HARD_SWISH" not in ops and "HARD_SWISH" in tflite_ops(to_tflite(module, *shapes))
    assert ops[0] == "QUANTIZE" and ops[-1] == "DEQUANTIZE" and not {"QUANTIZE", "DEQUANTIZE"} & set(ops[1:-1])


def test_int8_onnx_runs_every_convolution_on_whole_numbers(tmp_path):
    module, shapes, *_ = prepared("mbconv", "relu")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 3
    ort.InferenceSession(to_onnx(module, *shapes, dtype="int8"), options, providers=["CPUExecutionProvider"])
    ops = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert ops.count("QLinearConv") == 5 and "Conv" not in ops


def test_fp16_files_are_half_as_large():
    module, shape = build(Block("mbconv", 64, 64, 6, 6, kernel=3, expand=6)), (1, 64, 6, 6)
    for write in (to_onnx, to_tflite):
        full, half, quarter = (len(write(module, shape, dtype=dtype)) for dtype in ("fp32", "fp16", "int8"))
        assert 0.48 < half / full < 0.56 and 0.24 < quarter / full < 0.4


def test_the_same_module_makes_the_same_bytes():
    for write in (to_onnx, to_tflite):
        for dtype in ("fp16", "int8"):
            first, again = (write(prepared("mbconv", "hswish")[0], (1, 12, 11, 10), dtype=dtype) for _ in range(2))
            assert first == again


def test_batches_and_modules_from_torchs_exporter():
    class Unknown(nn.Module):
        def forward(self, x):
            return torch.tanh(x) * 2

    module = nn.Sequential(nn.Conv2d(3, 4, 3), Unknown())
    calibration = random_calibration([(2, 3, 6, 6)], 3)
    file = to_onnx(module, (2, 3, 6, 6), dtype="int8", calibration=calibration)
    with torch.no_grad():
        expected = module(torch.from_numpy(calibration[0][0])).numpy()
    assert sqnr_db(expected, run_onnx(file, [torch.from_numpy(calibration[0][0])])) > BOUND_DB["int8"]


def test_fp32_is_untouched_and_an_unknown_dtype_is_refused():
    module, shapes, *_ = prepared("conv", "relu6")
    assert to_onnx(module, *shapes) == write_onnx(lower(module, *shapes))
    for write in (to_onnx, to_tflite):
        with pytest.raises(HwnasError, match="unknown dtype 'int7': did you mean 'int8'"):
            write(module, *shapes, dtype="int7")
