"""LayerChoice: one of several modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ..errors import HwnasError
from ..gene import Gene
from ..supernet.network import Sum
from .keyed import Keyed, pick_range


class LayerChoice(Keyed):
    """One of the candidates, or the sum of several.

        self.conv = LayerChoice({"3x3": nn.Conv2d(8, 8, 3, padding=1), "5x5": nn.Conv2d(8, 8, 5, padding=2)}, key="conv1")

    candidates: modules by name, or a list of them, which are then named "0", "1", ... All take the same tensors and give
    tensors of one shape. n_chosen: how many are chosen, or (fewest, most). Choices inside of candidates are fine.
    """

    def __init__(self, candidates: Mapping[str, nn.Module] | Sequence[nn.Module], key: str = "", n_chosen: int | tuple[int, int] = 1):
        super().__init__(key)
        named = candidates if isinstance(candidates, Mapping) else {str(i): m for i, m in enumerate(candidates)}
        if not named or not all(isinstance(m, nn.Module) for m in named.values()):
            raise HwnasError(f"choice {key!r}: candidates must be nn.Modules and at least one; write nn.Identity() for doing nothing")
        self.options, self.n_chosen = tuple(named), pick_range(key, n_chosen, len(named))
        self.candidates = nn.ModuleList(named.values())  # a ModuleDict would not take every name

    def _make_gene(self) -> Gene:
        return Gene.some(self.key, self.options, *self.n_chosen)

    def forward(self, *xs: Tensor) -> Tensor:
        picks, weights, frozen = self.gate(self.gene)
        y = self.mix(lambda pick, *xs: self.candidates[pick](*xs), picks, weights, *xs, frozen=frozen)
        assert y is not None, "every candidate gives a tensor"
        return y

    def fixed(self, picks: tuple[int, ...]) -> nn.Module:
        chosen = [self.candidates[i] for i in picks]
        return chosen[0] if len(chosen) == 1 else Sum(chosen)
