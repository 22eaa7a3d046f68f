"""hwnas/lower/torch_file.py and runner.py: what is written is read again; what is no such file is refused."""

import json

import numpy as np
import pytest
import torch
from parity import random_inputs, randomised
from safetensors.numpy import save
from torch import nn

from hwnas.block import Block
from hwnas.errors import HwnasError
from hwnas.lower import lower, read_torch, write_onnx, write_torch
from hwnas.ops import build

BLOCK = Block("mbconv", 8, 8, 7, 6, kernel=3, expand=3, se=4, act="hswish")
SHAPE = (1, 8, 7, 6)


@pytest.fixture
def program():
    torch.manual_seed(0)
    return lower(randomised(build(BLOCK)), SHAPE)


def test_the_program_itself_comes_back(program, tmp_path):
    (tmp_path / "block").write_bytes(write_torch(program))
    back = read_torch(tmp_path / "block").program
    assert (back.inputs, back.outputs, back.shapes) == (program.inputs, program.outputs, program.shapes)
    assert [(n.op, n.inputs, n.output, n.attrs) for n in back.nodes] == [(n.op, n.inputs, n.output, n.attrs) for n in program.nodes]
    assert write_onnx(back) == write_onnx(program)


def test_any_batch_size_and_other_dtypes(program, tmp_path):
    (tmp_path / "block").write_bytes(write_torch(program))
    (x,) = random_inputs((5, 8, 7, 6))
    runner = read_torch(tmp_path / "block", channels_last=True)
    with torch.inference_mode():
        single = runner(x)
        assert single.is_contiguous(memory_format=torch.channels_last)
        double = runner.double()(x.double())  # `.to` moves the weights that the calls are bound to
    assert double.dtype is torch.float64 and torch.allclose(double.float(), single, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 3, 1, 1)])
def test_a_grey_image_and_one_pixel_run_channels_last_too(shape, tmp_path):
    """Both formats are the same bytes, and torch goes by the strides: left as they were, a network ran otherwise than its blocks."""
    (tmp_path / "stem").write_bytes(
        write_torch(lower(nn.Sequential(nn.Conv2d(shape[1], 4, 3, padding=1), nn.Conv2d(4, 4, 1)).eval(), shape))
    )
    with torch.inference_mode():
        channels_last, plain = (read_torch(tmp_path / "stem", wanted)(*random_inputs(shape)) for wanted in (True, False))
    assert channels_last.stride(1) == 1 and torch.allclose(channels_last, plain, atol=1e-6)
    if shape[2] > 1:
        assert plain.is_contiguous() and not plain.is_contiguous(memory_format=torch.channels_last)


def file_with(program, change):
    weights = {f"{n.output}.{name}": value.numpy() for n in program.nodes for name, value in n.weights.items()}
    nodes = [[n.op, n.inputs, n.output, n.attrs, list(n.weights)] for n in program.nodes]
    text = {"format": 1, "inputs": program.inputs, "outputs": program.outputs, "shapes": program.shapes, "nodes": nodes}
    change(text)
    return save({k: np.ascontiguousarray(v) for k, v in weights.items()}, {"hwnas_program": json.dumps(text)})


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda text: text.update(format=2), "its format is 2"),
        (lambda text: text.pop("nodes"), "'nodes'"),
        (lambda text: text["nodes"][0].__setitem__(0, "system"), "no primitive is called 'system'"),
        (lambda text: text["nodes"][0].__setitem__(1, ["nowhere"]), "'nowhere'"),
        (lambda text: text["nodes"][0][3].update(shell="ls"), "shell"),
        (lambda text: text["nodes"][0][4].append("other"), "other"),
    ],
)
def test_a_file_with_another_program_is_refused(program, tmp_path, change, said):
    (tmp_path / "block").write_bytes(file_with(program, change))
    with pytest.raises(HwnasError, match="block") as error:
        read_torch(tmp_path / "block")
    assert said in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", save({"w": np.zeros(3, np.float32)})])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "block").write_bytes(content)
    with pytest.raises(HwnasError, match="write it with hwnas.lower.write_torch"):
        read_torch(tmp_path / "block")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HwnasError, match="nowhere"):
        read_torch(tmp_path / "nowhere")
