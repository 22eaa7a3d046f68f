"""hwnas/lower/onnx.py: what stands in the file."""

import onnx
from torch import nn

from hwnas.block import Block
from hwnas.lower import lower, write_onnx
from hwnas.ops import build


def test_names_shapes_opset_and_nodes():
    block = Block("mbconv", 8, 8, 6, 4, kernel=3, expand=3, act="hswish")
    model = onnx.load_from_string(write_onnx(lower(build(block), (2, 8, 6, 4))))
    assert [(i.domain, i.version) for i in model.opset_import] == [("", 17)] and model.ir_version == 8
    for value, name in ((model.graph.input, "input"), (model.graph.output, "output")):
        assert [v.name for v in value] == [name]
        assert [d.dim_value for d in value[0].type.tensor_type.shape.dim] == [2, 8, 6, 4]
    assert [n.op_type for n in model.graph.node] == ["Conv", "HardSwish", "Conv", "HardSwish", "Conv", "Add"]


def test_the_same_module_gives_the_same_bytes():
    module = nn.Conv2d(3, 4, 3)
    assert write_onnx(lower(module, (1, 3, 8, 8))) == write_onnx(lower(module, (1, 3, 8, 8)))
