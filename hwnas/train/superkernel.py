"""Superkernel: nested blocks of one slot as one weight with switches (Stamoulis et al. 2019, arXiv 1904.02877, sec. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..gates import Gate, Gates
from ..gene import Gene
from ..slot import Slot
from ..supernet import Supernet
from ..supernet.elastic import Elastic

Masks = dict[str, Tensor]  # tensor of a slot's largest block, by name -> 0 or 1


class Superkernel(nn.Module):
    """w = w_inner + 1(|w_outer|^2 > t) w_outer, shell by shell, with a learned threshold t for each switch.

    |.|^2 is the mean square of a shell's weights over that at the start, so that the sigmoid of the straight-through gradient
    does not saturate, whatever the size of a shell. A switch counts as off where one inside it is off. Nested are genes whose
    options slice one weight (kernel 3 / 5 / 7, expansion 3 / 4 / 6); an option that the largest cannot be cut to is never chosen
    (an expansion of 1 has no expanding convolution). A layer that may be skipped, by depth or by a first option that is a skip
    block (expansion 0), has a switch on the weights of its smallest block, the paper's first half of the channels: off is skip.
    All other genes stay at the values of `held` (genes,).
    """

    def __init__(self, net: Supernet, held: np.ndarray):
        super().__init__()
        self._net = [net]  # in a list, as its weights are not part of this module's state
        self._mixed, self._cores = net.mixed, dict[str, Masks]()
        self.space, self.held = net.space, {g: g.values[int(v)][-1] for g, v in zip(net.space.genes, held)}  # gene -> option
        own = [g for g in net.space.genes if not g.context and 1 < len(g.values) == len(g.options)]
        reachable = {g: self._cut_from_the_last(g, own) for g in own}
        self.skips = {g for g in own if self._begins_with_skip(g)}
        reachable = {g: [0, *o] if g in self.skips and o else o for g, o in reachable.items()}
        self.options = {g: o for g, o in reachable.items() if len(o) > 1}  # nested gene -> its options, from small to large
        self.layers = {g: [[s for s in self.space.slots if (g, o) in s.when] for o in range(1, len(g.options))] for g in self.space.genes}
        self.layers = {g: layers for g, layers in self.layers.items() if g.is_prefix}
        names = {id(module): name + "." for name, module in net.named_modules()}
        self._names = {s.name: names[id(self._elastic(s).full)] for s in net.space.slots if any(g in self.options for g in s.genes)}
        self.masks = {(s.name, g): self._shells(s, g) for g in self.options for s in self.space.slots if g in s.genes}
        count = {g: len(o) - 1 for g, o in self.options.items()} | {g: len(layers) for g, layers in self.layers.items()}
        self.thresholds = nn.ParameterList([torch.zeros(n) for n in count.values()])
        self.genes = tuple(count)
        self.register_buffer("start", torch.cat([self._energy(g) for g in self.genes]).detach() if count else torch.zeros(0))

    def switches(self) -> dict[Gene, Tensor]:
        """Gene -> (switches,) 1 or 0, with the gradient of sigmoid(|w|^2 - t): how many shells, or layers, are on."""
        found, at, start = {}, 0, self.get_buffer("start")
        for gene, t in zip(self.genes, self.thresholds):
            gap = self._energy(gene) / start[at : at + len(t)] - t
            at += len(t)
            soft = gap.sigmoid()
            found[gene] = ((gap > 0).to(soft) + (soft - soft.detach())).cumprod(0)
        return found

    def forward(self, x: Tensor, on: dict[Gene, Tensor]) -> Tensor:
        """x (n, c, h, w) -> (n, classes), with the given switches."""
        tensors: dict[str, Tensor] = {}
        for (slot, gene), shells in self.masks.items():
            for name, mask in shells[0].items():
                for switch, shell in zip(on[gene][gene in self.skips :], shells[1:]):
                    mask = mask + switch * shell[name]
                key = self._names[slot] + name
                tensors[key] = tensors.get(key, self._net[0].get_parameter(key)) * mask
        gates: Gates = {g.name: Gate((o,)) for g, o in self.held.items()}
        for g, options in self.options.items():  # the innermost switch of a layer that may be skipped is a gate on its block
            core = on[g][:1]
            gates[g.name] = Gate((0, options[-1]), torch.cat([1 - core, core])) if g in self.skips else Gate((options[-1],))
        gates |= {g.name: Gate(tuple(range(len(g.options))), torch.cat([torch.ones(1), on[g]])) for g in self.layers}
        y: Tensor = functional_call(self._net[0], tensors, (x, gates))
        return y

    def weights(self, on: dict[Gene, Tensor]) -> dict[str, Tensor]:
        """Gene name -> (options,): what `CostModel.expected` takes; 0 or 1, with the switches' gradients."""
        found = {g.name: torch.eye(len(g.options))[o] for g, o in self.held.items()}
        for gene, switches in on.items():
            if gene in self.layers:
                found[gene.name] = torch.cat([torch.ones(1), switches])
            else:
                each = torch.cat([torch.ones(1), switches]) - torch.cat([switches, torch.zeros(1)])
                found[gene.name] = torch.zeros(len(gene.options)).index_put((torch.tensor(self.options[gene]),), each)
        return found

    @torch.no_grad()
    def code(self, on: dict[Gene, Tensor]) -> np.ndarray:
        """(genes,) the architecture that the switches make."""
        values = {g: o if g.is_prefix else g.values.index((o,)) for g, o in self.held.items()}
        for gene, switches in on.items():
            count = int(switches.sum().round())
            values[gene] = count if gene in self.layers else gene.values.index((self.options[gene][count],))
        return np.array([values[g] for g in self.space.genes], np.int64)

    # ---- shells --------------------------------------------------------------------------------------------------------

    def _cut_from_the_last(self, gene: Gene, own: list[Gene]) -> list[int]:
        """Options of a gene whose blocks have the tensors of its last option's, in every slot and at equal other genes."""
        last = {g: len(g.options) - 1 for g in own}
        slots = [s for s in self.space.slots if gene in s.genes]
        found, inner = [], [dict[str, Tensor]() for _ in slots]
        for option in range(len(gene.options)):
            outer = [self._slices(s, {**last, gene: option}) or {} for s in slots]
            full = [self._slices(s, last) or {} for s in slots]
            like = all(
                o and o.keys() == f.keys() and self._owner(s, last) is self._owner(s, {**last, gene: option})
                for s, o, f in zip(slots, outer, full)
            )
            if like and all((m >= i.get(n, m)).all() for o, i in zip(outer, inner) for n, m in o.items()):
                found.append(option)
                inner = outer
        return found

    def _begins_with_skip(self, gene: Gene) -> bool:
        """Whether its first option makes a skip of every slot, whatever the slot's other genes are."""
        slots = [s for s in self.space.slots if gene in s.genes]
        every = [(dict(zip(s.genes, o)), b) for s in slots for o, b in zip(product(*(range(len(g.options)) for g in s.genes)), s.blocks)]
        return bool(slots) and all(b is not None and b.op == "skip" for o, b in every if o[gene] == 0)

    def _owner(self, slot: Slot, options: Mapping[Gene, int]) -> Elastic:
        return self._mixed[slot.name].elastic(tuple(options.get(g, self.held[g]) for g in slot.genes))

    def _slices(self, slot: Slot, options: Mapping[Gene, int]) -> dict[str, Tensor] | None:
        """Where the block at these options (others: held) lies in its weights: tensor of two axes or more -> mask; None: no block."""
        block = slot.at(tuple(options.get(g, self.held[g]) for g in slot.genes))
        if block is None:
            return None
        elastic = self._owner(slot, options)
        _, slices = elastic.shell(block)
        masks = {n: torch.ones_like(p) for n, p in elastic.full.named_parameters() if p.ndim > 1}
        if slices:
            cuts = {s.name: s.cut for s in slices}
            masks = {n: m for n, m in masks.items() if n in cuts}
            for name, mask in masks.items():
                if (cut := cuts[name]) is not None:
                    mask.zero_()[cut] = 1
        return masks

    def _shells(self, slot: Slot, gene: Gene) -> list[Masks]:
        """The masks of a gene's smallest block, and what each further option adds to them; only of tensors that it changes."""
        top = {g: o[-1] for g, o in self.options.items()}
        each = [self._slices(slot, {**top, gene: o}) or {} for o in self._sliced(gene)]
        changed = [n for n in each[0] if not torch.equal(each[0][n], each[-1][n])]
        return [{n: m[n] for n in changed} for m in each[:1]] + [{n: b[n] - a[n] for n in changed} for a, b in zip(each, each[1:])]

    def _energy(self, gene: Gene) -> Tensor:
        """(switches,) mean square of the weights behind each switch of a gene."""
        if gene in self.layers:
            return torch.stack([self._mean_square([(s, self._core(s)) for s in slots]) for slots in self.layers[gene]])
        slots = [s for s in self.space.slots if gene in s.genes]
        cores = [[(s, self._core(s)) for s in slots]] if gene in self.skips else []
        shells = [[(s, self.masks[s.name, gene][k]) for s in slots] for k in range(1, len(self._sliced(gene)))]
        return torch.stack([self._mean_square(parts) for parts in cores + shells])

    def _sliced(self, gene: Gene) -> list[int]:
        """A nested gene's options that slice the weights: all but a skip."""
        return self.options[gene][gene in self.skips :]

    def _core(self, slot: Slot) -> Masks:
        """The masks of a slot's smallest block."""
        if slot.name not in self._cores:
            self._cores[slot.name] = self._slices(slot, {g: self._sliced(g)[0] for g in self.options}) or {}
        return self._cores[slot.name]

    def _mean_square(self, parts: list[tuple[Slot, Masks]]) -> Tensor:
        total, count = torch.zeros(()), 0.0
        for slot, masks in parts:
            elastic = self._elastic(slot)
            for name, mask in masks.items():
                total = total + (elastic.full.get_parameter(name) * mask).square().sum()
                count += float(mask.sum())
        return total / max(count, 1.0)

    def _elastic(self, slot: Slot) -> Elastic:
        return self._owner(slot, {g: o[-1] for g, o in self.options.items()})
