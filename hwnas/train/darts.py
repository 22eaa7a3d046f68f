"""DARTS: differentiable architecture search (Liu, Simonyan & Yang 2019, arXiv 1806.09055), first and second order."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import HwnasError
from ..gates import softmax
from .cells import count_skips, drop_skips, freeze_affine, skip_values
from .options import Traits, at_least, traits
from .run import Run, Step, accuracy
from .unrolled import unrolled


@dataclass(frozen=True)
class Darts:
    """Defaults as in the released code. Its recipe: epochs 50, batch 64, lr 0.025, weight_decay 3e-4, clip 5, cosine."""

    order: int = 1  # 2: the gradient through one unrolled step of the weights, at 3 to 4 times the cost of a step
    lr: float = 0.0  # of alpha's Adam, betas (0.5, 0.999); 0 = the paper's 3e-4, more in shorter runs (Run.alpha_rate)
    weight_decay: float = 1e-3  # of alpha
    warmup: float = (
        0.0  # share of the run in which alpha is frozen: 0 in the paper, 0.3 in PC-DARTS (Xu et al. 2020), where skips win early
    )
    skip_dropout: float = 0.0  # each skip connection is off with this probability, falling linearly to 0 over the run (0 = never)
    most_skips: int = 0  # ends when the derived code has more skip connections than this: they crowd out the rest (0 = never)

    def __post_init__(self) -> None:
        at_least("darts", self, lr=0, weight_decay=0, warmup=0, skip_dropout=0, most_skips=0)
        if self.order not in (1, 2):
            raise HwnasError(f"darts.order: {self.order} is neither 1 (first order) nor 2 (unrolled)")
        if self.skip_dropout >= 1:
            raise HwnasError(f"darts.skip_dropout: {self.skip_dropout} must be below 1")


@traits(Traits(learns=True, coupled=True, one_stage=False, share=False, held_out=0.5, epoch="one pass over half of the training images"))
def darts(run: Run, options: Darts) -> Step:
    """Every option runs, weighted by the softmax of alpha (eq. 2). A step updates alpha on the half that is held out, then the weights.

    Second order (eq. 7): alpha's gradient is taken at w' = w - lr (momentum + grad + decay w), and its second term is the
    finite difference of eq. 8 with epsilon = 0.01 / norm. At the end each edge keeps its best operator that is not "none", and
    each node its two strongest edges. The derived network must be retrained.

    Skip connections gain as training goes on, because they need no weights: `skips` and `entropy` are recorded, `most_skips`
    ends a run (as DARTS+ does, Liang et al. 2019), `skip_dropout` drops them while weights are young (after P-DARTS, Chen et al.
    2019, which drops single activations instead of whole edges). With a budget, lambda (E[cost] / budget - 1) is added.
    In cell spaces BatchNorm is not affine, so that an operator cannot undo its weight.
    """
    alpha = run.learn(run.alpha_rate(options.lr, 3e-4), (0.5, 0.999), options.weight_decay)
    freeze_affine(run.net)
    skips = skip_values(alpha)

    def train_loss(x: Tensor, y: Tensor, number: int, fixed: bool = False) -> tuple[Tensor, Tensor]:
        gates = alpha.gates(softmax, fixed)
        if p := options.skip_dropout * (1 - number / run.steps):
            gates = drop_skips(gates, skips, p)
        logits = run.forward(x, gates)
        return run.loss(logits, y), logits

    def valid_loss(number: int) -> Tensor:
        x, y = run.arch_batch(number)
        loss = run.loss(run.forward(x, alpha.gates(softmax)), y)
        return run.constraint.price(loss, alpha.weights()) if run.constraint else loss

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        if number < options.warmup * run.steps:
            record: dict[str, float] = {}
        elif options.order == 1:
            record = run.update_alpha(valid_loss(number))
        else:
            parameters = list(alpha.parameters())
            record = run.update_alpha(*unrolled(run, parameters, lambda: train_loss(x, y, number)[0], lambda: valid_loss(number)))
        loss, logits = train_loss(x, y, number, fixed=True)
        loss.backward()
        run.update()
        run.visit_every(alpha)
        count = count_skips(alpha, skips)
        if options.most_skips and count > options.most_skips:
            run.stop = f"{count} skip connections in the derived architecture, more than darts.most_skips = {options.most_skips}"
        return {"loss": loss.item(), "accuracy": accuracy(logits, y), **record, "skips": count}

    return step
