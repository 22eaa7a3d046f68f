"""Correction: what whole networks may take more or less than the sum of their blocks, as features of a regression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..block import Block
from ..cost.facts import facts
from ..cost.stream import lost

# Standard deviation that the weights of each group start with, from what was seen on ONNX Runtime, TFLite and OpenVINO; a fit moves it.
SPREADS = {
    "level": 0.05,
    "calls": 1.0,
    "boundary": 0.3,
    "shares": 0.01,
    "spills": 0.3,
    "stream": 0.3,
    "calls by size": 0.6,
    "calls by trait": 0.1,
    "boundary by size": 0.6,
}
BOUNDARY_MS = 0.4e-6  # unit of what an activation element costs that one block hands to the next
SPILLS_BYTES = 2**21  # activations of one block: more do not stay in the L2 cache of most processors, and networks are not like blocks then
CACHES_BYTES = tuple(2.0**k * 1e6 for k in range(-5, 5))  # that a processor might have: 31 kB to 16 MB; see hwnas/cost/stream.py
SHARES = (0.1, 0.3, 0.9)  # of the activations that blocks read and write, that might be in the weights' way
PAIRS = tuple((cache, share) for cache in CACHES_BYTES for share in SHARES)
STREAM_MS = 1e-8  # unit of what each pair of the two costs, a byte of weights: 100 GB/s


class Features(NamedTuple):
    """Of networks: r = network / sums - 1 is explained by the columns of `groups`."""

    sums: np.ndarray  # (networks,) ms of the blocks without the cost of a call, and one call
    names: dict[str, tuple[str, ...]]  # group of SPREADS -> names of its weights
    groups: dict[str, np.ndarray]  # the same -> (networks, weights)

    @classmethod
    def of(cls, networks: Sequence[Sequence[Block]], block_ms: Mapping[Block, float], overhead_ms: float) -> Features:
        """networks: the blocks of each.

        A block alone pays for a call, for bringing its input into the layout that the runtime computes in, and its output back; a network
        does once. How much that is depends on the size (OpenVINO spent 7 us a block on 28 px and 21 us on 224 px), so calls and elements
        handed on have a weight for each size, too; and on what the block is: with OpenVINO in int8 a network took 2 us more for each
        squeeze-and-excitation than the times of its blocks let expect, so calls have a weight for each trait. The time shares of blocks
        of one operator, kernel, ... may each be a little off.
        """
        every = list(dict.fromkeys(b for blocks in networks for b in blocks))
        at = {b: i for i, b in enumerate(every)}
        count = np.zeros((len(networks), len(every)))  # of each block in each network
        for i, blocks in enumerate(networks):
            np.add.at(count[i], [at[b] for b in blocks], 1)
        own, handed = np.array([block_ms[b] - overhead_ms for b in every]), np.array([boundary_ms(b) for b in every])
        named = [shares_of(b) for b in every]
        alike = sorted({name for names in named for name in names})
        has = np.array([[name in names for name in alike] for names in named], dtype=float)  # (blocks, alike)
        sizes, traits = ([i for i, name in enumerate(alike) if name.startswith("size=") == is_size] for is_size in (True, False))
        called = overhead_ms * count @ has
        stored, touched = (np.array([of(blocks) for blocks in networks]) for of in (weight_bytes, activation_bytes))
        sums = overhead_ms + count @ own
        columns = {
            "level": sums[:, None],
            "calls": overhead_ms * count.sum(1, keepdims=True),
            "boundary": (count @ handed)[:, None],
            "shares": count * own @ has,
            "spills": (count @ (own * [spilling(b) for b in every]))[:, None],
            "stream": STREAM_MS * lost(stored, touched, *zip(*PAIRS)),
            "calls by size": called[:, sizes],
            "calls by trait": called[:, traits],
            "boundary by size": count * handed @ has[:, sizes],
        }
        names = {name: (name,) for name in ("level", "calls", "boundary", "spills")} | {
            "shares": tuple(alike),
            "stream": ("stream",) * len(PAIRS),
            "calls by size": tuple(f"calls {alike[i]}" for i in sizes),
            "calls by trait": tuple(f"calls {alike[i]}" for i in traits),
            "boundary by size": tuple(f"boundary {alike[i]}" for i in sizes),
        }
        return cls(sums, names, {name: values / sums[:, None] for name, values in columns.items()})


def corrected(b: Block, alone_ms: float, overhead_ms: float, weights: Mapping[str, float]) -> float:
    """ms of a block in a network, where it takes alone_ms by itself: the weights folded in. One call and `stream` are the network's."""
    named, get = shares_of(b), weights.get
    factor = 1 + weights["level"] + sum(get(name, 0.0) for name in named) + (get("spills", 0.0) if spilling(b) else 0.0)
    call = weights["calls"] + sum(get(f"calls {name}", 0.0) for name in named)  # its size among them
    handed = weights["boundary"] + get(f"boundary size={size_of(b)}", 0.0)
    return (alone_ms - overhead_ms) * factor + call * overhead_ms + handed * boundary_ms(b)


def shares_of(b: Block) -> tuple[str, ...]:
    """`op=mbconv`, `kernel=5`, ...: what a block is alike with others in."""
    named = {"op": b.op, "size": size_of(b), "kernel": b.kernel, "stride": b.stride, "expand": b.expand, "se": int(b.se > 0), "act": b.act}
    return (*(f"{k}={v}" for k, v in named.items()), f"residual={int(b.residual)}")


def size_of(b: Block) -> int:
    """Height of the input, up to the next power of two."""
    return 1 << max(b.height - 1, 0).bit_length()


def spilling(b: Block) -> bool:
    """Whether its activations do not stay in most caches."""
    return facts(b).memory_bytes > SPILLS_BYTES


def boundary_ms(b: Block) -> float:
    """The elements that it hands on, in units of time."""
    return BOUNDARY_MS * facts(b).out_bytes / 4


def weight_bytes(blocks: Iterable[Block]) -> float:
    """Of a network, in fp32: what is stored differently is proportional to it."""
    return float(sum(4 * facts(b).params for b in blocks))


def activation_bytes(blocks: Iterable[Block]) -> float:
    """That blocks read and write, all together, in fp32."""
    return float(sum(facts(b).memory_bytes for b in blocks))
