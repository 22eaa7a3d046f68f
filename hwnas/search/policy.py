"""Reinforcement learning: a policy over the genes, moved by the scores of what it samples (REINFORCE, Williams 1992)."""

from __future__ import annotations

import numpy as np

from ..space import Codes
from .evolution import Evolution
from .feasible import Feasible
from .fresh import Fresh
from .result import Found, Report, Score

RATE = 0.1  # of Adam, on logits
DECAY = 0.9  # of the baseline
BATCH = 10  # architectures between two steps of the policy
DRAWS = 20  # batches drawn for so many new feasible architectures, before random ones take their place
MIX = 0.05  # probability that a gene is drawn uniformly, so that nothing is ever ruled out


def rl(feasible: Feasible, score: Score, plan: Evolution, seed: int, report: Report | None = None) -> Found:
    """Each gene is a softmax of its own, as in TuNAS (Bender et al. 2020); each batch moves it towards what beat the baseline.

    What breaks a limit, or was seen before, is drawn again and never scored: the policy is that of feasible architectures, and what a
    reward would say of limits (MnasNet's soft product, TuNAS' absolute penalty) needs no learning here. Advantages are scaled by their
    spread, as scores of good architectures differ by fractions of a percent. At most plan.evaluations, none twice.
    """
    space, rng, fresh = feasible.model.space, np.random.default_rng(seed), Fresh(feasible)
    policy, baseline = Policy(space.sizes), None
    codes, accuracy = np.zeros((0, len(space.genes)), np.int64), np.zeros(0)
    while (wanted := min(BATCH, plan.evaluations - len(codes))) > 0:
        new = codes[:0]
        for _ in range(DRAWS if len(codes) else 0):  # the first batch is random
            if len(new) == wanted:
                break
            new = np.concatenate([new, fresh(policy.sample(20 * BATCH, rng), wanted - len(new))])
        if missing := wanted - len(new):
            new = np.concatenate([new, fresh(feasible.sample(4 * BATCH, rng), missing)])
        if not len(new):
            break
        found = score(new)
        baseline = float(found.mean()) if baseline is None else baseline
        spread = float(found.std()) or 1.0
        policy.step(new, (found - baseline) / spread)
        baseline = DECAY * baseline + (1 - DECAY) * float(found.mean())
        codes, accuracy = np.concatenate([codes, new]), np.concatenate([accuracy, found])
        if report:
            report(len(codes), plan.evaluations, float(accuracy.max()))
    likely = float(np.exp(policy.log_probability(codes[[accuracy.argmax()]])[0] / max(1, int((space.sizes > 1).sum()))))
    return Found(codes, accuracy, f"the policy gives the winner's choices a probability of {likely:.0%} each (geometric mean)")


class Policy:
    """A softmax for each gene; logits of all genes lie in one row, those of a gene beside each other."""

    def __init__(self, sizes: np.ndarray):
        self.sizes, self.starts = sizes, np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.owner = np.repeat(np.arange(len(sizes)), sizes)
        self.logits, self.moments, self.steps = np.zeros(int(sizes.sum())), np.zeros((2, int(sizes.sum()))), 0

    @property
    def probabilities(self) -> np.ndarray:
        """(options of all genes,)"""
        weights = np.exp(self.logits - np.maximum.reduceat(self.logits, self.starts)[self.owner])
        return np.asarray(weights / np.add.reduceat(weights, self.starts)[self.owner])

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Z (n, genes)."""
        p = (1 - MIX) * self.probabilities + MIX / self.sizes[self.owner]
        columns = [rng.choice(size, n, p=p[at : at + size] / p[at : at + size].sum()) for at, size in zip(self.starts, self.sizes)]
        return np.stack(columns, 1).astype(np.int64)

    def log_probability(self, Z: Codes) -> np.ndarray:
        """(n,)"""
        return np.asarray(np.log(self.probabilities[self.starts + Z]).sum(1))

    def step(self, Z: Codes, advantage: np.ndarray) -> None:
        """One step of Adam up the policy gradient: mean of advantage (n,) x d log p(Z) / d logits."""
        gradient = -advantage.mean() * self.probabilities
        np.add.at(gradient, (self.starts + Z).ravel(), np.repeat(advantage / len(Z), Z.shape[1]))
        self.steps += 1
        first, second = self.moments
        first += 0.1 * (gradient - first)
        second += 0.01 * (gradient**2 - second)
        self.logits += RATE * (first / (1 - 0.9**self.steps)) / (np.sqrt(second / (1 - 0.99**self.steps)) + 1e-8)
