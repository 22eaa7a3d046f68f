"""tools/side_by_side.py: networks computed side by side learn what each learns alone."""

import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from hwnas.supernet import network
from hwnas.train import Recipe
from hwnas.train.run import make_optimizer

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from side_by_side import side_by_side
from truth import all_codes, truth_space


def test_a_step_side_by_side_is_the_step_of_each_alone() -> None:
    space, recipe = truth_space(), Recipe(lr=0.1, weight_decay=0.01)
    z = all_codes()[5]  # skips, and blocks of both sizes
    nets = []
    for seed in range(3):
        torch.manual_seed(seed)
        nets.append(network(space, z).train())
    merged, x, y = side_by_side(nets), torch.rand(3, 20, 1, 8, 8), torch.randint(0, 10, (20, 3))
    logits = merged(torch.cat([*x], 1)).view(20, 3, 10)
    (3 * F.cross_entropy(logits.flatten(0, 1), y.flatten())).backward()
    make_optimizer(merged, recipe).step()
    for k, net in enumerate(nets):
        alone = net(x[k])
        assert torch.allclose(alone, logits[:, k], atol=1e-5)
        F.cross_entropy(alone, y[:, k]).backward()
        make_optimizer(net, recipe).step()
    after = merged.eval()(torch.cat([*x], 1)).view(20, 3, 10)
    for k, net in enumerate(nets):
        assert torch.allclose(net.eval()(x[k]), after[:, k], atol=1e-5)
