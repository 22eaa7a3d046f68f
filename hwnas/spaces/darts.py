"""The DARTS cell space (Liu et al. 2019): normal and reduction cells, each node two of its possible inputs."""

from __future__ import annotations

from ..block import Block
from ..gene import Gene
from ..slot import Slot
from ..space import Space

OPS = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")


def darts(channels: int = 3, size: int = 32, classes: int = 10, *, width: int = 16, cells: int = 8, nodes: int = 4) -> Space:
    """`cells` cells, reduction cells at 1/3 and 2/3 of the depth; cells of one kind share their genes.

    For each node one gene picks two of its inputs, and each input has a gene for its operator.
    """
    genes = {}
    for kind in ("normal", "reduce"):
        for i in range(nodes):
            inputs = Gene.some(f"{kind}_n{i}_inputs", ("c0", "c1", *(f"n{j}" for j in range(i))), 2, 2)
            genes[kind, i] = inputs, [Gene.one(f"{kind}_n{i}_{source}", OPS) for source in inputs.options]

    slots = [Slot.of("stem", "x", "stem", {}, lambda: Block("stem", channels, width, size, size, kernel=3))]
    cats: dict[str, tuple[str, ...]] = {}
    outs, c, r = [("stem", width, size)] * 2, width, size
    for k in range(cells):
        reduce, r_in = k in (cells // 3, 2 * cells // 3), r
        if reduce:
            c, r = 2 * c, -(-r // 2)
        for j, (node, cin, r_old) in enumerate(outs):
            before = Block("relu_conv", cin, c, r_old, r_old, -(-r_old // r_in))
            slots.append(Slot.of(f"c{k}_pre{j}", node, f"c{k}_c{j}", {}, lambda b=before: b))
        for i in range(nodes):
            inputs, ops = genes["reduce" if reduce else "normal", i]
            for j, (source, gene) in enumerate(zip(inputs.options, ops)):
                stride = 2 if reduce and j < 2 else 1

                def edge(op: str, c: int = c, r: int = r_in if stride == 2 else r, stride: int = stride) -> Block | None:
                    return _edge(op, c, r, stride)

                slots.append(Slot.of(f"c{k}_n{i}_{source}", f"c{k}_{source}", f"c{k}_n{i}", {"op": gene}, edge, [(inputs, j)]))
        cats[f"c{k}_out"] = tuple(f"c{k}_n{i}" for i in range(nodes))
        outs = [outs[1], (f"c{k}_out", nodes * c, r)]
    slots.append(Slot.of("head", outs[1][0], "y", {}, lambda: Block("head", nodes * c, classes, r, r)))
    return Space("darts", tuple(slots), "y", cats)


def _edge(op: str, c: int, r: int, stride: int) -> Block | None:
    if op == "none":
        return None
    if op == "skip_connect":
        return Block("skip", c, c, r, r, stride)
    if "pool" in op:
        return Block(op[:8], c, c, r, r, stride, 3)
    return Block("separable" if op.startswith("sep") else "dilated", c, c, r, r, stride, int(op[-1]))
