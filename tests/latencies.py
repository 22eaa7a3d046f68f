"""A device that is a formula: latencies of blocks and of networks with known structure and noise."""

from __future__ import annotations

import numpy as np

from hwnas.block import Block
from hwnas.cost.facts import facts
from hwnas.spaces import mobilenet

OVERHEAD_MS = 0.004
SPACE = mobilenet(1, 12, 4, resolutions=(8, 12), stem=8, stem_stride=1, widths=((8, 12), (16, 24)), depth=3, strides=(1, 2), kernels=(3, 5))


def block_ms(block: Block) -> float:
    """Arithmetic at a rate that depends on the operator's kernel, memory traffic, and one call."""
    f = facts(block)
    return OVERHEAD_MS + f.macs / 4e6 * (1.3 if block.kernel > 3 else 1.0) + f.memory_bytes / 2e7 + (0.003 if block.se else 0.0)


def network_ms(blocks: list[Block], rng: np.random.Generator, noise: float = 0.01, level: float = 0.04) -> float:
    """Blocks in a network cost 4 % more, half a call each, and 1 % more where the kernel is 5; then noise."""
    own = sum((block_ms(b) - OVERHEAD_MS) * (1 + level + 0.01 * (b.kernel == 5)) for b in blocks)
    return float((own + OVERHEAD_MS * (1 + 0.5 * len(blocks))) * rng.normal(1, noise))
