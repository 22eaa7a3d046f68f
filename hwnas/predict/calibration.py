"""Calibration: a few whole networks, measured on the device, correct the sum of isolated blocks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..block import Block
from ..cost import Stream
from ..cost.bound import Bound, conformal
from ..cost.facts import facts
from ..cost.stream import lost
from ..errors import HwnasError
from ..files import write_atomic
from .fidelity import Fidelity

FORMAT = 3  # 1: what weights that do not fit the cache cost was a share of the latency; 2: it did not depend on activations
# Prior standard deviations of the corrections, from what was seen on ONNX Runtime and TFLite.
PRIOR = {"level": 0.05, "calls": 1.0, "boundary": 0.3, "group": 0.01, "spills": 0.3}
SPILLS_BYTES = 2**21  # activations of one block: more do not stay in the L2 cache of most processors, and networks are not like blocks then
CACHES_BYTES = tuple(2.0**k * 1e6 for k in range(-5, 5))  # that a processor might have: 31 kB to 16 MB; see hwnas/cost/stream.py
SHARES = (0.1, 0.3, 0.9)  # of the activations that blocks read and write, that might be in the weights' way
STREAM_PRIOR = 1e-8  # prior sd of what each pair of the two costs, in ms a byte of weights: 100 GB/s
NOISES = (0.01, 0.02, 0.05, 0.1)  # of one measured network, as a fraction: the one under which networks left out are predicted best
BOUNDARY_MS = 0.4e-6  # per activation element handed from one block to the next
DRIFT = 0.015  # how far a whole device's level moved from one sitting to the next
MIN_NETWORKS = 19  # fewer cannot give a 95 % conformal bound


@dataclass(frozen=True)
class Calibration:
    """Ridge regression with a physical prior on r = network / (sum of blocks - call overheads) - 1.

    Its features (level, calls, boundary elements, time share of each group of blocks) are sums over blocks, so the correction folds
    into the table; the last ones, `stream`, depend on all weights and activations. A calibrated network is still a few gather-sums. On a
    CPU with 2 MB of L2 cache, networks of 28 px took up to 1.7 times the sum of their blocks with ONNX Runtime (2 MB of weights), of 224
    px at most 1.08 times: so `stream` is a time, and no share. As a share of latency it left errors of 5.9 %, as a time that grows with
    the weights 3.2 %, with caches that activations share 1.8 %. The bound is leave-one-out conformal.
    """

    space_hash: str
    table_fingerprint: str  # of the table it was fitted with
    overhead_ms: float  # what one call costs that is not the block: counted once per network, not once per block
    weights: dict[str, float]  # "level", "calls", "boundary", and one for each group such as "kernel=5"
    margin: float  # measured <= predicted x (1 + margin) at 95 % confidence, drift included
    plain: Fidelity  # the sum without correction, on the same networks
    held_out: Fidelity  # each network predicted by a fit without it
    stream: Stream = Stream((), (), ())  # what networks take on top for weights that do not stay in the cache
    networks: dict[str, tuple[float, float]] = field(default_factory=dict)  # key -> (measured ms, predicted by a fit without it)
    searched: tuple[str, ...] = ()  # those of the networks that a search picked
    noise: float = NOISES[0]  # of one measured network, as a fraction, that the fit assumed

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
        groups = sorted({g for blocks in networks for b in blocks for g in _groups(b)})
        pairs = [(cache, share) for cache in CACHES_BYTES for share in SHARES]
        caches, shares = zip(*pairs)
        names = ["level", "calls", "boundary", *groups]
        column = {name: i for i, name in enumerate(names)}
        X, sums = np.zeros((len(networks), len(names) + len(pairs))), np.zeros(len(networks))
        for i, blocks in enumerate(networks):
            own = [block_ms[b] - overhead_ms for b in blocks]
            sums[i] = total = sum(own) + overhead_ms
            X[i, 0] = 1
            X[i, 1] = len(blocks) * overhead_ms / total
            X[i, 2] = BOUNDARY_MS * sum(facts(b).out_bytes for b in blocks) / 4 / total
            for b, t in zip(blocks, own):
                for g in _groups(b):
                    X[i, column[g]] += t / total
        stored, touched = (np.array([of(blocks) for blocks in networks]) for of in (weight_bytes, activation_bytes))
        X[:, len(names) :] = STREAM_PRIOR * lost(stored, touched, caches, shares) / sums[:, None]
        prior = np.array([PRIOR.get(name, PRIOR["group"]) for name in names] + [1.0] * len(pairs))
        r = measured_ms / sums - 1
        fits = {noise: _ridge(X, r, prior, noise) for noise in NOISES}
        noise = min(NOISES, key=lambda noise: float(np.abs(fits[noise][1] - r).mean()))
        weights, without = fits[noise]
        held_out_ms = sums * (1 + without)
        margin = conformal_margin(held_out_ms, measured_ms)
        picked = np.array([k in searched for k in keys], bool)
        if picked.sum() >= MIN_NETWORKS:
            margin = max(margin, conformal_margin(held_out_ms[picked], measured_ms[picked]))
        return cls(
            space_hash,
            table_fingerprint,
            float(overhead_ms),
            dict(zip(names, map(float, weights))),
            margin + DRIFT,
            Fidelity.of(np.array([sum(block_ms[b] for b in blocks) for blocks in networks]), measured_ms),
            Fidelity.of(held_out_ms, measured_ms),
            Stream(caches, shares, tuple(STREAM_PRIOR * float(w) for w in weights[len(names) :])),
            {k: (float(m), float(p)) for k, m, p in zip(keys, measured_ms, held_out_ms)},
            tuple(k for k in keys if k in searched),
            noise,
        )

    def correct(self, blocks: Iterable[Block], block_ms: np.ndarray) -> np.ndarray:
        """(blocks,) the share of each block in a whole network's latency.

        A network is their sum, `base_ms`, and `stream`.
        """
        w = self.weights
        out = []
        for b, t in zip(blocks, block_ms):
            factor = 1 + w["level"] + sum(w.get(g, 0.0) for g in _groups(b))
            out.append(
                (t - self.overhead_ms) * factor + w["calls"] * self.overhead_ms + w["boundary"] * BOUNDARY_MS * facts(b).out_bytes / 4
            )
        return np.array(out)

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
        spaces = read_spaces(path) if path.exists() else {}
        write_spaces(path, {**spaces, self.space_hash: asdict(self)})

    @classmethod
    def load(cls, path: Path, space_hash: str) -> Calibration:
        """Raises HwnasError when the file or the space's entry is missing, of another format, or damaged."""
        way_out = "run `hwnas profile` for this device and space"
        if not path.exists():
            raise HwnasError(f"{path}: no calibration: {way_out}")
        fields = read_spaces(path).get(space_hash)
        if fields is None:
            raise HwnasError(f"{path}: no calibration for the space with hash {space_hash}: {way_out}")
        try:
            networks = {k: (float(m), float(p)) for k, (m, p) in fields.get("networks", {}).items()}
            parts = {"plain": Fidelity(**fields["plain"]), "held_out": Fidelity(**fields["held_out"])}
            stream = Stream(**{name: tuple(map(float, values)) for name, values in fields["stream"].items()})
            listed = {"networks": networks, "searched": tuple(fields["searched"])}
            return cls(**{**fields, **parts, "stream": stream, **listed})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise HwnasError(f"{path}: damaged ({type(error).__name__}: {error}): delete it and {way_out}") from None


