"""hwnas/deploy/audit.py: what really runs, seen in files of which it is known."""

import pytest
from onnx import TensorProto, helper
from torch import nn

from hwnas.block import Block
from hwnas.deploy import audit
from hwnas.errors import HwnasError
from hwnas.lower import lower, to_onnx, to_tflite, write_tflite
from hwnas.lower.calibration import random_calibration
from hwnas.lower.tflite_precision import quantize_tflite
from hwnas.ops import build

SHAPE = (1, 8, 8, 8)


def block(act="relu"):
    return build(Block("mbconv", 8, 8, 8, 8, kernel=3, expand=2, act=act)).eval()


def audited(folder, data, suffix):
    (folder / f"m{suffix}").write_bytes(data)
    return audit(folder / f"m{suffix}")


def kinds(found):
    return {(f.kind, f.operator): f.count for f in found.findings}


def test_a_clean_tflite_file_has_nothing_to_say(tmp_path):
    found = audited(tmp_path, to_tflite(block(), SHAPE), ".tflite")
    assert found.operators == {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 1, "ADD": 1} == found.runs["XNNPACK"] and not found.findings
    assert list(found.runs) == ["XNNPACK"] and found.layout == "NHWC"


def test_int8_hard_swish_is_known_to_be_slow(tmp_path):
    program = lower(block("hswish"), SHAPE)
    file = quantize_tflite(write_tflite(program), random_calibration([SHAPE]))
    found = kinds(audited(tmp_path, file, ".tflite"))
    assert found["slow", "HARD_SWISH"] == 2 and found["conversion", "QUANTIZE"] == 1
    ours = kinds(audited(tmp_path, to_tflite(block("hswish"), SHAPE, dtype="int8"), ".tflite"))
    assert ("slow", "HARD_SWISH") not in ours


def test_what_xnnpack_leaves_and_what_only_moves_data(tmp_path):
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GELU(), nn.ChannelShuffle(2), nn.Conv2d(8, 8, 1)).eval()
    found = audited(tmp_path, to_tflite(module, SHAPE, dtype="int8"), ".tflite")
    assert found.runs["built-in"] == {"GELU": 1} and found.runs["XNNPACK"]["CONV_2D"] == 2
    assert kinds(found)["fallback", "GELU"] == 1 and kinds(found)["transpose", "TRANSPOSE"] == 1
    assert kinds(found)["fallback", "DELEGATE"] == 2


def test_fp16_weights_are_told_from_conversions(tmp_path):
    (finding,) = audited(tmp_path, to_tflite(block(), SHAPE, dtype="fp16"), ".tflite").findings
    assert finding.operator == "DEQUANTIZE" and "weights" in finding.what


def test_onnx_as_it_runs_after_fusion(tmp_path):
    found = audited(tmp_path, to_onnx(block(), SHAPE), ".onnx")
    assert found.operators["Relu"] == 2 and list(found.runs) == ["CPUExecutionProvider"]
    assert "Relu" not in found.runs["CPUExecutionProvider"], "it is part of the convolution"
    low = audited(tmp_path, to_onnx(block(), SHAPE, dtype="int8"), ".onnx")
    assert low.runs["CPUExecutionProvider"]["QLinearConv"] == 3
    assert kinds(low)["conversion", "QuantizeLinear"] == kinds(low)["conversion", "DequantizeLinear"] == 1


def test_what_is_no_model(tmp_path):
    for name, data, word in (("m.onnx", b"junk", "m.onnx"), ("m.tflite", b"junk", "TFLite"), ("m.txt", b"", "expected an .onnx")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(HwnasError, match=word) as error:
            audit(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(HwnasError, match="No such file"):
        audit(tmp_path / "none.onnx")
    (tmp_path / "m.onnx").write_bytes(to_onnx(block(), SHAPE))
    with pytest.raises(HwnasError, match="has no NopeExecutionProvider"):
        audit(tmp_path / "m.onnx", ("NopeExecutionProvider",))


def test_an_operator_that_no_runtime_knows_is_named(tmp_path):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("NoSuchOp", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    (tmp_path / "unknown.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(HwnasError, match="unknown.onnx: its runtime does not load it: .*NoSuchOp") as refused:
        audit(tmp_path / "unknown.onnx")
    assert "onnxruntime_src" not in str(refused.value)
