"""hwnas/lower/program.py and features.py: facts against what one works out by hand, on modules without weights."""

import torch
from torch import nn

from hwnas.block import Block
from hwnas.lower import FEATURES, lower
from hwnas.lower.features import features
from hwnas.ops import build


def facts_of(block):
    """The program of a block whose weights were never made."""
    with torch.device("meta"):
        module = build(block)
    program = lower(module, *[(1, block.cin, block.height, block.width)] * block.inputs)
    assert all(weight.is_meta for node in program.nodes for weight in node.weights.values())
    return program


def test_a_convolution():
    program = facts_of(Block("conv", 16, 24, 10, 8, stride=2, kernel=3, act="relu"))
    assert program.shapes == {"input": (1, 16, 10, 8), "conv2d_0": (1, 24, 5, 4), "output": (1, 24, 5, 4)}
    assert program.params == 24 * 16 * 9 + 24  # the bias is what BatchNorm leaves
    assert program.weight_bytes == 4 * program.params
    assert program.macs == 24 * 16 * 9 * 5 * 4
    assert program.peak_bytes == 4 * (16 * 10 * 8 + 24 * 5 * 4)  # the ReLU works in place


def test_an_inverted_residual():
    program = facts_of(Block("mbconv", 8, 8, 6, 6, kernel=5, expand=4, se=4, act="hswish"))
    up, depthwise, squeeze, down = 8 * 32 + 32, 32 * 25 + 32, 32 * 8 + 8 + 8 * 32 + 32, 32 * 8 + 8
    assert program.params == up + depthwise + squeeze + down
    assert program.macs == (8 * 32 + 32 * 25 + 32 * 8) * 36 + 2 * 32 * 8
    assert program.peak_bytes == 4 * 36 * (8 + 32 + 32)  # the residual waits while the depthwise convolution reads and writes


def test_a_head_counts_its_linear_layer():
    program = facts_of(Block("head", 8, 10, 4, 4))
    assert [node.op for node in program.nodes] == ["global_avg_pool", "flatten", "linear"]
    assert (program.params, program.macs) == (8 * 10 + 10, 80)


def test_tensors_of_a_sum_stay_alive_until_it_runs():
    program = facts_of(Block("add", 8, 8, 4, 4, inputs=3))
    assert program.peak_bytes == 4 * 3 * 8 * 16
    assert program.macs == program.params == 0


def test_peak_of_a_skip_connection_over_two_convolutions():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 4, 1)

        def forward(self, x):
            return torch.cat([x, self.narrow(self.wide(x))], 1)

    program = lower(Net(), (1, 4, 5, 5))
    assert program.peak_bytes == 4 * 25 * (4 + 16 + 4)


def test_features_are_one_set_for_all_and_sum_per_kind():
    program = facts_of(Block("mbconv", 8, 8, 6, 6, kernel=5, expand=4, se=4, act="hswish"))
    found = features(program)
    assert tuple(found) == FEATURES == tuple(features(facts_of(Block("max_pool", 8, 8, 6, 6, kernel=3))))
    assert found["macs_depthwise_k5_s1"] == 32 * 25 * 36
    assert found["bytes_depthwise_k5_s1"] == 4 * (2 * 32 * 36 + 32 * 25 + 32)
    assert found["macs_conv_1x1"] == 2 * 8 * 32 * 36 + 2 * 32 * 8
    assert found["nodes_conv_1x1"] == 4
    assert found["nodes_curve"] == 3  # two hard-swishes, one hard sigmoid
    assert sum(found[f"macs_{kind}"] for kind in ("conv_1x1", "depthwise_k5_s1")) == program.macs


def test_features_keep_unusual_convolutions_apart():
    dilated = features(facts_of(Block("dilated", 8, 8, 9, 9, kernel=3)))
    assert dilated["nodes_depthwise_other"] == 1 and dilated["nodes_depthwise_k3_s1"] == 0
    oblong = features(facts_of(Block("conv_pair", 8, 8, 9, 9, kernel=7)))
    assert oblong["nodes_conv_kxk"] == 2
    grouped = features(lower(nn.Conv2d(8, 8, 3, groups=2), (1, 8, 9, 9)))
    assert grouped["nodes_conv_grouped"] == 1
