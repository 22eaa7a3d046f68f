"""FBNet: hardware-aware ConvNet design via differentiable neural architecture search (Wu et al. 2019, arXiv 1812.03443)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..gates import Logits, gumbel
from ..space import Codes
from .options import Traits, at_least, one_of, traits
from .run import Run, Step, accuracy


@dataclass(frozen=True)
class FBNet:
    """Defaults as in the paper, sec. 4.1. Its recipe: epochs 90, batch 192, lr 0.1, cosine, weight_decay 1e-4."""

    constraint: str = "lagrangian"  # what a budget adds: "lagrangian" (it binds), or "paper": loss x a (log LAT)^b
    a: float = 0.2  # of the paper's loss
    b: float = 0.6
    lr: float = 0.0  # of theta's Adam; 0 = the paper's 0.01, more in shorter runs (Run.alpha_rate)
    weight_decay: float = 5e-4  # of theta
    tau: float = 5.0  # temperature of the Gumbel-softmax at the start
    tau_end: float = 0.087  # and at the end: 5 exp(-0.045 epoch) over the paper's 90 epochs, whatever their number here
    warmup: float = 0.1  # share of the run in which theta is frozen
    every: int = 4  # steps of the weights for each of theta: so that 80 % and 20 % of the images are gone through alike

    def __post_init__(self) -> None:
        one_of("fbnet.constraint", self.constraint, ("lagrangian", "paper"))
        at_least("fbnet", self, a=0, b=0, lr=0, weight_decay=0, tau=1e-3, tau_end=1e-3, warmup=0, every=1)


@traits(Traits(learns=True, coupled=True, one_stage=False, share=False, held_out=0.2, epoch="one pass over 80 % of the training images"))
def fbnet(run: Run, options: FBNet) -> Step:
    """Every option runs, weighted by a Gumbel-softmax of theta (eq. 9); the loss feels the expected latency (eq. 5-8).

    Weights learn on 80 % of the training images, theta on the others. LAT is the sum of the sampled weights times the device's
    table, in microseconds: below 1 the logarithm would turn the loss into no number. The candidates at the end are the most
    likely architecture, then samples of theta; they must be retrained. BatchNorm keeps scale and shift.
    """
    alpha = run.learn(run.alpha_rate(options.lr, 0.01, options.every), weight_decay=options.weight_decay, every=options.every)
    fall = np.log(options.tau_end / options.tau)

    def paper(loss: Tensor, lat: Tensor, reference: float) -> Tensor:
        return fbnet_loss(loss, lat, options.a, options.b)

    def candidates() -> Codes:
        Z = np.unique(alpha.sample(64, np.random.default_rng(run.recipe.seed)), axis=0)
        Z = Z[np.argsort(-alpha.log_likelihood(Z), kind="stable")]
        return np.concatenate([alpha.code()[None], Z])

    run.derive = candidates

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        tau = options.tau * float(np.exp(fall * number / run.steps))

        def rule(logits: Logits) -> dict:
            return gumbel(logits, tau)

        run.visit_every(alpha)
        logits = run.forward(x, alpha.gates(rule, fixed=True))
        loss = run.loss(logits, y)
        loss.backward()
        run.update()
        record = {"loss": loss.item(), "accuracy": accuracy(logits, y), "tau": tau}
        if number < options.warmup * run.steps or number % options.every:
            return record
        x, y = run.arch_batch(number // options.every)
        gates = alpha.gates(rule)
        loss = run.loss(run.forward(x, gates), y)
        if run.constraint and options.constraint == "paper":
            loss = run.constraint.price(loss, alpha.weights_of(gates), paper)
        elif run.constraint:
            loss = run.constraint.price(loss, alpha.weights())
        return {**record, **run.update_alpha(loss)}

    return step


def fbnet_loss(loss: Tensor, lat: Tensor, a: float, b: float) -> Tensor:
    """loss x a (log LAT)^b, eq. 5; LAT in microseconds, above 1. (A well-known port computes log(LAT^b), another function.)"""
    return loss * a * lat.log() ** b