def read_spaces(path: Path) -> dict[str, Any]:
    """Space hash -> fields of its calibration. Raises HwnasError for a file that is none."""
    try:
        data = json.loads(path.read_text())
        version, spaces = data["format"], dict(data["spaces"])
    except (KeyError, TypeError, ValueError) as error:
        raise HwnasError(f"{path}: not a calibration file ({type(error).__name__}: {error}): delete it and profile again") from None
    if version != FORMAT:
        raise HwnasError(f"{path}: format {version}, this hwnas reads format {FORMAT}: delete it and profile again")
    return spaces


def write_spaces(path: Path, spaces: Mapping[str, Any]) -> None:
    """What read_spaces reads."""
    write_atomic(path, json.dumps({"format": FORMAT, "spaces": spaces}, indent=1))


def weight_bytes(blocks: Iterable[Block]) -> float:
    """Of a network, in fp32: what is stored differently is proportional to it."""
    return float(sum(4 * facts(b).params for b in blocks))


def activation_bytes(blocks: Iterable[Block]) -> float:
    """That blocks read and write, all together, in fp32."""
    return float(sum(facts(b).memory_bytes for b in blocks))


def conformal_margin(predicted_ms: np.ndarray, measured_ms: np.ndarray) -> float:
    """The one-sided 95 % split-conformal quantile of measured / predicted - 1, at least 0 (Vovk et al. 2005)."""
    return conformal(measured_ms / predicted_ms - 1)


def _ridge(X: np.ndarray, r: np.ndarray, prior: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """X (n, features), r (n,), prior (features,) standard deviations -> weights (features,), and each r by the fit without it (n,)."""
    inverse = np.linalg.inv(X.T @ X / noise**2 + np.diag(prior**-2))
    weights = inverse @ X.T @ r / noise**2
    leverage = np.einsum("ij,jk,ik->i", X, inverse, X) / noise**2
    return weights, r - (r - X @ weights) / (1 - leverage)


def _groups(b: Block) -> list[str]:
    """The groups whose time shares may each be a little off: blocks of one operator, size, kernel, ...; much, where activations spill."""
    size = 1 << max(b.height - 1, 0).bit_length()
    named = {"op": b.op, "size": size, "kernel": b.kernel, "stride": b.stride, "expand": b.expand, "se": int(b.se > 0), "act": b.act}
    spills = ["spills"] if facts(b).memory_bytes > SPILLS_BYTES else []
    return [f"{k}={v}" for k, v in named.items()] + [f"residual={int(b.residual)}", *spills]
