"""Exact search: where cost is a sum over slots, and the score one over slots and pairs of genes, a mixed-integer program finds the
optimum and proves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import scipy

from ..errors import HwnasError
from ..space import Space
from .pairs import Pair

OPTIMAL, TIME_OUT, INFEASIBLE = 0, 1, 2  # scipy.optimize.milp's status


@dataclass(frozen=True)
class Optimum:
    """The best code that was found, and how much better any other can be."""

    code: np.ndarray  # (genes,)
    value: float  # sum of its gains, those of pairs too
    bound: float  # no feasible code has more
    total_s: float

    @property
    def gap(self) -> float:
        """By how much, in the unit of the gains, the true optimum may exceed it: 0 when it is proved."""
        return max(0.0, self.bound - self.value)


def optimum(
    space: Space,
    gain: np.ndarray,
    costs: Sequence[np.ndarray] = (),
    limits: Sequence[float] = (),
    *,
    pairs: Sequence[Pair] = (),
    allowed: np.ndarray | None = None,
    limit_s: float = 10.0,
) -> Optimum:
    """Maximises the sum of gain[rows] over the slots of a chain, and of pairs, with every sum of costs[k][rows] <= limits[k].

    gain, costs[k], allowed: (rows,) in the order of `space.members`, see `Space.rows`; a row that is not allowed (a device
    cannot run it, its memory is over the limit), or whose cost is not finite, is never taken. Binary variables say which
    value each gene has; that each slot's row follows from them is linear, so rows need no integers of their own (the
    multiple-choice knapsack of e.g. Sinha & Zoltners 1979, solved by HiGHS), and so do products of two genes' values, of which
    the convex hull is given (Sherali & Adams 1990). Raises HwnasError when the space has dead
    code (cost is then no sum over slots), when nothing is feasible, or when limit_s ends before anything is found.
    """
    if not space.is_chain:
        raise HwnasError(f"exact search: space {space.name!r} has joins or cut paths, so cost is no sum over slots: take another method")
    started = perf_counter()
    table = np.array([np.asarray(c, float) for c in costs]).reshape(len(limits), len(space.members))
    usable = np.isfinite(table).all(0) if allowed is None else np.isfinite(table).all(0) & allowed
    table = np.where(np.isfinite(table), table, 0.0)
    values, rows, slot_rows = _columns(space)
    genes, own = len(values), len(values) + len(rows)
    columns = own + sum(p.gain.size for p in pairs)
    fixed = np.concatenate([np.full(len(r), float(not s.axes)) for s, r in zip(space.slots, slot_rows)])  # no gene: its one row runs
    if (fixed > usable[rows]).any():
        raise HwnasError("exact search: a part that every architecture has is not allowed, or the device cannot run it")

    scale = np.where(np.asarray(limits, float) > 0, limits, 1.0)  # so that all limits are about 1
    keeps = np.hstack([np.zeros((len(limits), genes)), table[:, rows] / scale[:, None], np.zeros((len(limits), columns - own))])
    links = _links(space, values, slot_rows, columns)
    wanted = np.concatenate([np.ones(len(space.genes)), np.zeros(links.shape[0] - len(space.genes))])
    constraints = [scipy.optimize.LinearConstraint(links, wanted, wanted)]
    if len(limits):
        constraints.append(scipy.optimize.LinearConstraint(scipy.sparse.csr_array(keeps), ub=np.asarray(limits, float) / scale))
    if pairs:
        constraints.append(_products(pairs, genes, own, columns))
    highest = np.concatenate([np.ones(genes), usable[rows].astype(float), np.ones(columns - own)])
    found = scipy.optimize.milp(
        -np.concatenate([np.zeros(genes), np.asarray(gain, float)[rows], *(p.gain.ravel() for p in pairs)]),
        integrality=np.concatenate([np.ones(genes), np.zeros(columns - genes)]),
        bounds=scipy.optimize.Bounds(np.concatenate([np.zeros(genes), fixed, np.zeros(columns - own)]), highest),
        constraints=constraints,
        options={"time_limit": limit_s, "mip_rel_gap": 0.0},
    )
    if found.x is None:
        if found.status == TIME_OUT:
            raise HwnasError(f"exact search: nothing was found within {limit_s:g} s: give it longer or take another method")
        raise HwnasError("exact search: no architecture keeps all limits at once")
    code = np.zeros(len(space.genes), np.int64)
    for (gene, value), x in zip(values, found.x):
        if x > 0.5:
            code[gene] = value
    taken = space.rows(code[None])
    total = float(np.asarray(gain, float)[taken].sum() + sum(p(taken)[0] for p in pairs))
    return Optimum(code, total, max(total, float(-found.mip_dual_bound)), perf_counter() - started)


def _columns(space: Space) -> tuple[list[tuple[int, int]], np.ndarray, list[np.ndarray]]:
    """The variables: (gene, value) pairs, then rows of `members`; and each slot's rows, in mixed-radix order of its axes."""
    values = [(g, v) for g, gene in enumerate(space.genes) for v in range(len(gene.values))]
    slot_rows, start = [], 0
    for slot in space.slots:
        count = int(np.prod([len(g.values) for g in slot.axes], initial=1))
        slot_rows.append(np.arange(start, start + count))
        start += count
    return values, np.arange(start), slot_rows


