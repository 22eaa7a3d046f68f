"""ValueChoice: one of several numbers or words."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ..gene import Gene, Option
from .keyed import Keyed


class ValueChoice(Keyed):
    """A value that the model's forward reads by calling it: a dropout rate, a kernel size, a width, an activation's name.

        x = F.dropout(x, self.rate(), self.training)        # self.rate = ValueChoice([0.0, 0.2, 0.5], key="rate")
        w = self.weight[..., a:b, a:b]                      # a, b from self.kernel(): slices of the largest kernel

    The value is a plain number when forward runs, so whatever forward does with it is supported, as long as the same choices
    are made in the same order. In a module of its own (ValueChoices and weights, no LayerChoice), the module becomes one
    slot and must give one shape for all values. Anywhere else a value may change the shapes that follow, but all such values
    together have at most 64 combinations. One value at a time, never a weighted mix.
    """

    def __init__(self, values: Iterable[Option], key: str = ""):
        super().__init__(key)
        self.values = tuple(values)
        _ = self.gene  # an empty or repeated list is refused here

    def _make_gene(self) -> Gene:
        return Gene.one(self.key, self.values, context=True)

    def forward(self) -> Option:
        return self.values[self.gate(self.gene).picks[0]]

    def fixed(self, picks: tuple[int, ...]) -> nn.Module:
        return Value(self.values[picks[0]])


class Value(nn.Module):
    """A ValueChoice that is made."""

    def __init__(self, value: Option):
        super().__init__()
        self.value = value

    def forward(self) -> Option:
        return self.value
