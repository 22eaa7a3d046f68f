"""CostModel: from codes to costs, for a whole population at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..block import Block
from ..errors import HwnasError
from ..lower.program import FLOAT_BYTES
from ..space import FEW, Codes, Space
from .bound import CONFIDENCE, Bound
from .facts import FILE_BYTES, facts
from .memory import CHUNK, peak_memory
from .precision import Precision, precision
from .stream import Stream

COMPUTED = ("params", "macs", "memory_bytes", "file_bytes")
_TOUCHED = "activation_bytes"


class CostModel:
    """Costs of codes Z (n, genes): additive metrics are one gather-sum over the blocks that run, memory is liveness.

    tables: metric field -> (blocks,) values in the order of `space.blocks`; inf marks a block the device cannot run.
    base: what a network costs beside its blocks. margin: by how much (a fraction) the true value may exceed the
    estimate, at 95 % confidence; 0 where a metric is counted rather than measured. stream: latency that depends on all blocks together.
    precision: of the device's files, which decides their size and the memory of activations. tails: quantiles of a network's latency
    (field -> factor on latency_ms): no sum over blocks, which are not slow at one time. bounds: where margins at other
    probabilities come from, see `at`.
    """

    def __init__(
        self,
        space: Space,
        tables: Mapping[str, np.ndarray] | None = None,
        base: Mapping[str, float] | None = None,
        margin: Mapping[str, float] | None = None,
        stream: Stream | None = None,
        precision: Precision = precision("fp32"),  # noqa: B008  (frozen)
        tails: Mapping[str, float] | None = None,
        bounds: Mapping[str, Bound] | None = None,
    ):
        self.space, self.precision = space, precision
        counted = {f: np.array([getattr(facts(b), f) for b in space.blocks], float) for f in ("params", "macs", "biases", "nodes")}
        biases, nodes = counted.pop("biases"), counted.pop("nodes")
        counted["file_bytes"] = precision.weight * (counted["params"] - biases) + precision.bias * biases + precision.node * nodes
        self.tables: dict[str, np.ndarray] = {**(tables or {}), **counted}
        self._touched = {_TOUCHED: np.array([facts(b).memory_bytes for b in space.blocks], float)}  # what `stream` needs, and no metric
        self.base = {"file_bytes": float(FILE_BYTES), **(base or {})}
        self.margin = dict(margin or {})
        self.tails, self.bounds = dict(tails or {}), dict(bounds or {})
        self.stream = stream
        self.predicted: Mapping[Block, float] = {}  # blocks whose latency was not measured -> its relative standard deviation; nan: unknown
        self.estimate = False  # whether latencies come from a datasheet, and nothing was measured

    @property
    def metrics(self) -> tuple[str, ...]:
        """The fields that `cost` can give, latency first."""
        return (*[k for k in self.tables if k not in COMPUTED], *self.tails, *COMPUTED)

    def at(self, confidences: Mapping[str, float]) -> CostModel:
        """This model with bounds that hold with other probabilities: field -> 0.9. Those of other fields stay at 95 %.

        Raises HwnasError where so high a probability would take more measured networks than there are.
        """
        other = {f: c for f, c in confidences.items() if c != CONFIDENCE and f in self.margin}
        if not other:
            return self
        if unknown := [f for f in other if f not in self.bounds]:
            raise HwnasError(f"{unknown[0]}: its bound is known at {CONFIDENCE:.0%} only: leave out @{100 * other[unknown[0]]:g}%")
        model = copy(self)
        model.margin = {**self.margin, **{f: self.bounds[f].margin(c) for f, c in other.items()}}
        return model

    def cost(self, Z: Codes, metrics: Sequence[str] | None = None, rows: np.ndarray | None = None) -> np.ndarray:
        """(n, metrics) in each field's unit; metrics None gives all of `self.metrics`. rows: those of Z, where they are known."""
        metrics = self.metrics if metrics is None else metrics
        summed = ["latency_ms" if m in self.tails else m for m in metrics]
        stream = self.stream if "latency_ms" in summed else None
        additive = [m for m in dict.fromkeys([*summed, *(["params", _TOUCHED] if stream else [])]) if m != "memory_bytes"]
        sums = dict(zip(additive, self._sums(Z, additive, rows))) if additive else {}
        if stream:
            sums["latency_ms"] += stream.ms(FLOAT_BYTES * sums["params"], sums[_TOUCHED])
        if "memory_bytes" in metrics:
            sums["memory_bytes"] = peak_memory(self.space, Z, *self._memory)
        return np.stack([sums[m] if m not in self.tails else self.tails[m] * sums["latency_ms"] for m in metrics], 1)

    def upper(self, Z: Codes, metrics: Sequence[str] | None = None, rows: np.ndarray | None = None) -> np.ndarray:
        """(n, metrics) the cost with its margin: the true value lies below it at 95 % confidence."""
        metrics = self.metrics if metrics is None else metrics
        return self.cost(Z, metrics, rows) * np.array([1 + self.margin.get(m, 0.0) for m in metrics])

    def expected(self, metric: str, weights: Mapping[str, Tensor]) -> Tensor:
        """Differentiable cost of weighted options: multilinear, the exact expectation where weights are probabilities.
        (What depends on all blocks together is taken at their expectation.)

        weights: gene name -> (options,). It cannot see dead code behind a `none`, nor sums and concatenations, so a final
        check uses `cost`. A block that the device cannot run counts as ten times the dearest, so that gradients stay finite.
        """
        if metric in self.tails:
            return self.tails[metric] * self.expected("latency_ms", weights)
        total = torch.zeros(())
        for slot, table in zip(self.space.slots, self._by_option[metric]):
            for gene in reversed(slot.genes):
                table = table @ weights[gene.name]
            for gene, option in slot.when:
                table = table * weights[gene.name][option]
            total = total + table
        total = total + self.base.get(metric, 0.0)
        if metric == "latency_ms" and self.stream:
            total = total + self.stream.expected_ms(FLOAT_BYTES * self.expected("params", weights), self.expected(_TOUCHED, weights))
        return total

    def _sums(self, Z: Codes, metrics: Sequence[str], rows: np.ndarray | None) -> np.ndarray:
        """(metrics, n) base and sum over the slots, in chunks whose rows stay in the processor's cache."""
        by_row = [self.by_row(m) for m in metrics]
        out = np.repeat([[self.base.get(m, 0.0)] for m in metrics], len(Z), 1)
        if rows is not None or len(Z) <= FEW:
            parts = np.ascontiguousarray((self.space.rows(Z) if rows is None else rows).T)
            for total, table in zip(out, by_row):
                for part in table[parts]:  # one after another, as below: the same to the last bit
                    total += part
            return out
        for start in range(0, len(Z), CHUNK):
            rows = self.space.rows(Z[start : start + CHUNK]).T
            for total, table in zip(out[:, start : start + CHUNK], by_row):
                for row in rows:
                    total += table[row]
        return out

    def by_row(self, metric: str) -> np.ndarray:
        """(rows,) the cost of all that runs in a row."""
        if metric in self.tails:
            return self.tails[metric] * self.by_row("latency_ms")
        if metric not in self._rows_cache:
            owner = np.repeat(np.arange(len(self.space.members)), [len(m) for m in self.space.members])
            ids = np.fromiter((i for m in self.space.members for i in m), np.int64)
            row = np.zeros(len(self.space.members))
            np.add.at(row, owner, (self._touched if metric == _TOUCHED else self.tables)[metric][ids])
            self._rows_cache[metric] = row
        return self._rows_cache[metric]

    @cached_property
    def _rows_cache(self) -> dict[str, np.ndarray]:
        return {}

    @cached_property
    def _memory(self) -> tuple[np.ndarray, np.ndarray]:
        share = self.precision.activation / FLOAT_BYTES
        return share * self._touched[_TOUCHED], share * np.array([facts(b).out_bytes for b in self.space.blocks], float)

    @cached_property
    def _by_option(self) -> dict[str, list[Tensor]]:
        """Metric -> for each slot a tensor (options of gene 0, options of gene 1, ...)."""
        ids = {b: i for i, b in enumerate(self.space.blocks)}
        tables = {
            m: np.where(np.isfinite(t), t, 10 * t[np.isfinite(t)].max(initial=0.0)) for m, t in {**self.tables, **self._touched}.items()
        }
        return {
            metric: [
                torch.tensor([0.0 if b is None else table[ids[b]] for b in slot.blocks], dtype=torch.float32).view(
                    [len(g.options) for g in slot.genes]
                )
                for slot in self.space.slots
            ]
            for metric, table in tables.items()
        }