def _links(space: Space, values: list[tuple[int, int]], slot_rows: list[np.ndarray], columns: int) -> scipy.sparse.csr_array:
    """Equations: each gene has one value; in each slot, the rows with a gene at a value weigh as much as that value."""
    first = {gene: i for i, (gene, value) in reversed(list(enumerate(values))) if value == 0}
    genes = np.array([g for g, _ in values])
    blocks = [scipy.sparse.coo_array((np.ones(len(values)), (genes, np.arange(len(values)))), shape=(len(space.genes), columns))]
    for slot, rows in zip(space.slots, slot_rows):
        shape = [len(g.values) for g in slot.axes]
        digits = np.indices(shape).reshape(len(shape), -1) if shape else np.zeros((0, 1), int)
        for gene, digit in zip(slot.axes, digits):
            n, at = len(gene.values), first[space.index[gene.name]]
            data = np.concatenate([np.ones(len(rows)), -np.ones(n)])
            equation = np.concatenate([digit, np.arange(n)])
            column = np.concatenate([len(values) + rows, at + np.arange(n)])
            blocks.append(scipy.sparse.coo_array((data, (equation, column)), shape=(n, columns)))
    return scipy.sparse.csr_array(scipy.sparse.vstack(blocks))


def _products(pairs: Sequence[Pair], genes: int, own: int, columns: int) -> scipy.optimize.LinearConstraint:
    """The variables of a pair, w[a, b], are products of whether the one gene runs at a and the other at b, both sums of rows:
    their sum over b is at most the one, over a at most the other, and each is at least both less 1."""
    lines: list[tuple[list[int], list[float], float]] = []  # columns, coefficients, upper limit
    for pair in pairs:
        w = own + np.arange(pair.gain.size).reshape(pair.gain.shape)
        kinds = [[genes + np.flatnonzero(k) for k in side] for side in (pair.first, pair.second)]
        own = int(w[-1, -1]) + 1
        for runs, products in (*zip(kinds[0], w), *zip(kinds[1], w.T)):
            lines.append(([*products, *runs], [1.0] * len(products) + [-1.0] * len(runs), 0.0))
        for a, b in np.ndindex(w.shape):
            both = [*kinds[0][a], *kinds[1][b]]
            lines.append(([int(w[a, b]), *both], [-1.0] + [1.0] * len(both), 1.0))
    equation = np.repeat(np.arange(len(lines)), [len(c) for c, _, _ in lines])
    column, data = (np.concatenate([line[i] for line in lines]) for i in (0, 1))
    matrix = scipy.sparse.csr_array((data, (equation, column.astype(int))), shape=(len(lines), columns))
    return scipy.optimize.LinearConstraint(matrix, ub=[limit for _, _, limit in lines])
