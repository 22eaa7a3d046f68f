"""ProxylessNAS, the REINFORCE form (Cai et al. 2019, arXiv 1812.00332, sec. 3.3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .options import Traits, at_least, one_of, traits
from .policy import Factorised, PolicyGradient
from .reward import Reward
from .run import Run, Step


@dataclass(frozen=True)
class ProxylessRL:
    reward: str = "soft"  # acc (lat / target)^w: "soft" w on both sides, "hard" 0 within the target, -1 above; or "lagrangian"
    w: float = -0.1  # of the soft reward, as released
    lr: float = 0.0  # of alpha's Adam, whose beta1 is 0; 0 = the paper's 1e-3, more in shorter runs (Run.alpha_rate)
    baseline: float = 0.99  # decay of the moving average
    every: int = 5  # steps of the weights between two of alpha
    samples: int = 10  # architectures rewarded in each step of alpha, on one minibatch
    warmup: float = 0.1  # share of the run in which only weights learn

    def __post_init__(self) -> None:
        one_of("proxyless_rl.reward", self.reward, ("soft", "hard", "lagrangian"))
        at_least("proxyless_rl", self, lr=0, baseline=0, every=1, samples=1, warmup=0)


@traits(Traits(learns=True, coupled=True, one_stage=False, held_out=0.2))
def proxyless_rl(run: Run, options: ProxylessRL) -> Step:
    """Weights learn on one path drawn from softmax(alpha); every fifth step alpha learns from the rewards of ten.

    J(alpha) = E[R], grad J ~ mean of (R - b) grad log p(g) (eq. 9), R = acc (lat / target)^w with w = -0.1; b a moving average,
    decay 0.99. alpha: one logit for each value of each gene, independent; Adam, beta1 0. The most likely architecture is derived.
    Unlike the gradient form this
    one learns width and resolution, too, since it needs no mix of them, and any reward will do, differentiable or not.

    Coupled; to be retrained. "lagrangian" binds the budget, which the paper's reward does not: see hwnas.train.reward.
    """
    alpha = run.learn(run.alpha_rate(options.lr, 1e-3, options.every), betas=(0.0, 0.999), all_genes=True)
    learner = PolicyGradient(run, Factorised(alpha), run.alpha_optimizer, Reward(run, options.reward, options.w), options.baseline)
    samples, run.derive = learner.derive, lambda: np.concatenate([alpha.code()[None], samples()])
    warm = round(options.warmup * run.steps)

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        record = learner.train_weights(x, y)
        if number >= warm and number % options.every == 0:
            learner.update(options.samples, lambda i: number)
        return record | learner.figures

    return step
