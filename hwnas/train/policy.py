"""PolicyGradient: weights by sampled architectures, and the distribution they are sampled from by their rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..gates import path
from ..space import Codes
from .alpha import Alpha
from .judge import judge
from .memory import Memory
from .reward import Reward
from .run import Run

DERIVE = 10  # architectures sampled at the end; the best on one held-out minibatch is kept (ENAS sec. 2.2)


class Policy(Protocol):
    """A distribution over codes."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Codes:
        """Z (n, genes); generator None: torch's own, which the training loop seeds at each step."""
        ...

    def __call__(self, Z: Codes) -> tuple[Tensor, Tensor]:
        """Z (n, genes) -> log probability (n,), differentiable, and entropy (n,), nats."""
        ...


class Factorised:
    """Alpha as a policy: genes are independent, each a softmax over its values."""

    def __init__(self, alpha: Alpha):
        self.alpha = alpha

    def sample(self, n: int, generator: torch.Generator | None = None) -> Codes:
        seed = int(torch.randint(2**62, (), generator=generator))
        return self.alpha.sample(n, np.random.default_rng(seed))

    def __call__(self, Z: Codes) -> tuple[Tensor, Tensor]:
        each = [-(p * p.log()).sum() for p in self.alpha.probabilities().values()]
        return self.alpha.log_probability(Z), torch.stack(each).sum().expand(len(Z))


class PolicyGradient:
    """REINFORCE with a moving-average baseline (Williams 1992), on top of a supernet whose weights learn meanwhile.

    It sets `run.derive`: the best of ten samples. What it learns is in the checkpoint.
    """

    def __init__(
        self, run: Run, policy: Policy, optimizer: torch.optim.Optimizer, reward: Reward, decay: float = 0.99, entropy: float = 0.0
    ):
        self.run, self.policy, self.optimizer, self.reward, self.entropy = run, policy, optimizer, reward, entropy
        self.baseline = Baseline(decay)
        self.figures = Memory(reward=0.0, baseline=0.0, entropy=0.0)  # of the last update: the journal averages over steps
        run.keep(baseline=self.baseline, figures=self.figures)
        run.derive = self.derive

    def train_weights(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """One step of the weights on one sampled architecture (ENAS eq. 1 with M = 1); what to record."""
        run, Z = self.run, self.policy.sample(1)
        run.visit(Z)
        outputs = run.forward(x, path(run.space, Z[0]))
        loss = run.loss(outputs, y)
        loss.backward()
        run.update()
        return {"loss": loss.item(), "accuracy": run.reward(outputs, y)}

    def update(self, n: int, minibatch: Callable[[int], int]) -> None:
        """One step of the policy on n architectures, the i-th on held-out minibatch number `minibatch(i)`."""
        Z = self.policy.sample(n)
        quality = np.array([judge(self.run, path(self.run.space, z), self.run.arch_batch, minibatch(i)) for i, z in enumerate(Z)])
        log_p, entropy = self.policy(Z)
        R = self.reward(Z, quality) + self.entropy * entropy.detach().numpy()
        loss = reinforce(log_p, self.baseline.advantage(R))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.figures.update(reward=float(R.mean()), baseline=self.baseline["value"], entropy=float(entropy.detach().mean()))

    def derive(self) -> Codes:
        """Ten samples (n, genes): those within the budget first, and of them the best on one held-out minibatch."""
        run = self.run
        Z = self.policy.sample(DERIVE, torch.Generator().manual_seed(run.recipe.seed))
        quality = np.array([judge(run, path(run.space, z), run.arch_batch, i) for i, z in enumerate(Z)])
        keeps = run.constraint.keeps(Z) if run.constraint else np.ones(len(Z), bool)
        return Z[np.lexsort((-quality, ~keeps))]


class Baseline(Memory):
    """A moving average of rewards, and how many it has seen."""

    def __init__(self, decay: float):
        super().__init__(value=0.0, seen=0, decay=decay)

    def advantage(self, rewards: np.ndarray) -> np.ndarray:
        """rewards (n,) -> (n,) how much better than the baseline, which each of them moves first, as in ENAS' released code.

        b <- decay b + (1 - decay) r. The first reward becomes the baseline (the released code starts at 0, which makes every
        early sample look good).
        """
        found = np.empty(len(rewards))
        for i, reward in enumerate(rewards):
            old = self["value"] if self["seen"] else float(reward)
            self["value"] = self["decay"] * old + (1 - self["decay"]) * float(reward)
            self["seen"] += 1
            found[i] = reward - self["value"]
        return found


def reinforce(log_p: Tensor, advantage: np.ndarray) -> Tensor:
    """Loss whose gradient is the policy gradient: -mean(advantage x log p); log_p (n,), advantage (n,)."""
    return -(torch.from_numpy(advantage).to(log_p) * log_p).mean()
