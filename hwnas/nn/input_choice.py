"""InputChoice: which of several tensors go on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..errors import HwnasError
from ..gene import Gene
from .keyed import Keyed, pick_range


class InputChoice(Keyed):
    """One of n_candidates tensors of one shape, or the sum of n_chosen of them.

        y = self.skip([x, self.short(x), self.long(x)])     # self.skip = InputChoice(3, 1, key="skip")

    n_chosen: how many are chosen, or (fewest, most). names: of the candidates, where architecture.json should name them;
    else they are numbered from 0. What only feeds candidates that are not chosen costs nothing and is gone from a fixed model.
    """

    def __init__(self, n_candidates: int, n_chosen: int | tuple[int, int] = 1, key: str = "", names: Sequence[str] | None = None):
        super().__init__(key)
        if names is not None and len(names) != n_candidates:
            raise HwnasError(f"choice {key!r}: {len(names)} names for {n_candidates} candidates")
        self.options: tuple[str, ...] | tuple[int, ...] = tuple(names) if names is not None else tuple(range(n_candidates))
        self.n_chosen = pick_range(key, n_chosen, n_candidates)

    def _make_gene(self) -> Gene:
        return Gene.some(self.key, self.options, *self.n_chosen)

    def forward(self, candidates: Sequence[Tensor]) -> Tensor:
        if len(candidates) != len(self.options):
            raise HwnasError(f"choice {self.key!r}: {len(candidates)} tensors, it was made for {len(self.options)}")
        picks, weights, frozen = self.gate(self.gene)
        y = self.mix(lambda pick, *xs: xs[pick].detach() if pick in frozen else xs[pick], picks, weights, *candidates)
        assert y is not None
        return y

    def fixed(self, picks: tuple[int, ...]) -> nn.Module:
        return Take(picks)


class Take(nn.Module):
    """An InputChoice that is made: the sum of these of its tensors."""

    def __init__(self, picks: tuple[int, ...]):
        super().__init__()
        self.picks = picks

    def forward(self, candidates: Sequence[Tensor]) -> Tensor:
        y = candidates[self.picks[0]]
        for i in self.picks[1:]:
            y = y + candidates[i]
        return y
