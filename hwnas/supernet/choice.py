"""Choice: whatever a gate decides about, and the state that all choices of one supernet share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..gates import Gate, Gates
from ..gene import Gene

Pick = TypeVar("Pick")


class State:
    """One per supernet. Set before a forward pass and left until the next: a checkpointed backward recomputes under it."""

    def __init__(self) -> None:
        self.gates: Gates | None = None
        self.checkpoint = False  # recompute each choice in the backward pass instead of keeping its activations


class Choice(nn.Module):
    """Base of all that gates decide about."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()

    def gate(self, gene: Gene) -> Gate:
        """The gate of a gene; the gene's first value where no gates were given."""
        return self.state.gates[gene.name] if self.state.gates else Gate(gene.values[0])

    def mix(
        self,
        run: Callable[..., Tensor | None],
        picks: Sequence[Pick],
        weights: Tensor | None,
        *xs: Tensor,
        frozen: Collection[Pick] = (),
    ) -> Tensor | None:
        """Sum of weight x run(pick, *xs) over the picks; weights None is a plain sum. None if no pick computes anything.

        frozen: picks that run without a graph. Picks and weights travel as arguments from here on, so that a checkpointed
        backward recomputes the right path even after the shared state has moved on.
        """

        def total(weights: Tensor | None, *xs: Tensor) -> Tensor | None:
            y = None
            for i, pick in enumerate(picks):
                if pick in frozen:
                    with torch.no_grad():
                        one = run(pick, *xs)
                else:
                    one = run(pick, *xs)
                if one is None:
                    continue
                if weights is None:
                    y = one if y is None else y + one
                else:
                    y = one * weights[i] if y is None else torch.addcmul(y, one, weights[i])
            return y

        if self.state.checkpoint and self.training:
            return checkpoint(total, weights, *xs, use_reentrant=False)
        return total(weights, *xs)
