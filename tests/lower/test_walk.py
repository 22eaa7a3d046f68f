"""hwnas/lower/walk.py: what modules become, and what is refused."""

import pytest
import torch
import torch.nn.functional as F
from parity import assert_parity, random_inputs, randomised
from torch import nn

from hwnas.block import Block
from hwnas.lower import UnknownOp, lower, write_onnx, write_tflite
from hwnas.ops import build

torch.set_num_threads(1)
IMAGE = (1, 8, 7, 6)


class Calls(nn.Module):
    """A module that is one function of its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 8).reshape(8, 1, 1))
        self.weight = nn.Parameter(torch.linspace(-1, 1, 16 * 8 * 9).reshape(16, 8, 3, 3))

    def forward(self, *xs):
        return self.function(self, *xs)


def shuffle_by_hand(_, x):
    n, c, h, w = x.size()
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w) + x


def split_and_join(_, x):
    left, right = x.chunk(2, 1)
    first, middle, last = torch.split(x, [1, 5, 2], dim=1)
    return torch.cat([right * 2, left - 1, middle, x[:, 2:5]], dim=1)


FUNCTIONS = {
    "activations": lambda _, x: F.relu6(x * 3) + F.silu(x) * torch.sigmoid(x) - F.hardswish(x) / 2 + F.gelu(x),
    "hand-written hard sigmoid": lambda _, x: x * F.relu6(x + 3) / 6,
    "channel scale": lambda m, x: m.scale * x + 1,
    "sliced weights": lambda m, x: F.conv2d(x, m.weight[:12, :, :2] * 0.5, padding=(0, 2), stride=(1, 2)),
    "gate": lambda _, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "pooled features": lambda _, x: F.relu(x.mean([-1, -2])) * 2,
    "pooled in four": lambda _, x: F.adaptive_avg_pool2d(x[:, :, :, :], (7, 2)),
    "average that counts padding": lambda _, x: F.avg_pool2d(x, 3, 2, 1),
    "pool over an edge": lambda _, x: F.max_pool2d(x, (3, 2), padding=(1, 0)),
    "zeros": lambda _, x: x + torch.zeros_like(x),
    "nothing but zeros": lambda _, x: torch.zeros_like(x),
    "input": lambda _, x: x,
    "view as features": lambda _, x: x.view(x.size(0), -1) * 2,
    "reshape as features": lambda _, x: x.reshape(x.shape[0], 8 * 7 * 6),
    "channel shuffle": lambda _, x: F.relu(torch.channel_shuffle(x, 4)),
    "channel shuffle by hand": shuffle_by_hand,
    "split and join": split_and_join,
    "dropped": lambda m, x: F.dropout(x, 0.5, training=m.training) * 2,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_methods(name, tmp_path):
    assert_parity(Calls(FUNCTIONS[name]), random_inputs(IMAGE), tmp_path)


LAYERS = {
    "grouped": nn.Conv2d(8, 12, 3, padding=1, groups=4),
    "depth multiplier": nn.Conv2d(8, 24, 5, 2, 2, groups=8),
    "dilated": nn.Conv2d(8, 4, 3, padding=2, dilation=2),
    "oblong": nn.Conv2d(8, 4, (1, 5), (2, 1), (0, 2)),
    "padded alike": nn.Conv2d(8, 4, (4, 2), padding="same"),
    "norm": nn.BatchNorm2d(8),
    "norm with relu": nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()),
    "norm of features": nn.Sequential(nn.Flatten(), nn.Linear(8 * 42, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU6()),
    "flatten, norm, linear": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(8 * 42), nn.Linear(8 * 42, 6)),
    "two norms": nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
    "max pool": nn.MaxPool2d(2),
    "dropout": nn.Dropout(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, tmp_path):
    torch.manual_seed(0)
    assert_parity(randomised(LAYERS[name]), random_inputs(IMAGE), tmp_path)


def test_a_whole_network_of_blocks(tmp_path):
    blocks = [
        Block("stem", 1, 8, 20, 28, stride=2, kernel=3, act="hswish"),
        Block("mbconv", 8, 8, 10, 14, kernel=3, expand=3, se=4, act="relu"),
        Block("mbconv", 8, 16, 10, 14, stride=2, kernel=5, expand=6, act="hswish"),
        Block("head", 16, 10, 5, 7, expand=4, act="hswish"),
    ]
    program = assert_parity(randomised(nn.Sequential(*map(build, blocks))), random_inputs((2, 1, 20, 28)), tmp_path)
    assert program.macs == 2 * sum(lower(build(b), (1, b.cin, b.height, b.width)).macs for b in blocks)


def test_a_graph_with_two_inputs_sums_and_concatenations(tmp_path):
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            b = Block("separable", 8, 8, 7, 6, kernel=3)
            self.left, self.right, self.unused = build(b), build(Block("dilated", 8, 8, 7, 6, kernel=5)), build(b)
            self.add, self.join = build(Block("add", 8, 8, 7, 6, inputs=3)), build(Block("concat", 8, 24, 7, 6, inputs=3))

        def forward(self, x, y):
            self.unused(x)
            total = self.add(self.left(x), self.right(y), torch.zeros_like(x))
            return self.join(total, y, F.relu(total))

    program = assert_parity(randomised(Cell()), random_inputs(IMAGE, IMAGE), tmp_path)
    assert program.inputs == ("input0", "input1")
    assert sum(node.op == "conv2d" for node in program.nodes) == 6  # dead code is gone


def test_a_norm_is_folded_only_where_it_alone_reads_the_convolution(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

        def forward(self, x):
            y = self.conv(x)
            return self.norm(y) + y

    program = assert_parity(randomised(Twice()), random_inputs(IMAGE), tmp_path)
    assert [node.op for node in program.nodes] == ["conv2d", "scale_shift", "add"]
    folded = lower(nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.Dropout(), nn.ReLU()), IMAGE)
    assert [node.op for node in folded.nodes] == ["conv2d", "relu"]


def test_what_two_nodes_do_alike_is_done_once(tmp_path):
    module = Calls(lambda m, x: F.conv2d(F.relu(x), m.weight, padding=1) + F.conv2d(F.relu(x), m.weight * 2, padding=1))
    program = assert_parity(module, random_inputs(IMAGE), tmp_path)
    assert [node.op for node in program.nodes] == ["relu", "conv2d", "conv2d", "add"]
    pools = Calls(lambda _, x: F.max_pool2d(x, 2) + F.max_pool2d(x, 2) * F.max_pool2d(x, 2, stride=2, padding=0))
    assert [node.op for node in lower(pools, IMAGE).nodes] == ["max_pool", "mul", "add"]


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8).eval(), nn.Dropout()).train()
    module[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    write_tflite(lower(module, IMAGE))
    assert [m.training for m in module] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_several_outputs_are_named_in_order():
    program = lower(Calls(lambda _, x: (x, F.relu(x), F.relu(x) * 2)), IMAGE)
    assert program.outputs == ("output0", "output1", "output2")
    assert set(program.shapes) >= {"input", "output0", "output1", "output2"}
    write_onnx(program), write_tflite(program)


def test_one_tensor_may_be_several_outputs():
    def twice(_, x):
        y = F.relu(x)
        return y, y

    program = lower(Calls(twice), IMAGE)
    assert program.outputs == ("output0", "output1")
    assert [node.op for node in program.nodes] == ["relu", "identity"]


@pytest.mark.parametrize(
    "module, named",
    [
        (nn.Sequential(nn.Conv2d(8, 8, 1), nn.Softplus()), "Softplus (1)"),
        (nn.Conv2d(8, 8, 3, padding_mode="reflect", padding=1), "padding_mode='reflect'"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode=True"),
        (nn.BatchNorm2d(8, track_running_stats=False), "running statistics"),
        (nn.Linear(6, 6), "flatten it first"),
        (Calls(lambda _, x: torch.cumsum(x, 1)), "cumsum"),
        (Calls(lambda _, x: x.mean(1)), "mean over 1"),
        (Calls(lambda _, x: x[:, ::2]), "indexing"),
        (Calls(lambda _, x: x.view(-1)), "reshape"),
        (Calls(lambda _, x: {"y": x}), "output that is a"),
        (Calls(lambda _, x: x if x.sum() > 0 else -x), "torch.fx cannot trace it"),
    ],
)
def test_what_it_does_not_know_is_named(module, named):
    with pytest.raises(UnknownOp) as error:
        lower(module, IMAGE)
    assert named in str(error.value) and "cannot lower" in str(error.value)
    assert "\n" not in str(error.value)
