"""VGG-16 (Simonyan & Zisserman 2015, configuration D) with a choice of kernels."""

from __future__ import annotations

from collections.abc import Sequence

from ..block import Block
from ..gene import Gene
from ..slot import Slot
from ..space import Space


def vgg16(
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 512),
    convolutions: Sequence[int] = (2, 2, 3, 3, 3),
    kernels: Sequence[int] = (1, 3, 5),
) -> Space:
    """3^13 = 1,594,323 architectures: 13 convolutions of kernel 1, 3 or 5, max pooling after each stage, BatchNorm, head.

    The head is global average pooling and one linear layer, as usual for small images. Pools are 2 x 2 (3 x 3 at odd sizes).
    """
    slots, cin, r = list[Slot](), channels, size

    def add(name: str, genes: dict[str, Gene], block: object) -> None:
        reads, writes = f"n{len(slots) - 1}" if slots else "x", f"n{len(slots)}"
        slots.append(Slot.of(name, reads, writes, genes, block))  # type: ignore[arg-type]

    for i, (width, count) in enumerate(zip(widths, convolutions, strict=True), 1):
        for j in range(1, count + 1):

            def layer(kernel: int, op: str = "stem" if not slots else "conv", cin: int = cin, cout: int = width, r: int = r) -> Block:
                return Block(op, cin, cout, r, r, kernel=kernel, act="relu")

            add(f"conv{i}_{j}", {"kernel": Gene.one(f"conv{i}_{j}", kernels)}, layer)
            cin = width
        pool = Block("max_pool", width, width, r, r, 2, 3 if r % 2 else 2)
        add(f"pool{i}", {}, lambda pool=pool: pool)
        r = -(-r // 2)
    slots.append(Slot.of("head", f"n{len(slots) - 1}", "y", {}, lambda: Block("head", cin, classes, r, r)))
    return Space("vgg16", tuple(slots), "y")
