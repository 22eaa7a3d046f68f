"""Gates: which options of each gene run in a forward pass, and with what weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from .space import Space


class Gate(NamedTuple):
    """picks: option indices that run; weights (picks,): their weights, or None for a plain sum."""

    picks: tuple[int, ...]
    weights: Tensor | None = None


Gates = dict[str, Gate]  # gene name -> gate


def path(space: Space, z: np.ndarray) -> Gates:
    """The gates of one architecture z (genes,): SPOS, FairNAS, OFA, BigNAS and every evaluation."""
    return {g.name: Gate(g.values[int(v)]) for g, v in zip(space.genes, z)}


def softmax(logits: Mapping[str, Tensor]) -> Gates:
    """Every option of the given genes, weighted by the softmax of its logits (options,): DARTS eq. 2."""
    return {name: Gate(tuple(range(len(a))), a.softmax(0)) for name, a in logits.items()}
