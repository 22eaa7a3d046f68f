"""hwnas/deploy/layer_errors.py and calibration.py: the layer that int8 spoils is found; images come from the training split."""

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.data import Split
from hwnas.deploy import calibration_images, layer_errors
from hwnas.deploy.accuracy import sqnr_db
from hwnas.lower import random_calibration, to_onnx, to_tflite

SHAPE = (1, 4, 6, 6)


def spoiled():
    """The second convolution's first channel is 2,000 times as loud as the others: one scale for all of them cannot hold both."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 6, 1, bias=False)).eval()
    with torch.no_grad():
        net[2].weight[0] *= 2000
        net[3].weight[:, 0] = 0  # and it is not read: what counts is lost in the noise
    return net


@pytest.mark.parametrize("suffix, write", [(".onnx", to_onnx), (".tflite", to_tflite)])
def test_the_layer_after_the_spoiled_one_is_the_noisiest(suffix, write):
    net, images = spoiled(), random_calibration([SHAPE], 8)
    rows = layer_errors(net, SHAPE, write(net, SHAPE, dtype="int8", calibration=images), suffix, images)
    assert [row["sqnr_db"] for row in rows] == sorted(row["sqnr_db"] for row in rows) and len(rows) >= 3
    assert rows[0]["layer"] == "output" and rows[0]["sqnr_db"] < 10
    others = [row["sqnr_db"] for row in rows[1:]]
    assert min(others) > 25 and all(row["at"] < rows[0]["at"] for row in rows[1:])


def test_other_formats_cannot_be_looked_into():
    assert layer_errors(spoiled(), SHAPE, b"", ".param", []) == []


def test_sqnr_by_hand():
    assert sqnr_db(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(10 * np.log10(25 / 0.25))
    assert sqnr_db(np.ones(3), np.ones(3)) == 300 and sqnr_db(np.zeros(3), np.ones(3)) < 0


def test_calibration_images_are_training_images_in_whole_batches():
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 1, 4, 4).contiguous()
    train = Split(images, torch.zeros(10, dtype=torch.int64))
    drawn = calibration_images(train, (4, 4), batch=3, images=7)
    assert [x.shape for (x,) in drawn] == [(3, 1, 4, 4)] * 2
    seen = [round(255 * float(x[i].max())) for (x,) in drawn for i in range(3)]
    assert len(set(seen)) == 6 and set(seen) <= set(range(10))
    assert calibration_images(train, (8, 8), images=2)[0][0].shape == (1, 1, 8, 8)
    (again,) = calibration_images(train, (4, 4), batch=16, images=7)
    assert again[0].shape == (16, 1, 4, 4)
