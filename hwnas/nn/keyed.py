"""Keyed: what the choices in a user's own model have in common."""

from __future__ import annotations

from torch import nn

from ..errors import HwnasError
from ..gene import Gene
from ..supernet.choice import Choice


class Keyed(Choice):
    """A choice that is named by its key. Choices of one key are decided together, so they need the same options.

    Without a key it is named by its place in the model, such as "features.3". Until a supernet gives it gates it runs
    its first option, so the model works as it stands.
    """

    def __init__(self, key: str):
        super().__init__()
        self.key = key
        self._gene: Gene | None = None

    @property
    def gene(self) -> Gene:
        """What is decided; its name is the key."""
        if self._gene is None or self._gene.name != self.key:
            self._gene = self._make_gene()
        return self._gene

    def _make_gene(self) -> Gene:
        raise NotImplementedError

    def fixed(self, picks: tuple[int, ...]) -> nn.Module:
        """What stands here once these options (indices) are chosen."""
        raise NotImplementedError


def pick_range(key: str, n_chosen: int | tuple[int, int], n: int) -> tuple[int, int]:
    """(fewest, most) options that are chosen of n. Raises HwnasError for what cannot be."""
    lo, hi = (n_chosen, n_chosen) if isinstance(n_chosen, int) else n_chosen
    if not 1 <= lo <= hi <= n:
        raise HwnasError(f"choice {key!r}: n_chosen={n_chosen} of {n} options: give a number from 1 to {n}, or (fewest, most)")
    return lo, hi


def name_choices(model: nn.Module) -> dict[str, Gene]:
    """Key -> gene of all choices in a model, in order; those without a key get their place in the model as one.

    Raises HwnasError when there is none, or when choices of one key have different options.
    """
    genes: dict[str, Gene] = {}
    for path, module in model.named_modules():
        if isinstance(module, Keyed):
            module.key = module.key or path
            gene = genes.setdefault(module.key, module.gene)
            if gene != module.gene:
                raise HwnasError(
                    f"key {module.key!r} stands at choices of different options, {list(gene.options)} and {list(module.gene.options)} "
                    f"(at {path!r}): give them keys of their own"
                )
    if not genes:
        raise HwnasError(f"{type(model).__name__}: no choice in it: put hwnas.nn.LayerChoice, InputChoice or ValueChoice where it may vary")
    return genes
