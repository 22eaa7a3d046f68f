"""tools/side_by_side.py: networks computed side by side learn what each learns alone."""

import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from hwnas.supernet import network
from hwnas.train import Recipe
from hwnas.train.run import make_optimizer

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from side_by_side import chains
from truth import all_codes, truth_space


def test_a_step_side_by_side_is_the_step_of_each_alone() -> None:
    space, recipe, seeds = truth_space(), Recipe(lr=0.1, weight_decay=0.01), (0, 1)
    Z = all_codes()[[5, 700, 364]]  # skips, and blocks of both sizes
    nets = []
    for z in Z:
        for seed in seeds:
            torch.manual_seed(seed)
            nets.append(network(space, z).train())
    k = len(nets)
    merged, x, y = chains(space, Z, seeds).train(), torch.rand(k, 20, 1, 8, 8), torch.randint(0, 10, (20, k))
    logits = merged(torch.cat([*x], 1)).unflatten(1, (k, 10))
    (k * F.cross_entropy(logits.flatten(0, 1), y.flatten())).backward()
    make_optimizer(merged, recipe).step()
    for i, net in enumerate(nets):
        alone = net(x[i])
        assert torch.allclose(alone, logits[:, i], atol=1e-5)
        F.cross_entropy(alone, y[:, i]).backward()
        make_optimizer(net, recipe).step()
    after = merged.eval()(torch.cat([*x], 1)).unflatten(1, (k, 10))
    for i, net in enumerate(nets):
        assert torch.allclose(net.eval()(x[i]), after[:, i], atol=1e-5)
