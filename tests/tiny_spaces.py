"""Small spaces of every kind, and a slow walk through one architecture that shares no code with hwnas.space."""

from __future__ import annotations

from itertools import product

import numpy as np

from hwnas.block import Block
from hwnas.gene import Gene
from hwnas.slot import Slot
from hwnas.space import Space
from hwnas.spaces import darts, mobilenet, nasbench201


def chain_space(**changes) -> Space:
    """A MobileNet-like space with everything elastic."""
    settings = dict(
        channels=2,
        size=8,
        classes=3,
        resolutions=(6, 8),
        stem=6,
        stem_stride=1,
        widths=((6, 8), (8, 10)),
        depth=2,
        strides=(1, 2),
        kernels=(3, 5),
        expands=(1, 2),
        squeezes=(0, 4),
        acts=("relu", "hswish"),
    )
    return mobilenet(**{**settings, **changes})


def mix_space() -> Space:
    """One or two operators of four between a stem and a head, then one more layer that may be passed by."""
    ops = Gene.some("ops", ["conv1", "conv3", "pool", "none"], 1, 2)
    depth, kernel = Gene.prefix("depth", ["short", "long"]), Gene.one("kernel", [1, 3])

    def op(name: str) -> Block | None:
        if name == "none":
            return None
        return Block("avg_pool", 4, 4, 6, 6, kernel=3) if name == "pool" else Block("conv", 4, 4, 6, 6, kernel=int(name[-1]))

    def maybe(kernel: int) -> Block:
        return Block("conv", 4, 4, 6, 6, kernel=kernel, act="relu")

    slots = [
        Slot.of("stem", "x", "a", {}, lambda: Block("stem", 2, 4, 6, 6, kernel=3)),
        Slot.of("ops", "a", "b", {"name": ops}, op),
        Slot.of("more", "b", "c", {"kernel": kernel}, maybe, [(depth, 1)], "skip"),
        Slot.of("head", "c", "y", {}, lambda: Block("head", 4, 3, 6, 6)),
    ]
    return Space("mix", tuple(slots), "y")


def passing_space() -> Space:
    """A layer that passes its input on where depth leaves it out, and cuts the path where its operator is "none"."""
    op, depth = Gene.one("op", ["none", "conv"]), Gene.prefix("depth", ["short", "long"])

    def layer(op: str) -> Block | None:
        return None if op == "none" else Block("conv", 2, 2, 6, 6, kernel=3)

    head = Slot.of("head", "a", "y", {}, lambda: Block("head", 2, 3, 6, 6))
    return Space("passing", (Slot.of("layer", "x", "a", {"op": op}, layer, [(depth, 1)], "skip"), head), "y")


SPACES = {
    "chain": chain_space(),
    "mix": mix_space(),
    "passing": passing_space(),
    "nasbench201": nasbench201(2, 8, 3, width=4, cells=1),
    "darts": darts(2, 8, 3, width=4, cells=2, nodes=3),
}


def all_codes(space: Space) -> np.ndarray:
    return np.array(list(product(*(range(n) for n in space.sizes))))


def walk(space: Space, z: np.ndarray) -> dict[str, list[str]]:
    """Place (slot, or node with what joins there) -> the keys of the blocks that run there, for one code; by recursion."""
    values = dict(zip((g.name for g in space.genes), map(int, z)))
    picks = {g.name: g.values[values[g.name]] for g in space.genes}
    writers = {node: [s for s in space.slots if s.writes == node] for node in {s.writes for s in space.slots}}

    def content(slot: Slot) -> list[Block] | None:
        """The blocks of a slot; None where nothing gets through."""
        if any(option not in picks[gene.name] for gene, option in slot.when):
            return [] if slot.off == "skip" else None
        table = dict(zip(product(*(range(len(g.options)) for g in slot.genes)), slot.blocks))
        run = [b for options in product(*(picks[g.name] for g in slot.genes)) if (b := table[options])]
        return run or None

    def reached(node: str) -> bool:
        if node in space.cats:
            return any(map(reached, space.cats[node]))
        return node == "x" or any(content(s) is not None and reached(s.reads) for s in writers[node])

    out: dict[str, list[str]] = {}

    def need(node: str) -> None:
        if node in space.cats:
            if node not in out and reached(node):
                first = next(b for part in space.cats[node] for s in writers[part] for b in s.blocks if b)
                n, (height, width) = len(space.cats[node]), first.out_size
                out[node] = [str(Block("concat", first.cout, first.cout * n, height, width, inputs=n))]
                for part in space.cats[node]:
                    need(part)
            return
        live = [s for s in writers.get(node, []) if content(s) is not None and (reached(s.reads) or node == space.output)]
        if node in out or not live:
            return
        out[node] = []
        if len(live) > 1:
            (height, width), c = live[0].blocks[-1].out_size, live[0].blocks[-1].cout  # type: ignore[union-attr]
            out[node] = [str(Block("add", c, c, height, width, inputs=len(live)))]
        for slot in live:
            run = content(slot) or []
            out["slot " + slot.name] = [str(b) for b in run] or ["passes"]
            if len(run) > 1:
                (height, width), c = run[0].out_size, run[0].cout
                out["slot " + slot.name].append(str(Block("add", c, c, height, width, inputs=len(run))))
            if reached(slot.reads):
                need(slot.reads)

    need(space.output)
    return {place: blocks for place, blocks in out.items() if blocks}
