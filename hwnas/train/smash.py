"""SMASH: one-shot model architecture search through hypernetworks (Brock et al. 2017, arXiv 1708.05344)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ..errors import HwnasError
from ..gates import Gates, path
from ..space import Codes, Space
from ..supernet import Supernet
from .forward import make_forward
from .judge import frozen_statistics
from .memory import Memory
from .options import Traits, at_least, traits
from .run import Run, Step

PERTURB = 0.1  # chance that a gene is redrawn in a step of the Markov chain


@dataclass(frozen=True)
class SMASH:
    hidden: int = 16  # width of the hypernetwork: it has about hidden x (generated weights) parameters
    candidates: int = 100  # random architectures that are ranked at the end
    chain: int = 100  # steps of the Markov chain that starts at the best of them

    def __post_init__(self) -> None:
        at_least("smash", self, hidden=1, candidates=1, chain=0)


@traits(Traits(learns=True, one_stage=False))
def smash(run: Run, options: SMASH) -> Step:
    """A hypernetwork maps an architecture's encoding c to the main network's weights, W = H(c), and only it is trained.

    Algorithm 1: each step draws an architecture uniformly, generates its convolutions, and backpropagates through them
    into H; besides H only stem, BatchNorm and head learn. At the end random candidates are ranked on held-out images with
    generated weights, the best is perturbed, and a change that is no worse is kept (the paper's Markov chain). The derived
    architecture is to be retrained; its generated weights are written into the supernet. Its ranking is worth what
    its correlation with true accuracy is: on very small data that was low in the paper, too.

    Where we differ: H is an MLP from the one-hot code, with a linear layer for each convolution, in place of a
    convolutional one over a picture of the memory banks. Generated weights are normalised to norm 1 for each output channel
    (weight normalisation without scale: a BatchNorm follows). With a budget only architectures that keep it are ranked.
    Raises HwnasError under recipe.bf16.
    """
    net, space = run.net, run.space
    if not isinstance(net, Supernet) or run.recipe.bf16:
        raise HwnasError("smash: generates a supernet's weights in float32: switch recipe.bf16 off")
    torch.manual_seed(run.recipe.seed)
    own = generated(net)
    hyper = Hypernetwork(space, {k: p.shape for k, p in own.items()}, options.hidden)
    for parameter in own.values():
        parameter.requires_grad_(False)
    run.optimizer.add_param_group({"params": [p for p in hyper.parameters() if p.ndim > 1], "weight_decay": run.recipe.weight_decay})
    run.optimizer.add_param_group({"params": [p for p in hyper.parameters() if p.ndim <= 1], "weight_decay": 0.0})
    found = Memory(codes=torch.zeros(0, len(space.genes), dtype=torch.int64))
    run.keep(hypernetwork=hyper, found=found)

    def call(x: Tensor, weights: dict[str, Tensor], gates: Gates) -> Tensor:
        outputs: Tensor = functional_call(net, weights, (x, gates))
        return outputs

    as_recipe = make_forward(call, run.recipe)

    def forward(x: Tensor, z: np.ndarray) -> Tensor:
        return as_recipe(x, hyper(z), path(space, z))

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        outputs = forward(x, run.draw(number)[0])
        loss = run.loss(outputs, y)
        loss.backward()
        run.update()
        record = {"loss": loss.item(), "accuracy": run.reward(outputs, y)}
        if number + 1 == run.steps:
            Z = search(run, lambda z: _judge(run, forward, z), options)
            found["codes"] = torch.from_numpy(Z)
            with torch.no_grad():
                for key, weight in hyper(Z[0]).items():
                    own[key].copy_(weight)
        return record

    run.derive = lambda: found["codes"].numpy()
    return step


class Hypernetwork(nn.Module):
    """One-hot code -> a tensor of each of the given shapes, every output channel (their first axis) of norm 1."""

    def __init__(self, space: Space, shapes: dict[str, torch.Size], hidden: int):
        super().__init__()
        self.sizes, self.shapes = list(map(int, space.sizes)), shapes
        self.trunk = nn.Sequential(nn.Linear(sum(self.sizes), hidden), nn.LeakyReLU(), nn.Linear(hidden, hidden), nn.LeakyReLU())
        self.heads = nn.ModuleList(nn.Linear(hidden, shape.numel()) for shape in shapes.values())

    def forward(self, z: np.ndarray) -> dict[str, Tensor]:
        code = torch.cat([F.one_hot(torch.tensor(int(v)), n) for v, n in zip(z, self.sizes)]).float()
        h = self.trunk(code)
        made = zip(self.shapes.items(), self.heads)
        return {key: F.normalize(head(h).view(shape[0], -1), dim=1).view(shape) for (key, shape), head in made}


def generated(net: Supernet) -> dict[str, nn.Parameter]:
    """Parameter name -> convolution weight that H makes: of every slot but stems and heads."""
    learned = {s.name for s in net.space.slots if any(b and b.op in ("stem", "head") for b in s.blocks)}
    parameters = dict(net.named_parameters())
    return {k: p for k, p in parameters.items() if p.ndim == 4 and k.split(".")[2] not in learned}


def search(run: Run, score: Callable[[np.ndarray], float], options: SMASH) -> Codes:
    """Z (k, genes), the best first: random candidates ranked, then a chain of perturbations from the best of them."""
    space, rng = run.space, np.random.default_rng(run.recipe.seed)
    Z = space.sample(options.candidates, rng)
    if run.constraint is not None:
        keeps = run.constraint.keeps(Z)
        Z = Z[keeps] if keeps.any() else run.constraint.feasible.sample(options.candidates, rng)
    scores = [score(z) for z in Z]
    order = np.argsort(scores)[::-1]
    best, top = Z[order[0]], scores[order[0]]
    for _ in range(options.chain):
        z = space.mutate(best[None], rng, PERTURB)[0]
        if (run.constraint is None or run.constraint.keeps(z[None])[0]) and (value := score(z)) >= top:
            best, top = z, value
    return np.concatenate([best[None], Z[order]])


@torch.no_grad()
def _judge(run: Run, forward: Callable[[Tensor, np.ndarray], Tensor], z: np.ndarray) -> float:
    """On one held-out minibatch, always the same: a chain that compares scores needs a fair one."""
    x, y = run.valid_batch(0)
    with frozen_statistics(run.net):
        return run.reward(forward(x, z), y)
