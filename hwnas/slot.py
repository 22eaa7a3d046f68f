"""Slot: a place in the network where genes decide which block stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

from .block import Block
from .gene import Gene


@dataclass(frozen=True)
class Slot:
    """Between node `reads` and node `writes`, the block that the options of its genes give.

    It is active while every (gene, option) of `when` is picked; inactive it contributes nothing ("none") or passes its
    input on ("skip"). That one mechanism covers depth, the choice of inputs, and the edges of a cell.
    """

    name: str
    reads: str
    writes: str
    genes: tuple[Gene, ...]
    blocks: tuple[Block | None, ...]  # one for each combination of options, the last gene fastest; None computes nothing
    when: tuple[tuple[Gene, int], ...] = ()
    off: Literal["none", "skip"] = "none"
    also: tuple[str, ...] = ()  # further nodes that its block reads, in a user's own model

    @classmethod
    def of(
        cls,
        name: str,
        reads: str,
        writes: str,
        roles: Mapping[str, Gene],
        block: Callable[..., Block | None],
        when: Iterable[tuple[Gene, int]] = (),
        off: Literal["none", "skip"] = "none",
    ) -> Slot:
        """A slot whose blocks are `block(role=option, ...)` for every combination of options.

        roles: what each gene decides about the block; one gene may play two roles (a width that is both cin and cout).
        """
        genes = tuple(dict.fromkeys(roles.values()))
        column = {gene: i for i, gene in enumerate(genes)}
        blocks = tuple(block(**{role: options[column[g]] for role, g in roles.items()}) for options in product(*(g.options for g in genes)))
        return cls(name, reads, writes, genes, blocks, tuple(when), off)

    @property
    def axes(self) -> tuple[Gene, ...]:
        """Every gene that decides what runs here: its own, then those of `when`."""
        return tuple(dict.fromkeys((*self.genes, *(g for g, _ in self.when))))

    def at(self, options: tuple[int, ...]) -> Block | None:
        """The block at one option index for each of its own genes."""
        i = 0
        for gene, option in zip(self.genes, options):
            i = i * len(gene.options) + option
        return self.blocks[i]

    def chosen(self, values: Mapping[Gene, int]) -> list[tuple[int, ...]] | None:
        """The combinations of option indices that run under these gene values; None when the slot is inactive."""
        if any(option not in gene.values[values[gene]] for gene, option in self.when):
            return None
        return list(product(*(g.values[values[g]] for g in self.genes)))
