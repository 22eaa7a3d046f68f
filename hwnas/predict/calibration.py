"""Calibration: a few whole networks, measured on the device, correct the sum of isolated blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ..block import Block
from ..cost import Stream
from ..cost.bound import Bound, conformal
from ..errors import HwnasError
from .by_space import BySpace
from .correction import PAIRS, SPREADS, STREAM_MS, Features, corrected
from .fidelity import Fidelity
from .group_ridge import GroupRidge, Task

# 1: what weights that do not fit the cache cost was a share of the latency; 2: activations were not in their way; 3: a call cost the same
# at all sizes, and how large weights may be was a constant
CALIBRATIONS = BySpace("a calibration file", 4, "run `hwnas profile` for this device and space")
DRIFT = 0.015  # how far a whole device's level moved from one sitting to the next
MIN_NETWORKS = 19  # fewer cannot give a 95 % conformal bound


@dataclass(frozen=True)
class Calibration:
    """Regression on r = network / (sum of blocks - call overheads) - 1; see `Features`.

    All features but `stream`, which depends on all weights and activations, are sums over blocks, so the correction folds into the table: a
    calibrated network is still a few gather-sums. How large the weights of each kind are is learned from the networks (marginal
    likelihood, around what other devices have), with noise of Student's t, since some networks are measured far off; see GroupRidge.
    On a CPU with 2 MB of L2 cache, networks of 28 px took up to 1.7 times the sum of their blocks with ONNX Runtime (2 MB of weights), of
    224 px at most 1.08 times: so `stream` is a time, and no share. The bound is leave-one-out conformal.
    """

    space_hash: str
    table_fingerprint: str  # of the table it was fitted with
    overhead_ms: float  # what one call costs that is not the block: counted once per network, not once per block
    weights: dict[str, float]  # "level", "calls", "boundary", "spills", "kernel=5", "calls size=32", ...: see `corrected`
    margin: float  # measured <= predicted x (1 + margin) at 95 % confidence, drift included
    plain: Fidelity  # the sum without correction, on the same networks
    held_out: Fidelity  # each network predicted by a fit without it
    stream: Stream = Stream((), (), ())  # what networks take on top for weights that do not stay in the cache
    networks: dict[str, tuple[float, float]] = field(default_factory=dict)  # key -> (measured ms, predicted by a fit without it)
    searched: tuple[str, ...] = ()  # those of the networks that a search picked

    @classmethod
    def fit(
        cls,
        networks: Sequence[Sequence[Block]],
        measured_ms: np.ndarray,
        block_ms: dict[Block, float],
        overhead_ms: float,
        space_hash: str = "",
        table_fingerprint: str = "",
        keys: Sequence[str] = (),
        searched: Collection[str] = (),
    ) -> Calibration:
        """networks: the blocks of each; measured_ms (networks,). Raises HwnasError when there are fewer than 19.

        keys: the networks' keys in the table, to be remembered; searched: those that a search picked. A search picks what is
        predicted too low, so their errors are no sample of all: where there are 19 of them, the margin covers 95 % of them, too.
        """
        if len(networks) < MIN_NETWORKS:
            raise HwnasError(f"calibration: {len(networks)} networks are too few for a 95 % bound, at least {MIN_NETWORKS}")
        sums, names, groups = Features.of(networks, block_ms, overhead_ms)
        ridge = GroupRidge([SPREADS[group] ** 2 for group in groups])
        ridge.fit_robust(Task(tuple(groups.values()), measured_ms / sums - 1, np.ones(len(sums))))
        weights = dict(zip(groups, ridge.weights))
        caches, shares = zip(*PAIRS)
        stream = Stream(caches, shares, tuple(map(float, STREAM_MS * weights.pop("stream"))))
        held_out_ms = sums * (1 + ridge.left_out)
        margin = conformal_margin(held_out_ms, measured_ms)
        picked = np.array([k in searched for k in keys], bool)
        if picked.sum() >= MIN_NETWORKS:
            margin = max(margin, conformal_margin(held_out_ms[picked], measured_ms[picked]))
        return cls(
            space_hash,
            table_fingerprint,
            float(overhead_ms),
            {name: float(w) for group, values in weights.items() for name, w in zip(names[group], values)},
            margin + DRIFT,
            Fidelity.of(np.array([sum(block_ms[b] for b in blocks) for blocks in networks]), measured_ms),
            Fidelity.of(held_out_ms, measured_ms),
            stream,
            {k: (float(m), float(p)) for k, m, p in zip(keys, measured_ms, held_out_ms)},
            tuple(k for k in keys if k in searched),
        )

    def correct(self, blocks: Iterable[Block], block_ms: np.ndarray) -> np.ndarray:
        """(blocks,) the share of each block in a whole network's latency.

        A network is their sum, `base_ms`, and `stream`.
        """
        return np.array([corrected(b, t, self.overhead_ms, self.weights) for b, t in zip(blocks, block_ms)])

    @property
    def base_ms(self) -> float:
        """The network's one call, which is no block's."""
        return self.overhead_ms * (1 + self.weights["level"])

    def bound(self, term: float = DRIFT, tails: Mapping[str, float] | None = None) -> Bound:
        """How far above its prediction a network's latency may lie; term: for how the device's speed wanders.

        tails: key -> a network's own quantile of latency relative to what all are taken to have; the bound is then one of that quantile,
        over the networks named.
        """
        own = {k: 1.0 for k in self.networks} if tails is None else tails
        excess = {k: m / p * own[k] - 1 for k, (m, p) in self.networks.items() if k in own}
        picked = [excess[k] for k in self.searched if k in excess]
        groups = [np.array(list(excess.values()))] + ([np.array(picked)] if len(picked) >= MIN_NETWORKS else [])
        return Bound(tuple(groups), term)

    def save(self, path: Path) -> None:
        """Into the file's entry for the space; those of other spaces stay."""
        CALIBRATIONS.add(path, self.space_hash, asdict(self))

    @classmethod
    def load(cls, path: Path, space_hash: str) -> Calibration:
        """Raises HwnasError when the file or the space's entry is missing, of another format, or damaged."""
        if not path.exists():
            raise HwnasError(f"{path}: no calibration: {CALIBRATIONS.way_out}")
        fields = CALIBRATIONS.fields(path, space_hash)
        if fields is None:
            raise HwnasError(f"{path}: no calibration for the space with hash {space_hash}: {CALIBRATIONS.way_out}")
        try:
            networks = {k: (float(m), float(p)) for k, (m, p) in fields.get("networks", {}).items()}
            parts = {"plain": Fidelity(**fields["plain"]), "held_out": Fidelity(**fields["held_out"])}
            stream = Stream(**{name: tuple(map(float, values)) for name, values in fields["stream"].items()})
            listed = {"networks": networks, "searched": tuple(fields["searched"])}
            return cls(**{**fields, **parts, "stream": stream, **listed})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CALIBRATIONS.damaged(path, error) from None


def conformal_margin(predicted_ms: np.ndarray, measured_ms: np.ndarray) -> float:
    """The one-sided 95 % split-conformal quantile of measured / predicted - 1, at least 0 (Vovk et al. 2005)."""
    return conformal(measured_ms / predicted_ms - 1)
