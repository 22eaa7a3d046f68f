"""hwnas/lower/convert.py: where our writers end, another converter takes over and says so."""

import logging
from importlib.util import find_spec

import pytest
import torch
from parity import assert_close, random_inputs, run_onnx, run_tflite
from torch import nn

from hwnas.lower import UnknownOp, lower, to_onnx, to_tflite, write_onnx, write_tflite

SHAPE = (1, 3, 8, 6)


@pytest.fixture
def unknown():
    """A module with an op that has no primitive, in training mode with a dropout that must not act."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Dropout(0.9)).train()


def expected(module, x):
    with torch.no_grad():
        return module.eval()(x).numpy()


def test_what_is_known_takes_our_writers(caplog):
    module = nn.Conv2d(3, 4, 3)
    assert to_onnx(module, SHAPE) == write_onnx(lower(module, SHAPE))
    assert to_tflite(module, SHAPE) == write_tflite(lower(module, SHAPE))
    assert not caplog.records


def test_onnx_falls_back_to_torchs_exporter(unknown, caplog):
    with caplog.at_level(logging.WARNING, "hwnas.lower"):
        file = to_onnx(unknown, SHAPE)
    assert "Softplus" in caplog.text and "torch.onnx.export" in caplog.text
    assert unknown.training and unknown[2].training
    xs = random_inputs(SHAPE)
    assert_close(run_onnx(file, xs), expected(unknown, *xs))


@pytest.mark.skipif(find_spec("litert_torch") is not None, reason="litert-torch is installed")
def test_tflite_without_a_converter_says_what_to_install(unknown):
    with pytest.raises(UnknownOp, match="Softplus.*pip install litert-torch"):
        to_tflite(unknown, SHAPE)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("litert_torch") is None, reason="needs litert-torch: pip install litert-torch")
def test_tflite_falls_back_to_litert_torch(unknown, caplog):
    with caplog.at_level(logging.WARNING, "hwnas.lower"):
        file = to_tflite(unknown, SHAPE)
    assert "Softplus" in caplog.text and "litert-torch" in caplog.text
    xs = random_inputs(SHAPE)
    assert_close(run_tflite(file, xs), expected(unknown, *xs))
