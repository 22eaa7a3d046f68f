"""Single-Path NAS: designing hardware-efficient ConvNets in less than four hours (Stamoulis et al. 2019, arXiv 1904.02877)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import HwnasError
from .forward import make_forward
from .options import Traits, at_least, one_of, traits
from .run import Run, Step, accuracy
from .superkernel import Superkernel


@dataclass(frozen=True)
class SinglePath:
    """Defaults: lambda as in the paper; the thresholds' rate suits their scale here, which is relative (see Superkernel)."""

    constraint: str = "lagrangian"  # what a budget adds: "lagrangian" (it binds), or "paper": lambda log R
    lam: float = 0.02  # lambda of the paper's loss
    lr: float = 0.0  # of the thresholds' Adam; 0 = 0.01, more in short runs (Run.alpha_rate)
    warmup: float = 0.1  # share of the run in which thresholds are frozen, with everything on

    def __post_init__(self) -> None:
        one_of("single-path.constraint", self.constraint, ("lagrangian", "paper"))
        at_least("single-path", self, lam=0, lr=0, warmup=0)


@traits(Traits(learns=True, coupled=True, one_stage=True, share=True))
def single_path(run: Run, options: SinglePath) -> Step:
    """One superkernel a slot: thresholds decide which shells of the kernel and which channels are on, and how deep a stage is.

    Weights and thresholds learn together from every batch, so a step costs that of the largest network, and no images are held
    out. Loss: CE + lambda log R (eq. 11), R from the device's table in microseconds, lambda 0 in the warm-up; or the Lagrangian. The
    paper has kernels 3 / 5 and expansions 3 / 6, here shells nest to any number. A layer is skipped where the norm of its smallest
    block is below a threshold, as in the paper; which layers may be is up to the space: by an expansion of 0, or by depth.
    One-stage: the switches' network is what was trained.
    """
    held = run.constraint.around() if run.constraint else run.space.largest()
    kernel = Superkernel(run.net, held)  # type: ignore[arg-type]
    if not kernel.genes:
        raise HwnasError(f"space {run.space.name!r}: no gene whose options slice one weight: single-path needs nested kernels or channels")
    forward = make_forward(kernel, run.recipe)
    adam = torch.optim.Adam(kernel.parameters(), lr=run.alpha_rate(options.lr, 0.01))
    run.keep(superkernel=kernel, thresholds_optimizer=adam)
    if run.constraint:
        run.constraint.hurry(run.steps)
        run.keep(constraint=run.constraint)
    run.derive = lambda: kernel.code(kernel.switches())[None]

    def paper(loss: Tensor, runtime: Tensor, reference: float) -> Tensor:
        return loss + options.lam * runtime.log()

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        warm = number < options.warmup * run.steps
        on = kernel.switches()
        run.visit(kernel.code(on)[None])
        logits = forward(x, {g: t.detach() for g, t in on.items()} if warm else on)
        loss = total = run.loss(logits, y)
        if run.constraint and not warm:
            total = run.constraint.price(loss, kernel.weights(on), paper if options.constraint == "paper" else None)
        total.backward()
        record = {"loss": loss.item(), "accuracy": accuracy(logits, y)}
        if not warm:
            run.world.average_gradients(kernel.parameters())
            adam.step()
        adam.zero_grad(set_to_none=True)
        run.update()
        if run.constraint:
            with torch.no_grad():
                weights = kernel.weights(kernel.switches())
            if not warm:
                run.constraint.ascend(weights)
            record |= run.constraint.figures(weights)
        return {**record, "on": torch.cat([*on.values()]).detach().mean().item()}

    return step
