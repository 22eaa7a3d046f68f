"""What the differentiable searches need on cell spaces: BatchNorm that cannot undo a gate, and an eye on skip connections."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..gates import Gate, Gates
from ..gene import Gene
from ..supernet import Supernet
from .alpha import Alpha


def freeze_affine(net: nn.Module) -> None:
    """Holds scale 1 and shift 0 in every BatchNorm of a slot that has genes, in a space whose nodes sum: `affine=False`.

    Otherwise an operator's scale could make up for its gate, and gates would say nothing (DARTS, released code).
    """
    if not isinstance(net, Supernet) or not net.space.joins:
        return
    for mixed in net.mixed.values():
        if mixed.slot.genes:
            for module in mixed.modules():
                if isinstance(module, _BatchNorm) and module.affine:
                    nn.init.ones_(module.weight)
                    nn.init.zeros_(module.bias)
                    module.weight.requires_grad_(False)
                    module.bias.requires_grad_(False)


def skip_values(alpha: Alpha) -> dict[Gene, set[int]]:
    """Learned gene -> those of its values that are a skip connection in every slot of the gene."""
    found: dict[Gene, set[int]] = {}
    for gene in alpha.genes:
        slots = [s for s in alpha.space.slots if s.genes == (gene,)]
        options = range(len(gene.options))
        skips = {o for o in options if slots and all((b := s.at((o,))) is not None and b.op == "skip" for s in slots)}
        if values := {v for v, picks in enumerate(gene.values) if picks and set(picks) <= skips}:
            found[gene] = values
    return found


def count_skips(alpha: Alpha, skips: dict[Gene, set[int]]) -> int:
    """How many skip connections the derived cell has: a gene behind an input gene counts only where its edge is kept."""
    if not skips:
        return 0
    code, index = alpha.code(), alpha.space.index
    kept = {g: g.values[code[index[g.name]]] for g in alpha.edges}
    off = {g for e, parts in alpha.edges.items() for o, genes in parts.items() if o not in kept[e] for g in genes}
    return sum(code[index[g.name]] in values for g, values in skips.items() if g not in off)


def drop_skips(gates: Gates, skips: dict[Gene, set[int]], p: float) -> Gates:
    """Skip connections off with probability p, gene by gene, and else 1 / (1 - p) times as strong."""
    found = dict(gates)
    for gene, values in skips.items():
        picks, weights, frozen = gates[gene.name]
        assert weights is not None
        is_skip = torch.tensor([any(o in gene.values[v] for v in values) for o in picks])
        scale = float(torch.rand(()) >= p) / (1 - p)
        found[gene.name] = Gate(picks, torch.where(is_skip, weights * scale, weights), frozen)
    return found
