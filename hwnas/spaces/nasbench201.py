"""NAS-Bench-201 (Dong & Yang 2020): a cell of 4 nodes and 6 edges, 5 operators on each."""

from __future__ import annotations

from collections.abc import Mapping

from ..block import Block
from ..errors import HwnasError
from ..gene import Gene
from ..slot import Slot
from ..space import Space

EDGES = tuple((i, j) for j in (1, 2, 3) for i in range(j))  # from node i to node j, in the order of the benchmark
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def nasbench201(channels: int = 3, size: int = 32, classes: int = 10, *, width: int = 16, cells: int = 5) -> Space:
    """15,625 cells: stem, then 3 stages of `cells` equal cells with a stride-2 convolution between stages, head.

    The option names are those of the benchmark's own architecture strings, which `arch_string` and `from_arch_string` write
    and read. (Between stages the benchmark has a residual
    block of two convolutions; here it is one.)
    """
    genes = {(i, j): Gene.one(f"{i}_to_{j}", OPS) for i, j in EDGES}

    def edge(op: str, c: int, r: int) -> Block | None:
        if op == "none":
            return None
        if op == "skip_connect":
            return Block("skip", c, c, r, r)
        if op == "avg_pool_3x3":
            return Block("avg_pool", c, c, r, r, kernel=3)
        return Block("relu_conv", c, c, r, r, kernel=int(op[-1]))

    slots = [Slot.of("stem", "x", "stem", {}, lambda: Block("stem", channels, width, size, size, kernel=3))]
    node, c, r = "stem", width, size
    for stage in range(3):
        if stage:
            down = Block("conv", c, 2 * c, r, r, 2, 3)
            slots.append(Slot.of(f"down{stage}", node, f"down{stage}", {}, lambda down=down: down))
            node, c, r = f"down{stage}", 2 * c, -(-r // 2)
        for k in range(cells):
            names = [node, *(f"s{stage}c{k}_{n}" for n in (1, 2, 3))]
            for i, j in EDGES:

                def block(op: str, c: int = c, r: int = r) -> Block | None:
                    return edge(op, c, r)

                slots.append(Slot.of(f"s{stage}c{k}_{i}to{j}", names[i], names[j], {"op": genes[i, j]}, block))
            node = names[3]
    slots.append(Slot.of("head", node, "y", {}, lambda: Block("head", c, classes, r, r)))
    return Space("nasbench201", tuple(slots), "y")


def arch_string(choices: Mapping[str, object]) -> str:
    """Choices of an architecture, as `space.decode` gives them -> `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`."""
    nodes = ["".join(f"|{choices[f'{i}_to_{j}']}~{i}" for i, to in EDGES if to == j) + "|" for j in (1, 2, 3)]
    return "+".join(nodes)


def from_arch_string(text: str) -> dict[str, str]:
    """The benchmark's architecture string -> choices, for `space.encode`. Raises HwnasError that says what is wrong in it."""
    expected = "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
    nodes, choices = text.strip().split("+"), dict[str, str]()
    edges = [(j, edge) for j, node in enumerate(nodes, 1) for edge in node.strip("|").split("|")]
    if len(nodes) != 3 or len(edges) != len(EDGES) or not all(n.startswith("|") and n.endswith("|") for n in nodes):
        raise HwnasError(f"architecture {text!r}: {expected}")
    for (i, j), (to, edge) in zip(EDGES, edges):
        op, _, source = edge.partition("~")
        if to != j or source != str(i) or op not in OPS:
            raise HwnasError(f"architecture {text!r}: {edge!r} into node {to}: {expected}, op one of {', '.join(OPS)}")
        choices[f"{i}_to_{j}"] = op
    return choices
