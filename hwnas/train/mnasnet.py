"""MnasNet: platform-aware search by reinforcement learning (Tan et al. 2019, arXiv 1807.11626)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .controller import Controller
from .enas import IN_TURNS, controller_rate, in_turns
from .options import Traits, at_least, one_of, traits
from .policy import PolicyGradient
from .reward import Reward
from .run import Run, Step


@dataclass(frozen=True)
class MnasNet:
    reward: str = "soft"  # acc (lat / target)^w: "soft" w on both sides, "hard" 0 within the target, -1 above; or "lagrangian"
    w: float = -0.07  # of the soft reward
    lr: float = 0.0  # of the controller's Adam; 0 = 3.5e-3 as in ENAS, up to 0.01 in runs of fewer than 400 updates
    baseline: float = 0.99  # decay of the moving average
    evaluations: int = 0  # architectures rewarded in each controller phase; 0 = as many as the weights have steps in an epoch
    aggregate: int = 10  # of them for each update of the controller

    def __post_init__(self) -> None:
        one_of("mnasnet.reward", self.reward, ("soft", "hard", "lagrangian"))
        at_least("mnasnet", self, lr=0, baseline=0, evaluations=0, aggregate=1)


@traits(Traits(learns=True, coupled=True, one_stage=False, held_out=0.2, epoch=IN_TURNS))
def mnasnet(run: Run, options: MnasNet) -> Step:
    """An LSTM controller learns, by REINFORCE, to write architectures of high acc(m) x (lat(m) / target)^w (eq. 2).

    soft (default): w = -0.07 on both sides of the target; hard: w = 0 within it and -1 above (eq. 3). Neither binds: soft
    trades, hard only punishes. "lagrangian" replaces the product by acc - lambda (lat / target - 1), lambda raised while what
    is sampled is over the budget. The space is the factorised one: give it a `mobilenet`. Latency comes from the device's
    tables with its margin; with several limits, the fullest is the cost.

    Where we differ: the paper trains each of 8,000 samples alone for 5 epochs and updates by PPO. Here rewards come from
    inherited weights, in ENAS' alternation, and the update is REINFORCE with a moving-average baseline. Coupled; to be retrained.
    """
    torch.manual_seed(run.recipe.seed)
    controller = Controller(run.space, bounded=False)
    adam = torch.optim.Adam(controller.parameters(), lr=controller_rate(run, options.lr, options.evaluations, options.aggregate, most=0.01))
    run.keep(controller=controller, controller_optimizer=adam)
    learner = PolicyGradient(run, controller, adam, Reward(run, options.reward, options.w), options.baseline)
    return in_turns(run, learner, options.evaluations, options.aggregate)
