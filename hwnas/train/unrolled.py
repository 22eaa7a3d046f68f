"""The second-order gradient of DARTS: through one step of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .run import Run

EPSILON = 0.01  # over the norm of the gradient at w': footnote 2 of the paper


def unrolled(
    run: Run, alpha: Sequence[Tensor], train_loss: Callable[[], Tensor], valid_loss: Callable[[], Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """(L_valid(w', alpha), its gradient for each alpha), with w' = w - lr (momentum x buffer + dL_train/dw + decay w): eq. 7.

    The mixed second derivative times v = dL_valid/dw' is taken as [dL_train/dalpha(w + e v) - dL_train/dalpha(w - e v)] / 2e
    with e = 0.01 / |v|: eq. 8. Weights are put back as they were. w' follows plain momentum as in the released code, also
    where the optimizer uses Nesterov's. AdamW has no such formula: its state is left out, and w' is a plain gradient step.
    Among several processes w' and v are of the whole batch; alpha's gradient is of this process' part, for `update_alpha` to average.
    """
    groups = [(p, g) for g in run.optimizer.param_groups for p in g["params"] if p.requires_grad]
    weights = [p for p, _ in groups]
    state = torch.get_rng_state()

    def again(loss: Callable[[], Tensor]) -> Tensor:
        torch.set_rng_state(state)  # gates that draw must draw the same each time
        return loss()

    before = [p.detach().clone() for p in weights]
    grads = run.world.averaged(torch.autograd.grad(again(train_loss), weights, allow_unused=True), weights)
    try:
        with torch.no_grad():
            for (p, group), g in zip(groups, grads):
                if g is not None:
                    buffer = run.optimizer.state[p].get("momentum_buffer") if p in run.optimizer.state else None
                    direction = g + group["weight_decay"] * p
                    p -= group["lr"] * (direction if buffer is None else direction + group["momentum"] * buffer)
        loss = again(valid_loss)
        first = torch.autograd.grad(loss, [*alpha, *weights], allow_unused=True)
        v = run.world.averaged(first[len(alpha) :], weights)
        norm = torch.sqrt(sum((t.square().sum() for t in v if t is not None), torch.zeros(())))
        epsilon = EPSILON / float(norm.clamp_min(1e-12))
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                for p, w, t in zip(weights, before, v):
                    p.copy_(w if t is None else w + sign * epsilon * t)
            sides.append(torch.autograd.grad(again(train_loss), list(alpha), allow_unused=True))
    finally:
        with torch.no_grad():
            for p, w in zip(weights, before):
                p.copy_(w)
    lr = groups[0][1]["lr"]
    found = []
    for a, one, plus, minus in zip(alpha, first, *sides):
        total = torch.zeros_like(a) if one is None else one
        if plus is not None and minus is not None:
            total = total - lr * (plus - minus) / (2 * epsilon)
        found.append(total)
    return loss, found
