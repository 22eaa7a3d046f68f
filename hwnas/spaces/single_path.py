"""The superkernel space of Single-Path NAS (Stamoulis et al. 2019, arXiv 1904.02877)."""

from __future__ import annotations

from collections.abc import Sequence

from ..block import Block
from ..errors import HwnasError
from ..gene import Gene
from ..slot import Slot
from ..space import Space


def single_path(
    channels: int = 1,
    size: int = 28,
    classes: int = 10,
    *,
    stem: int = 16,
    stem_stride: int = 2,
    widths: Sequence[int] = (16, 32, 64),
    depth: int = 4,
    strides: Sequence[int] = (1, 2, 2),
    kernels: Sequence[int] = (3, 5),
    expands: Sequence[int] = (3, 6),
    head_expand: int = 2,
) -> Space:
    """MobileNet-like layers of one width a stage; each layer has a kernel, and an expansion of which 0 means no layer at all.

    Trained with `share`, every layer is one superkernel: the kernel of 3 is the core of that of 5, expansion 3 is the first
    half of the channels of 6, and with neither half the layer is a skip (secs. 3.1 and 3.2). Layers that change the
    shape cannot be skipped. Genes are named as in `mobilenet`.
    """
    if len(widths) != len(strides):
        raise HwnasError(f"single-path: {len(widths)} widths and {len(strides)} strides: give one of each for every stage")
    if 0 in expands:
        raise HwnasError("single-path: expands: 0 (no layer) is added where a layer may be left out: name the others")
    slots = [Slot.of("stem", "x", "n0", {}, lambda: Block("stem", channels, stem, size, size, stem_stride, 3, act="relu6"))]
    cin, r = stem, -(-size // stem_stride)
    for i, (width, stage_stride) in enumerate(zip(widths, strides), 1):
        for j in range(depth):
            name, stride = f"s{i}_l{j + 1}", stage_stride if j == 0 else 1
            skippable = stride == 1 and cin == width

            def layer(kernel: int, expand: int, cin: int = cin, cout: int = width, r: int = r, stride: int = stride) -> Block:
                if expand == 0:
                    return Block("skip", cin, cout, r, r)
                return Block("mbconv", cin, cout, r, r, stride, kernel, expand, act="relu6")

            genes = {
                "kernel": Gene.one(f"{name}_kernel", kernels),
                "expand": Gene.one(f"{name}_expand", (0, *expands) if skippable else expands),
            }
            slots.append(Slot.of(name, f"n{len(slots) - 1}", f"n{len(slots)}", genes, layer))
            cin, r = width, -(-r // stride)
    head = Block("head", cin, classes, r, r, expand=head_expand, act="relu6" if head_expand > 1 else "")
    slots.append(Slot.of("head", f"n{len(slots) - 1}", "y", {}, lambda: head))
    return Space("single-path", tuple(slots), "y")
