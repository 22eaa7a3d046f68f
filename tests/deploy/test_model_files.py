"""hwnas/deploy/files.py: the files of one architecture, in their formats."""

from errno import ENOSPC

import numpy as np
import onnxruntime
import pytest
import torch
from tiny_spaces import chain_space

from hwnas.deploy import FORMATS, write_files
from hwnas.errors import HwnasError
from hwnas.lower import read_torch
from hwnas.profiler import load_profiler
from hwnas.supernet import network


def test_all_formats_of_one_network_say_the_same(tmp_path):
    space = chain_space()
    torch.manual_seed(0)
    net = network(space, space.largest())
    files = write_files(net, (1, 2, 8, 8), tmp_path / "winner", tuple(FORMATS))
    assert {p.name for p in (tmp_path / "winner").iterdir()} == {"model.onnx", "model.tflite", "model.safetensors"}
    x = torch.rand(1, 2, 8, 8)
    with torch.no_grad():
        y = net.eval()(x)
        assert torch.allclose(read_torch(files[".safetensors"])(x), y, atol=1e-5)
    session = onnxruntime.InferenceSession(files[".onnx"])
    assert np.allclose(session.run(None, {"input": x.numpy()})[0], y, atol=1e-5)
    assert files[".tflite"].read_bytes()[4:8] == b"TFL3"


def test_a_disk_that_is_full_leaves_the_file_of_before(tmp_path, monkeypatch):
    def full(self, *arguments):
        raise OSError(ENOSPC, "No space left on device")

    space = chain_space()
    net = network(space, space.largest())
    before = write_files(net, (1, 2, 8, 8), tmp_path, (".onnx",))[".onnx"].read_bytes()
    monkeypatch.setattr(type(load_profiler("onnx")), "build", full)
    with pytest.raises(HwnasError, match="model.onnx: cannot be written: No space left"):
        write_files(net, (1, 2, 8, 8), tmp_path, (".onnx",))
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"] and (tmp_path / "model.onnx").read_bytes() == before


def test_files_are_written_over_whole_ones(tmp_path):
    space = chain_space()
    for z in (space.largest(), space.smallest()):
        size = space.input_size(z)
        path = write_files(network(space, z), (1, 2, *size), tmp_path, (".onnx",))[".onnx"]
        assert onnxruntime.InferenceSession(path).get_inputs()[0].shape == [1, 2, *size]
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
