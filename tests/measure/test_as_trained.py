"""as_trained: what is timed has the biases that a trained network's file has."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hwnas.block import Block
from hwnas.lower import to_onnx
from hwnas.measure import Job
from hwnas.measure.as_trained import as_trained

BLOCK = Block("mbconv", 8, 8, 10, 12, kernel=5, expand=4, se=4, act="hswish")


def biases(module: nn.Module, shape: tuple[int, ...]) -> list[np.ndarray]:
    graph = onnx.load_from_string(to_onnx(module, shape)).graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    return [values[node.input[2]] for node in graph.node if node.op_type == "Conv" and len(node.input) > 2]


def test_no_bias_of_a_measured_file_is_zero():
    job = Job.of(BLOCK)
    assert any(not b.any() for b in biases(job.make().eval(), job.shapes[0])), "a fresh BatchNorm folds into zeros"
    found = biases(job.module(), job.shapes[0])
    assert len(found) >= 3 and all(np.abs(b).min() > 0 for b in found)


def test_the_same_every_time_and_nobody_elses_randomness():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (Job.of(BLOCK).module().state_dict() for _ in range(2))
    assert torch.rand(1) == expected
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_layers_of_a_users_own_model():
    module = as_trained(nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(2, 6), nn.Linear(6, 3), nn.BatchNorm1d(3, affine=False)))
    norms = [module[0], module[1]]
    assert all(n.bias.abs().min() > 0 and n.weight.min() >= 0.5 and not (n.weight == 1).any() for n in norms)
    assert module[3].running_mean.any() and (module[3].running_var != 1).all()


def test_what_was_trained_stays():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    module[1].bias.data.fill_(0.3)
    module[1].weight.data.fill_(1.5)
    module(torch.randn(8, 3, 5, 5))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    as_trained(module)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_without_statistics(affine):
    norm = as_trained(nn.BatchNorm2d(4, affine=affine, track_running_stats=False))
    assert norm.running_mean is None and (norm.bias is None or norm.bias.any())
