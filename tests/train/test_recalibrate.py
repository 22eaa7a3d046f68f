"""BatchNorm recalibration against statistics computed by hand."""

import torch
from torch import nn

from hwnas.train import recalibrate


def test_statistics_are_averages_over_the_batches() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3, momentum=0.1), nn.Dropout(0.9))
    net[0].running_mean.fill_(100)
    batches = [torch.randn(8, 3, 4, 4) * k + k for k in (1, 2, 3)]
    recalibrate(net, batches)
    assert torch.allclose(net[0].running_mean, torch.stack([x.mean((0, 2, 3)) for x in batches]).mean(0), atol=1e-6)
    assert torch.allclose(net[0].running_var, torch.stack([x.var((0, 2, 3)) for x in batches]).mean(0), atol=1e-5)
    assert not net.training and not net[0].training and net[0].momentum == 0.1


def test_dropout_stays_out_of_it() -> None:
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(2))
    recalibrate(net.train(), [torch.ones(4, 2, 3, 3)])
    assert torch.equal(net[1].running_mean, torch.ones(2)) and torch.equal(net[1].running_var, torch.zeros(2))


def test_twice_is_the_same_as_once() -> None:
    net, batches = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), [torch.randn(5, 1, 6, 6)]
    recalibrate(net, batches)
    first = net[1].running_var.clone()
    recalibrate(net, batches)
    assert torch.equal(net[1].running_var, first)
