"""Gene: one column of an architecture's code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import comb

from .errors import HwnasError

Option = str | int | float
MAX_VALUES = 4096  # values are enumerated; a gene with more of them should be several genes


@dataclass(frozen=True)
class Gene:
    """One decision. Its value v stands for the SET of options `values[v]`: one of n, lo to hi of n, or a prefix (depth).

    So "two of seven inputs" or "one or two operators" are one column each, and no mutation can make an invalid code.
    Make one with `Gene.one`, `Gene.some` or `Gene.prefix`.
    """

    name: str
    options: tuple[Option, ...]  # what is chosen among, as architecture.json names it
    values: tuple[tuple[int, ...], ...]  # (number of values) sets of indices into options
    context: bool = False  # changes shapes in other slots (width, resolution, depth): always one value, never a weighted mix

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise HwnasError(f"gene {self.name!r}: options {self.options} must be distinct and at least one")

    def __hash__(self) -> int:  # equality still compares everything; a Space admits one gene of a name
        return hash(self.name)

    @classmethod
    def one(cls, name: str, options: Iterable[Option], context: bool = False) -> Gene:
        """Exactly one of the options."""
        options = tuple(options)
        return cls(name, options, tuple((i,) for i in range(len(options))), context)

    @classmethod
    def some(cls, name: str, options: Iterable[Option], lo: int = 1, hi: int | None = None) -> Gene:
        """Any lo to hi of the options (hi None: all of them). Raises HwnasError when that is more than 4,096 sets."""
        options = tuple(options)
        hi = len(options) if hi is None else hi
        if not 0 <= lo <= hi <= len(options) or hi == 0:
            raise HwnasError(f"gene {name!r}: cannot choose {lo} to {hi} of {len(options)} options")
        if (total := sum(comb(len(options), k) for k in range(lo, hi + 1))) > MAX_VALUES:
            raise HwnasError(f"gene {name!r}: {lo} to {hi} of {len(options)} options are {total} sets, over {MAX_VALUES}; split it in two")
        return cls(name, options, tuple(c for k in range(lo, hi + 1) for c in combinations(range(len(options)), k)))

    @classmethod
    def prefix(cls, name: str, options: Iterable[Option]) -> Gene:
        """Value v keeps options 0 to v: elastic depth."""
        options = tuple(options)
        return cls(name, options, tuple(tuple(range(i + 1)) for i in range(len(options))), True)

    @property
    def is_scalar(self) -> bool:
        """Whether a value is named by one option: a single pick, or the last option of a prefix."""
        return all(v == (i,) for i, v in enumerate(self.values)) or self.is_prefix

    @property
    def is_prefix(self) -> bool:
        return len(self.values) > 1 and all(v == tuple(range(i + 1)) for i, v in enumerate(self.values))

    def decode(self, value: int) -> Option | list[Option]:
        """What architecture.json says for a value: an option, or a list of options."""
        picks = [self.options[i] for i in self.values[value]]
        return picks[-1] if self.is_scalar else picks

    def encode(self, choice: object) -> int:
        """The value for a string, a number, a list of strings, a list of numbers, or a list of booleans (multi-hot).

        A label wins over an index: a number counts as an index only where no option is a number.
        Raises HwnasError that names the gene, the choice and what is allowed.
        """
        if isinstance(choice, (list, tuple)) and choice and all(type(c) is bool for c in choice):
            if len(choice) != len(self.options):
                raise HwnasError(f"{self.name}: {len(choice)} booleans for {len(self.options)} options {list(self.options)}")
            picks = tuple(i for i, on in enumerate(choice) if on)
        elif isinstance(choice, (list, tuple)):
            picks = tuple(sorted(self._index(c) for c in choice))
        else:
            last = self._index(choice)
            picks = tuple(range(last + 1)) if self.is_prefix else (last,)
        if picks not in self.values:
            sizes = sorted({len(v) for v in self.values})
            raise HwnasError(f"{self.name}: {choice!r} is not allowed; pick {sizes[0]} to {sizes[-1]} of {list(self.options)}")
        return self.values.index(picks)

    def _index(self, choice: object) -> int:
        if type(choice) is not bool and choice in self.options:
            return self.options.index(choice)
        if type(choice) is int and 0 <= choice < len(self.options) and all(isinstance(o, str) for o in self.options):
            return choice
        raise HwnasError(f"{self.name}: {choice!r} is none of {list(self.options)}")
