"""The MobileNet-like space of once-for-all, FBNet, ProxylessNAS and BigNAS."""

from __future__ import annotations

from collections.abc import Sequence

from ..block import Block
from ..errors import HwnasError
from ..gene import Gene
from ..slot import Slot
from ..space import Space


def mobilenet(
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    *,
    resolutions: Sequence[int] | None = None,
    stem: int = 16,
    stem_stride: int = 2,
    widths: Sequence[Sequence[int]] = ((16, 24), (32, 40), (64, 80)),
    depth: int = 4,
    strides: Sequence[int] = (1, 2, 2),
    kernels: Sequence[int] = (3, 5, 7),
    expands: Sequence[int] = (1, 3, 4, 6),
    squeezes: Sequence[int] = (0, 4),
    acts: Sequence[str] = ("relu", "hswish"),
    head_expand: int = 2,
) -> Space:
    """Stem, stages of inverted residuals, head. Elastic per layer: kernel, expansion, squeeze-and-excitation; per stage:
    depth, width, activation; for all: input resolution (Cai et al. 2020, sec. 3.1; Yu et al. 2020, table 1).

    channels, size, classes: of the data. resolutions: input height = width on offer, pixels (None: 5/7, 6/7 and 7/7 of size).
    widths: for each stage, the channels on offer; strides: of each stage's first layer; depth: layers a stage at most.
    squeezes: squeeze-and-excitation ratios, 0 = none. List every option from small to large.
    """
    if len(widths) != len(strides):
        raise HwnasError(f"mobilenet: {len(widths)} widths and {len(strides)} strides: give one of each for every stage")
    resolutions = tuple(resolutions or sorted({round(size * k / 7) for k in (5, 6, 7)}))
    resolution = Gene.one("resolution", resolutions, context=True)

    def stem_block(r: int) -> Block:
        return Block("stem", channels, stem, r, r, stem_stride, 3, act=acts[-1])

    slots = [Slot.of("stem", "x", "n0", {"r": resolution}, stem_block)]
    before, reduction = Gene.one("stem_width", [stem], context=True), stem_stride
    for i, (options, stage_stride) in enumerate(zip(widths, strides), 1):
        width = Gene.one(f"s{i}_width", options, context=True)
        act = Gene.one(f"s{i}_act", acts, context=True)
        layers = Gene.prefix(f"s{i}_depth", range(1, depth + 1))
        for j in range(depth):
            name, stride = f"s{i}_l{j + 1}", stage_stride if j == 0 else 1

            def layer(
                kernel: int, expand: int, se: int, act: str, cin: int, cout: int, r: int, stride: int = stride, reduction: int = reduction
            ) -> Block:
                height = -(-r // reduction)
                return Block("mbconv", cin, cout, height, height, stride, kernel, expand, se, act=act)

            roles = {
                "kernel": Gene.one(f"{name}_kernel", kernels),
                "expand": Gene.one(f"{name}_expand", expands),
                "se": Gene.one(f"{name}_se", squeezes),
                "act": act,
                "cin": before if j == 0 else width,
                "cout": width,
                "r": resolution,
            }
            when = [(layers, j)] if j else []
            slots.append(Slot.of(name, f"n{len(slots) - 1}", f"n{len(slots)}", roles, layer, when, off="skip"))
            reduction *= stride
        before = width

    def head(cin: int, r: int) -> Block:
        height = -(-r // reduction)
        return Block("head", cin, classes, height, height, expand=head_expand, act=acts[-1] if head_expand > 1 else "")

    slots.append(Slot.of("head", f"n{len(slots) - 1}", "y", {"cin": before, "r": resolution}, head))
    return Space("mobilenet", tuple(slots), "y", resolution=resolution)
