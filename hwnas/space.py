"""Space: every architecture that a search may choose, as integer codes, and what each of them consists of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from .architecture import encode
from .block import Block
from .errors import HwnasError
from .gene import Gene
from .liveness import alive
from .slot import Slot

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .nn.own_model import OwnModel

Codes = np.ndarray  # Z (n, genes) int64: one architecture a row
FEW = 1024  # up to so many codes a matrix product is the fastest way to rows, above it a loop over slots


@dataclass(frozen=True)
class Space:
    """Slots on a directed acyclic graph. A node sums what its slots write; a node in `cats` concatenates other nodes.

    The input is node "x". All operators are vectorised over codes `Z (n, genes) int64`; `rows` turns codes into rows of
    `members`, and every cost is a sum over those (see hwnas.cost).
    """

    name: str
    slots: tuple[Slot, ...]  # in the order they run
    output: str
    cats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resolution: Gene | None = None  # the gene whose option is the input's height = width, pixels
    spec: str = ""  # how to make it again: `name(key=value, ...)`, see hwnas.spaces
    own: OwnModel | None = field(default=None, compare=False, repr=False)  # the user's model that it was made from

    def __post_init__(self) -> None:
        by_name: dict[str, Gene] = {}
        for gene in self.genes:
            if by_name.setdefault(gene.name, gene) != gene:
                raise HwnasError(f"space {self.name!r}: two different genes are called {gene.name!r}")

    def __hash__(self) -> int:
        return hash(self.hash)

    def __deepcopy__(self, memo: dict[int, Any]) -> Space:
        return self  # a value

    @classmethod
    def from_model(cls, model: nn.Module, example_input: Tensor, name: str = "own-model") -> Space:
        """The space of a user's own model that holds hwnas.nn choices: see `hwnas.nn.from_model`."""
        from .nn.from_model import from_model  # the rest of this file needs no torch

        return from_model(model, example_input, name)

    # ---- what it consists of ------------------------------------------------------------------------------------

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        return tuple(dict.fromkeys(g for s in self.slots for g in s.axes))

    @cached_property
    def index(self) -> dict[str, int]:
        """Gene name -> its column in a code."""
        return {g.name: i for i, g in enumerate(self.genes)}

    @cached_property
    def sizes(self) -> np.ndarray:
        """(genes,) how many values each gene has."""
        return np.array([len(g.values) for g in self.genes], np.int64)

    @cached_property
    def joins(self) -> tuple[tuple[str, tuple[Block | None, ...]], ...]:
        """Nodes where several tensors meet: (node, what it costs to join 0, 1, 2, ... of them)."""
        shapes: dict[str, set[tuple[int, int, int]]] = {}
        writers: dict[str, int] = {}
        for slot in self.slots:
            shapes.setdefault(slot.writes, set()).update((b.cout, *b.out_size) for b in slot.blocks if b)
            writers[slot.writes] = writers.get(slot.writes, 0) + 1
        found = []
        for node, count in writers.items():
            if count > 1:
                (c, h, w), *others = shapes[node]
                if others:
                    raise HwnasError(f"space {self.name!r}: node {node!r} sums tensors of different shapes {sorted(shapes[node])}")
                found.append((node, (None, None, *(Block("add", c, c, h, w, inputs=k) for k in range(2, count + 1)))))
        for node, parts in self.cats.items():
            (c, h, w), *others = set().union(*(shapes[p] for p in parts))
            if others:
                raise HwnasError(f"space {self.name!r}: node {node!r} concatenates tensors of different shapes")
            # parts that nothing reaches are zeros, so any live part costs the whole concatenation
            found.append((node, (None, *[Block("concat", c, c * len(parts), h, w, inputs=len(parts))] * len(parts))))
        return tuple(found)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The distinct blocks, joins and sums included: the work list for measuring."""
        found = {b for s in self.slots for b in s.blocks if b}
        found |= {b for _, by_count in self.joins for b in by_count if b}
        found |= {add for s in self.slots for v in _combinations(s) if (add := _sum_of([b for b in map(s.at, s.chosen(v) or []) if b]))}
        return tuple(sorted(found))

    @cached_property
    def hash(self) -> str:
        """16 hex digits over everything that defines the space: the same for the same space on any machine."""
        text: list[Any] = [self.output, sorted(self.cats.items()), self.resolution and self.resolution.name]
        text += [[g.name, g.options, g.values, g.context] for g in self.genes]
        for s in self.slots:
            blocks = [str(b) if b else None for b in s.blocks]
            text.append([s.name, s.reads, s.writes, [g.name for g in s.genes], blocks, [[g.name, o] for g, o in s.when], s.off])
            text[-1] += [s.also] if s.also else []
        return sha256(json.dumps(text).encode()).hexdigest()[:16]

    @cached_property
    def architectures(self) -> int:
        """How many codes differ in more than genes of inactive slots. (Slots behind a `none` are not looked through.)"""
        switches = list(dict.fromkeys(g for s in self.slots for g, _ in s.when))
        others = [g for g in self.genes if g not in switches]
        if prod(len(g.values) for g in switches) > 100_000:
            return prod(int(n) for n in self.sizes)
        total = 0
        for combination in product(*(range(len(g.values)) for g in switches)):
            values = dict(zip(switches, combination))
            on = {g for s in self.slots if all(o in g.values[values[g]] for g, o in s.when) for g in s.genes}
            total += prod(len(g.values) for g in others if g in on)
        return total

    # ---- codes -> rows --------------------------------------------------------------------------------------------

    @cached_property
    def members(self) -> list[tuple[int, ...]]:
        """Row -> indices into `blocks` of what runs there. Rows: those of each slot, those of each join, one empty row."""
        ids = {b: i for i, b in enumerate(self.blocks)}
        out: list[tuple[int, ...]] = []
        for slot in self.slots:
            for values in _combinations(slot):
                run = [b for b in map(slot.at, slot.chosen(values) or []) if b]
                if add := _sum_of(run):
                    run.append(add)
                out.append(tuple(ids[b] for b in run))
        out += [(ids[b],) if b else () for _, by_count in self.joins for b in by_count]
        return [*out, ()]

    def rows(self, Z: Codes) -> np.ndarray:
        """(n, slots + joins) rows of `members`. What no output needs, or nothing reaches, gets the last, empty row."""
        raw = self.raw_rows(Z)
        return raw if self.is_chain else alive(self, raw)[1]

    def blocks_of(self, z: np.ndarray) -> list[Block]:
        """What runs in architecture z (genes,), in order, joins last."""
        return [self.blocks[i] for row in self.rows(z[None])[0] for i in self.members[row]]

    @cached_property
    def breaks(self) -> np.ndarray:
        """(rows of slots,) bool: nothing runs in this row and nothing passes through, so its path is cut."""
        passes = [s.off == "skip" and s.chosen(v) is None for s in self.slots for v in _combinations(s)]
        return np.array([not m and not through for m, through in zip(self.members, passes)])

    @cached_property
    def is_chain(self) -> bool:
        """Whether each slot feeds the next one alone, and no choice can cut the path: then no code has dead parts."""
        read = [node for s in self.slots for node in (s.reads, *s.also)]
        return not self.joins and not self.breaks.any() and len(set(read)) == len(read) == len(self.slots)

    def raw_rows(self, Z: Codes) -> np.ndarray:
        """(n, slots) rows of `members` as the genes say, dead parts included."""
        if len(Z) <= FEW:
            matrix, firsts = self._radix_matrix
            return (matrix @ Z.T + firsts).astype(np.int64).T  # in floats, which are exact here and have a fast product
        columns = np.ascontiguousarray(Z.T, np.int64)  # (genes, n): each gene's values lie together
        out = np.empty((len(self.slots), len(Z)), np.int64)
        for row, (start, steps) in zip(out, self._radix):
            row.fill(start)
            for gene, step in steps:
                row += step * columns[gene]
        return out.T

    @cached_property
    def _radix(self) -> list[tuple[int, list[tuple[int, int]]]]:
        """For each slot (first row, [(gene, step), ...]): row = first + sum of step x value, a mixed radix over its genes."""
        radix, start = [], 0
        for slot in self.slots:
            step, steps = 1, []
            for gene in reversed(slot.axes):
                steps.append((self.index[gene.name], step))
                step *= len(gene.values)
            radix.append((start, steps))
            start += step
        return radix

    @cached_property
    def _radix_matrix(self) -> tuple[np.ndarray, np.ndarray]:
        """The same as arrays: rows.T = (slots, genes) @ Z.T + (slots, 1)."""
        matrix = np.zeros((len(self.slots), len(self.genes)))
        for slot, (_, steps) in enumerate(self._radix):
            for gene, step in steps:
                matrix[slot, gene] = step
        return matrix, np.array([[float(first)] for first, _ in self._radix])

    # ---- operators on codes ------------------------------------------------------------------------------------------

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """n codes, every gene uniform and independent."""
        return rng.integers(0, self.sizes, (n, len(self.sizes)))

    def mutate(self, Z: Codes, rng: np.random.Generator, p: float = 0.1) -> Codes:
        """Each gene redrawn with probability p."""
        at = np.flatnonzero(rng.random(Z.shape, np.float32) < p)  # only these need a value: p is small
        out = Z.flatten()
        out[at] = rng.random(len(at)) * self.sizes[at % Z.shape[1]]
        return out.reshape(Z.shape)

    def cross(self, X: Codes, Y: Codes, rng: np.random.Generator) -> Codes:
        """Each gene from X or Y with equal chance."""
        coins = np.unpackbits(np.frombuffer(rng.bytes(-(-X.size // 8)), np.uint8), count=X.size)
        return np.where(coins.reshape(X.shape).view(bool), X, Y)

    def canonical(self, Z: Codes) -> Codes:
        """The same architectures with every gene that changes nothing set to 0. Equal networks get equal codes on most spaces,
        but only `keys` tells for certain: a gene may have two values that say the same, neither of them 0.

        Derived from rows (set a gene to 0, keep that if the same blocks run at the same places): no space needs a rule.
        One gene set to 0 can free another, so it goes on until nothing changes.
        """
        while True:
            simpler = self._simplified(Z)
            if (simpler == Z).all():
                return simpler
            Z = simpler

    def _simplified(self, Z: Codes) -> Codes:
        Z = Z.copy()
        raw, whole = self.raw_rows(Z), None if self.is_chain else self._identity[self.rows(Z)]
        for g in range(len(self.genes)):
            before = Z[:, g].copy()
            Z[:, g] = 0
            if whole is not None:
                matters = (self._identity[self.rows(Z)] != whole).any(1)
            else:  # on a chain only the gene's own slots can change
                matters = np.zeros(len(Z), bool)
                for slot, step in self._slots_of[g]:
                    matters |= self._identity[raw[:, slot] - step * before] != self._identity[raw[:, slot]]
                for slot, step in self._slots_of[g]:
                    raw[:, slot] -= np.where(matters, 0, step * before)
            Z[matters, g] = before[matters]
        return Z

    @cached_property
    def _slots_of(self) -> list[list[tuple[int, int]]]:
        """For each gene [(slot, step), ...]."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.genes]
        for slot, (_, steps) in enumerate(self._radix):
            for gene, step in steps:
                found[gene].append((slot, step))
        return found

    def keys(self, Z: Codes) -> list[bytes]:
        """(n,) equal where the same blocks run at the same places: what to remember a visited architecture by."""
        return [row.tobytes() for row in self._identity[self.rows(Z)]]

    def hashes(self, rows: np.ndarray) -> np.ndarray:
        """(n,) uint64 of rows (n, slots + joins) as `rows` gives them: equal where `keys` are, else different but for a chance
        of 2^-64 a pair. Random numbers for what runs where, summed (Zobrist 1970): many times faster than keys.
        """
        return self._zobrist[rows].sum(1)

    @cached_property
    def _zobrist(self) -> np.ndarray:
        """(rows,) a random number for each slot and what runs there, 0 where nothing does and nothing passes."""
        counts = [np.prod([len(g.values) for g in s.axes], initial=1) for s in self.slots] + [len(c) for _, c in self.joins]
        place = np.repeat(np.arange(len(counts)), np.array(counts, int))
        identity, dead = self._identity[:-1], self._identity[-1]
        _, same = np.unique(place * (identity.max() + 1) + identity, return_inverse=True)
        numbers = np.random.default_rng(0).integers(0, 2**64, same.max() + 1, np.uint64)
        return np.append(np.where(identity == dead, 0, numbers[same]), 0).astype(np.uint64)

    @cached_property
    def _identity(self) -> np.ndarray:
        """(rows,) the same number where the same blocks run; to run nothing and pass the input on is not to be dead."""
        numbers: dict[tuple[tuple[int, ...], bool], int] = {}
        dead = np.append(self.breaks, np.ones(len(self.members) - len(self.breaks), bool))
        return np.array([numbers.setdefault((m, bool(d)), len(numbers)) for m, d in zip(self.members, dead)])

    def largest(self) -> np.ndarray:
        """(genes,) the code with the last value of every gene: options are listed from small to large."""
        return self.sizes - 1

    def smallest(self) -> np.ndarray:
        """(genes,) the code with the first value of every gene."""
        return np.zeros(len(self.genes), np.int64)

    def input_size(self, z: np.ndarray) -> tuple[int, int]:
        """(height, width) of the input of one architecture, pixels."""
        if self.resolution:
            size = int(self.resolution.options[int(z[self.index[self.resolution.name]])])
            return size, size
        first = next(b for b in self.slots[0].blocks if b)
        return first.height, first.width

    # ---- codes <-> architecture.json ------------------------------------------------------------------------------------

    def decode(self, z: np.ndarray) -> dict[str, Any]:
        """Gene name -> option, or list of options."""
        return {g.name: g.decode(int(v)) for g, v in zip(self.genes, z)}

    def encode(self, choices: Mapping[str, object]) -> np.ndarray:
        """(genes,) the code of a mapping as `decode` gives it, in any of the five forms that `Gene.encode` reads."""
        return encode(self.genes, choices, f"space {self.name!r}")


def _combinations(slot: Slot) -> list[dict[Gene, int]]:
    return [dict(zip(slot.axes, v)) for v in product(*(range(len(g.values)) for g in slot.axes))]


def _sum_of(run: list[Block]) -> Block | None:
    """The sum of several blocks that run in one slot."""
    if len(run) < 2:
        return None
    (height, width), c = run[0].out_size, run[0].cout
    return Block("add", c, c, height, width, inputs=len(run))
