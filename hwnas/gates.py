"""Gates: which options of each gene run in a forward pass, and with what weights.

A rule turns logits into gates. Logits stand for the VALUES of a gene, and a value is a set of options, so one rule serves
operators, depth (a prefix) and "two of seven": an option's weight is the sum over the values that hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .gene import Gene

if TYPE_CHECKING:
    from .space import Space


class Gate(NamedTuple):
    """picks: option indices that run; weights (picks,): their weights, or None for a plain sum.

    frozen: those of the picks that run without a graph, so that neither their activations nor their gradients are kept.
    """

    picks: tuple[int, ...]
    weights: Tensor | None = None
    frozen: tuple[int, ...] = ()


Gates = dict[str, Gate]  # gene name -> gate
Logits = Mapping[Gene, Tensor]  # gene -> (values,)


def path(space: Space, z: np.ndarray) -> Gates:
    """The gates of one architecture z (genes,): SPOS, FairNAS, OFA, BigNAS and every evaluation."""
    return {g.name: Gate(g.values[int(v)]) for g, v in zip(space.genes, z)}


def softmax(logits: Logits) -> Gates:
    """Every option, weighted by the softmax of the logits: DARTS eq. 2."""
    return {g.name: _every(g, a.softmax(0)) for g, a in logits.items()}


def gumbel(logits: Logits, tau: float) -> Gates:
    """Every option, weighted by softmax((log p + Gumbel noise) / tau): FBNet eq. 9, SNAS eq. 4."""
    return {g.name: _every(g, gumbel_softmax(a, tau)) for g, a in logits.items()}


def hard(logits: Logits, tau: float) -> Gates:
    """One value runs: the argmax of the Gumbel-softmax p. Its weight is 1 with the gradient of its p: GDAS eq. 5-7.

    The released code also adds the other, unsampled, gates (0 with the gradient of their p) as plain numbers to the output;
    that is not in the paper, and here only the path that runs is weighted.
    """
    gates = {}
    for gene, a in logits.items():
        p = gumbel_softmax(a, tau)
        v = int(p.argmax())
        picks = gene.values[v]
        gates[gene.name] = Gate(picks, (1 + (p[v] - p[v].detach())).expand(len(picks)))
    return gates


def binary(gene: Gene, logits: Tensor) -> tuple[Gate, tuple[int, int]]:
    """Two values, drawn by softmax(logits) without replacement; one of them is active (weight 1), the other is frozen at 0.

    ProxylessNAS sec. 3.2.1: with q the two probabilities renormalised, the gates are g + q - q.detach(), so that
    dL/dlogit_i = sum_j dL/dg_j q_j (delta_ij - q_i), eq. 4. Returns the gate and (active, inactive) value.
    """
    with torch.no_grad():
        two = torch.multinomial(logits.softmax(0), 2)
        active = int(torch.multinomial(logits[two].softmax(0), 1))
    on, off = int(two[active]), int(two[1 - active])
    q = logits[[on, off]].softmax(0)
    g = torch.tensor([1.0, 0.0]) + (q - q.detach())
    picks = tuple(sorted({*gene.values[on], *gene.values[off]}))
    weights = torch.stack([sum((g[i] for i, v in enumerate((on, off)) if o in gene.values[v]), g.new_zeros(())) for o in picks])
    return Gate(picks, weights, tuple(o for o in picks if o not in gene.values[on])), (on, off)


def gumbel_softmax(logits: Tensor, tau: float) -> Tensor:
    """softmax((log_softmax(logits) + G) / tau) with standard Gumbel noise G, redrawn while anything is not finite."""
    while True:
        noise = -torch.empty_like(logits).exponential_().log()
        p = ((logits.log_softmax(0) + noise) / tau).softmax(0)
        if torch.isfinite(noise).all() and torch.isfinite(p).all():
            return p
        if not torch.isfinite(logits).all():  # no noise would mend that: the loop sees the NaN and says so
            return p


def inclusion(gene: Gene, p: Tensor) -> Tensor:
    """p (values,) -> (options,): how much of it falls on the values that hold each option."""
    members = _members(gene)
    return p if members is None else p @ members.to(p)


def _every(gene: Gene, p: Tensor) -> Gate:
    return Gate(tuple(range(len(gene.options))), inclusion(gene, p))


@cache
def _members(gene: Gene) -> Tensor | None:
    """(values, options) 0 or 1; None where each value is the option of its own number."""
    if gene.values == tuple((i,) for i in range(len(gene.options))):
        return None
    return torch.tensor([[float(o in v) for o in range(len(gene.options))] for v in gene.values])
