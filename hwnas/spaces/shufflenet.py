"""The ShuffleNetV2 space of SPOS (Guo et al. 2020, arXiv 1904.00420, sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence

from ..block import Block
from ..errors import HwnasError
from ..gene import Gene
from ..slot import Slot
from ..space import Space

OPS = ("shuffle_3x3", "shuffle_5x5", "shuffle_7x7", "xception")


def shufflenet(
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    *,
    stem: int = 16,
    stem_stride: int = 1,
    widths: Sequence[int] = (64, 160, 320, 640),
    depths: Sequence[int] = (4, 4, 8, 4),
    head_expand: int = 2,
) -> Space:
    """4^20 architectures: 20 layers in 4 stages, each layer one of 4 blocks; the first of a stage halves the resolution.

    Defaults for 32 pixels; the paper has 224, stem_stride=2 and a head of 1,024 channels. Widths must grow and be even.
    """
    if len(widths) != len(depths) or any(b <= a for a, b in zip((stem, *widths), widths)) or any(w % 2 for w in widths):
        raise HwnasError(
            f"shufflenet: widths {tuple(widths)} must be even and grow from stem {stem}, one for each of depths {tuple(depths)}"
        )
    slots = [Slot.of("stem", "x", "n0", {}, lambda: Block("stem", channels, stem, size, size, stem_stride, 3, act="relu"))]
    cin, r = stem, -(-size // stem_stride)
    for i, (width, depth) in enumerate(zip(widths, depths), 1):
        for j in range(depth):

            def layer(op: str, cin: int = cin, cout: int = width, r: int = r, stride: int = 1 if j else 2) -> Block:
                name, _, kernel = op.partition("_")
                return Block(name, cin, cout, r, r, stride, int(kernel[:1] or 3))

            slots.append(Slot.of(f"s{i}_l{j + 1}", f"n{len(slots) - 1}", f"n{len(slots)}", {"op": Gene.one(f"s{i}_l{j + 1}", OPS)}, layer))
            cin, r = width, r if j else -(-r // 2)
    head = Block("head", cin, classes, r, r, expand=head_expand, act="relu" if head_expand > 1 else "")
    slots.append(Slot.of("head", f"n{len(slots) - 1}", "y", {}, lambda: head))
    return Space("shufflenet", tuple(slots), "y")
