"""ENAS: efficient neural architecture search by parameter sharing (Pham et al. 2018, arXiv 1802.03268)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .controller import Controller
from .options import Traits, at_least, one_of, traits
from .policy import PolicyGradient
from .reward import FORMULAS, Reward
from .run import Run, Step

IN_TURNS = "one pass over the training images, then a controller phase"


@dataclass(frozen=True)
class ENAS:
    lr: float = 0.0  # of the controller's Adam; 0 = the paper's 3.5e-3, up to 0.03 in runs of fewer than 400 updates
    entropy: float = 1e-4  # weight of the entropy that is added to the reward
    baseline: float = 0.99  # decay of the moving average
    hidden: int = 64  # of the LSTM
    evaluations: int = 0  # architectures rewarded in each controller phase; 0 = as many as the weights have steps in an epoch
    aggregate: int = 10  # of them for each update of the controller
    reward: str = ""  # "accuracy", "lagrangian", "soft", "hard"; "" = lagrangian where there is a budget, else accuracy

    def __post_init__(self) -> None:
        at_least("enas", self, lr=0, entropy=0, baseline=0, hidden=1, evaluations=0, aggregate=1)
        one_of("enas.reward", self.reward, ("", *FORMULAS))


@traits(Traits(learns=True, coupled=True, one_stage=False, held_out=0.2, epoch=IN_TURNS))
def enas(run: Run, options: ENAS) -> Step:
    """Two phases take turns, epoch by epoch: weights by sampled architectures, then an LSTM controller by their rewards.

    Weights: each step trains one architecture drawn from the controller (eq. 1 with M = 1). Controller: REINFORCE,
    loss = -(R - b) log p(z), Adam; b a moving average of rewards, decay 0.99; R = reward on one minibatch of images
    held out from the weights + 1e-4 x entropy. At the end 10 architectures are drawn, and the best of them on one
    minibatch is derived; the paper retrains it from scratch.

    The reward is run.reward(outputs, targets), accuracy unless the caller gives another: nothing here knows of classes.
    With a budget the reward also pays for cost: lagrangian (the paper knows none), or MnasNet's formulas, see hwnas.train.reward.
    Coupled: needs two splits. See Controller for its equations and for where we differ.
    """
    torch.manual_seed(run.recipe.seed)
    controller = Controller(run.space, options.hidden)
    adam = torch.optim.Adam(controller.parameters(), lr=controller_rate(run, options.lr, options.evaluations, options.aggregate))
    run.keep(controller=controller, controller_optimizer=adam)
    reward = Reward(run, options.reward or ("lagrangian" if run.constraint else "accuracy"))
    learner = PolicyGradient(run, controller, adam, reward, options.baseline, options.entropy)
    return in_turns(run, learner, options.evaluations, options.aggregate)


def controller_rate(run: Run, lr: float, evaluations: int, aggregate: int, most: float = 0.03) -> float:
    """lr, or if it is 0 the paper's 3.5e-3, raised in short runs: in a few dozen such updates the controller would stay noise.

    most: bounded logits stand 0.03; without the bound that rate decides everything within a hundred updates.
    """
    updates = run.steps // run.steps_per_epoch * -(-(evaluations or run.steps_per_epoch) // aggregate)
    return lr or min(max(3.5e-3, 1.4 / max(updates, 1)), most)


def in_turns(run: Run, learner: PolicyGradient, evaluations: int, aggregate: int) -> Step:
    """The step of two phases: weights for an epoch, then the policy for so many evaluations, `aggregate` for each update."""
    evaluations = evaluations or run.steps_per_epoch

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        record = learner.train_weights(x, y)
        epoch, position = divmod(number, run.steps_per_epoch)
        if position + 1 == run.steps_per_epoch:
            end = (epoch + 1) * evaluations
            for first in range(epoch * evaluations, end, aggregate):
                learner.update(min(aggregate, end - first), lambda i, first=first: first + i)  # type: ignore[misc]
        return record | learner.figures

    return step
