"""The cell space of "Understanding and simplifying one-shot architecture search" (Bender et al. 2018, sec. 3)."""

from __future__ import annotations

from ..block import Block
from ..gene import Gene
from ..slot import Slot
from ..space import Space

OPS = ("identity", "sep_3x3", "sep_5x5", "sep_7x7", "conv_1x7_7x1", "max_pool_3x3", "avg_pool_3x3")


def one_shot_cell(
    channels: int = 3, size: int = 32, classes: int = 10, *, filters: int = 16, cells: int = 6, blocks: int = 4, max_ops: int = 2
) -> Space:
    """Stem, `cells` equal cells of `blocks` choice blocks, head; filters double and the size halves at 1/3 and 2/3 of the depth.

    Choice block i reads 1 to 2 + i tensors: the outputs of the last two cells and of the choice blocks before it. A 1x1 convolution
    for each brings it to the width of the cell, they are summed, and 1 to max_ops of seven operators run on the sum and are
    added. A cell's output is all its choice blocks, concatenated. Genes are shared by all cells.
    """
    inputs = [Gene.some(f"b{i}_inputs", ("c0", "c1", *(f"b{j}" for j in range(i)))) for i in range(blocks)]
    ops = [Gene.some(f"b{i}_ops", OPS, 1, max_ops) for i in range(blocks)]
    slots = [Slot.of("stem", "x", "stem", {}, lambda: Block("stem", channels, filters, size, size, kernel=3))]
    cats: dict[str, tuple[str, ...]] = {}
    outs, c, r = [("stem", filters, size)] * 2, filters, size
    for k in range(cells):
        if k and k in (cells // 3, 2 * cells // 3):
            c, r = 2 * c, -(-r // 2)
        for j, (node, cin, r_old) in enumerate(outs):
            before = Block("relu_conv", cin, c, r_old, r_old, -(-r_old // r))
            slots.append(Slot.of(f"c{k}_pre{j}", node, f"c{k}_c{j}", {}, lambda b=before: b))
        for i in range(blocks):
            for j, source in enumerate(inputs[i].options):
                one_by_one = Block("conv", c, c, r, r)
                slots.append(
                    Slot.of(f"c{k}_b{i}_{source}", f"c{k}_{source}", f"c{k}_b{i}_in", {}, lambda b=one_by_one: b, [(inputs[i], j)])
                )

            def block(op: str, c: int = c, r: int = r) -> Block:
                return _op(op, c, r)

            slots.append(Slot.of(f"c{k}_b{i}", f"c{k}_b{i}_in", f"c{k}_b{i}", {"op": ops[i]}, block))
        cats[f"c{k}_out"] = tuple(f"c{k}_b{i}" for i in range(blocks))
        outs = [outs[1], (f"c{k}_out", blocks * c, r)]
    slots.append(Slot.of("head", outs[1][0], "y", {}, lambda: Block("head", blocks * c, classes, r, r)))
    return Space("one-shot-cell", tuple(slots), "y", cats)


def _op(op: str, c: int, r: int) -> Block:
    if op == "identity":
        return Block("skip", c, c, r, r)
    if "pool" in op:
        return Block(op[:8], c, c, r, r, kernel=3)
    return Block("conv_pair", c, c, r, r, kernel=7) if op.startswith("conv") else Block("separable", c, c, r, r, kernel=int(op[4]))
