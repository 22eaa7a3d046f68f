"""GDAS: a robust neural architecture search in four GPU hours (Dong & Yang 2019, arXiv 1910.04465)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import HwnasError
from ..gates import Logits, hard
from .cells import count_skips, freeze_affine, skip_values
from .options import Traits, at_least, traits
from .run import Run, Step, accuracy


@dataclass(frozen=True)
class Gdas:
    """Defaults as in the released code. Its recipe: epochs 250, batch 64, lr 0.025, weight_decay 3e-4, clip 5, cosine."""

    lr: float = 0.0  # of alpha's Adam, betas (0.5, 0.999); 0 = the paper's 3e-4, more in shorter runs (Run.alpha_rate)
    weight_decay: float = 1e-3  # of alpha
    warmup: float = 0.0  # share of the run in which alpha is frozen: 0 in the paper; young weights favour skip connections
    tau: float = 10.0  # temperature of the Gumbel-softmax at the start
    tau_end: float = 0.1  # and at the end, falling linearly

    def __post_init__(self) -> None:
        at_least("gdas", self, lr=0, weight_decay=0, warmup=0)
        if not 0 < self.tau_end <= self.tau:
            raise HwnasError(f"gdas: tau_end {self.tau_end} must be above 0 and not above tau {self.tau}")


@traits(Traits(learns=True, coupled=True, one_stage=False, share=False, held_out=0.5, epoch="one pass over half of the training images"))
def gdas(run: Run, options: Gdas) -> Step:
    """One sampled option of each gene runs, weighted by 1 with the gradient of its Gumbel-softmax (eq. 5-7).

    A step updates the weights on one sample, then alpha on another and on the half that is held out: time and memory of one path
    each. The released code also adds the unsampled gates as numbers to the output; here only what runs is weighted (see
    `hwnas.gates.hard`). At the end edges are chosen as in DARTS; the derived network must be retrained. With a budget,
    lambda (E[cost] / budget - 1) is added, with E under the softmax of alpha. In cell spaces BatchNorm is not affine.
    """
    alpha = run.learn(run.alpha_rate(options.lr, 3e-4), (0.5, 0.999), options.weight_decay)
    freeze_affine(run.net)
    skips = skip_values(alpha)

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        tau = options.tau + (options.tau_end - options.tau) * number / max(1, run.steps - 1)

        def rule(logits: Logits) -> dict:
            return hard(logits, tau)

        gates = alpha.gates(rule, fixed=True)
        run.visit(alpha.picked(gates))
        logits = run.forward(x, gates)
        loss = run.loss(logits, y)
        loss.backward()
        run.update()
        record = {"loss": loss.item(), "accuracy": accuracy(logits, y), "tau": tau}
        if number < options.warmup * run.steps:
            return record
        x, y = run.arch_batch(number)
        loss = run.loss(run.forward(x, alpha.gates(rule)), y)
        loss = run.constraint.price(loss, alpha.weights()) if run.constraint else loss
        return {**record, **run.update_alpha(loss), "skips": count_skips(alpha, skips)}

    return step
