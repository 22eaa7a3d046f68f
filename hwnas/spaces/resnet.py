"""ResNets of elastic width and depth."""

from __future__ import annotations

from collections.abc import Sequence

from ..block import Block
from ..errors import HwnasError
from ..gene import Gene
from ..slot import Slot
from ..space import Space


def resnet(
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    *,
    resolutions: Sequence[int] | None = None,
    stem: int = 16,
    stem_stride: int = 1,
    widths: Sequence[Sequence[int]] = ((16, 24, 32), (32, 48, 64), (64, 96, 128)),
    depth: int = 4,
    strides: Sequence[int] = (1, 2, 2),
) -> Space:
    """Stages of basic residual blocks (He et al. 2016); per stage a width and a depth, for all an input resolution.

    resolutions: input height = width on offer, pixels (None: size alone). widths: for each stage, the channels on offer,
    small to large; depth: blocks a stage at most. Width, depth and resolution slice one set of weights (OFA, BigNAS).
    """
    if len(widths) != len(strides):
        raise HwnasError(f"resnet: {len(widths)} widths and {len(strides)} strides: give one of each for every stage")
    resolution = Gene.one("resolution", resolutions or (size,), context=True)
    slots = [Slot.of("stem", "x", "n0", {"r": resolution}, lambda r: Block("stem", channels, stem, r, r, stem_stride, 3, act="relu"))]
    before, reduction = Gene.one("stem_width", [stem], context=True), stem_stride
    for i, (options, stage_stride) in enumerate(zip(widths, strides), 1):
        width, layers = Gene.one(f"s{i}_width", options, context=True), Gene.prefix(f"s{i}_depth", range(1, depth + 1))
        for j in range(depth):
            op, stride = ("residual", 1) if j else ("residual_down", stage_stride)

            def layer(cin: int, cout: int, r: int, op: str = op, stride: int = stride, reduction: int = reduction) -> Block:
                height = -(-r // reduction)
                return Block(op, cin, cout, height, height, stride, 3)

            roles = {"cin": width if j else before, "cout": width, "r": resolution}
            when = [(layers, j)] if j else []
            slots.append(Slot.of(f"s{i}_l{j + 1}", f"n{len(slots) - 1}", f"n{len(slots)}", roles, layer, when, off="skip"))
            reduction *= stride
        before = width

    def head(cin: int, r: int) -> Block:
        height = -(-r // reduction)
        return Block("head", cin, classes, height, height)

    slots.append(Slot.of("head", f"n{len(slots) - 1}", "y", {"cin": before, "r": resolution}, head))
    return Space("resnet", tuple(slots), "y", resolution=resolution)
