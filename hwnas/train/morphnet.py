"""MorphNet: widths by a resource-weighted sparsifying regulariser, then uniform expansion (Gordon et al. 2018, arXiv 1711.06798)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..block import Block
from ..cost import CostModel
from ..cost.facts import facts
from ..errors import HwnasError
from ..gates import path
from ..gene import Gene
from ..ops.conv import Head
from ..ops.mbconv import MBConv
from ..slot import Slot
from ..space import Codes, Space
from ..supernet import Supernet
from .afresh import afresh
from .memory import Memory
from .options import Traits, at_least, traits
from .run import Run, Step

GROWTH = np.geomspace(0.05, 20, 400)  # factors that expansion tries


@dataclass(frozen=True)
class MorphNet:
    strength: float = 1.0  # of the regulariser, on the cost as a share of the whole; short runs need more to kill any channel
    threshold: float = 0.01  # a channel is alive while the largest |gamma| of its group exceeds it
    cycles: int = 2  # of shrinking and expanding
    share: float = 0.5  # without a budget: MACs of the final network, as a share of the largest's

    def __post_init__(self) -> None:
        at_least("morphnet", self, strength=0, threshold=0, cycles=1, share=0)


class Layer(NamedTuple):
    """A convolution: cost = coefficient x live channels of `reads` x those of `writes`, or x those of `reads` alone ("")."""

    reads: str
    writes: str
    coefficient: float  # FLOPs, or LUT latency, for each pair (or each channel)


Groups = dict[str, list[tuple[nn.BatchNorm2d, int]]]  # tied channels -> the BatchNorms that scale them, their first n channels


@traits(Traits(learns=True, one_stage=False))
def morphnet(run: Run, options: MorphNet) -> Step:
    """Shrink: train one network with a regulariser that prices each channel; expand: scale what is left up to the budget; repeat.

    F = sum over layers of C x (live inputs) x (live outputs), C the layer's FLOPs for one pair of channels (h w k^2), or its
    share of the block's latency in the device's table. Regulariser (eq. 6): strength / F0 x sum of
    C (|gamma_in|_1 x live outputs + live inputs x |gamma_out|_1), subgradient through |gamma| only; alive is |gamma| > 0.01.
    Channels that a residual sum ties are one group: alive if any of its gammas is (the largest |gamma| counts); so are the
    up and depthwise convolution's. Depthwise, squeeze-and-excitation and head cost C for each input channel.

    Expansion finds the largest factor on all live widths whose architecture keeps the budget. Each cycle has an equal share
    of the steps, starts from fresh weights, and from the architecture the last one ended with; the first from the largest.

    Where we differ: widths are those the space offers (the nearest of each width and expansion gene), none can exceed its
    largest, and a layer at the end of a stage whose output died is left out by the depth gene. For spaces of stem, mbconv
    and head, as `mobilenet`; others are refused. Other genes stay at their largest option. To be retrained.
    """
    net, space = run.net, run.space
    if not isinstance(net, Supernet) or (odd := sorted({b.op for s in space.slots for b in s.blocks if b} - {"stem", "mbconv", "head"})):
        raise HwnasError(f"morphnet: knows the channels of stem, mbconv and head, not of {', '.join(odd)}: train another algorithm")
    costs = run.constraint.model if run.constraint else CostModel(space)
    keeps = run.constraint.keeps if run.constraint else within_share(space, options.share)
    metric = run.constraint.target.fields[0] if run.constraint else "macs"
    metric = metric if metric in ("latency_ms", "macs") else "macs"
    found = Memory(z=torch.from_numpy(space.largest()))
    run.keep(found=found)
    run.derive = lambda: found["z"].numpy()[None]
    starts = [c * run.steps // options.cycles for c in range(options.cycles + 1)]

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        cycle = int(np.searchsorted(starts, number, side="right")) - 1
        if number == starts[cycle] and cycle:
            afresh(run)
        z = found["z"].numpy()
        run.set_rate(run.recipe.rate(number - starts[cycle], starts[cycle + 1] - starts[cycle], run.recipe.decay or run.decay))
        run.visit(z[None])
        groups, layers = channels(net, z, costs, metric)
        outputs = run.forward(x, path(space, z))
        loss = run.loss(outputs, y)
        whole = cost_of(layers, {k: float(tied[0][1]) for k, tied in groups.items()})
        (loss + options.strength * regulariser(groups, layers, options.threshold) / whole).backward()
        run.update()
        live = alive(groups, options.threshold)
        if number + 1 == starts[cycle + 1]:
            found["z"] = torch.from_numpy(expand(space, z, live, dead(net, z, options.threshold), keeps))
        return {"loss": loss.item(), "accuracy": run.reward(outputs, y), f"{metric}_live": cost_of(layers, live) / whole}

    return step


def channels(net: Supernet, z: np.ndarray, costs: CostModel, metric: str) -> tuple[Groups, list[Layer]]:
    """The groups of tied channels of architecture z (genes,) and the layers between them, in the order of the network.

    A node's channels are tied wherever one width gene decides about them, and where a residual sum adds two nodes; a layer's
    hidden channels are tied by its depthwise convolution.
    """
    groups: Groups = {}
    layers: list[Layer] = []
    ids = {b: i for i, b in enumerate(net.space.blocks)}
    reads = "x"
    for slot, block, module in running(net, z):
        (height, width), n = block.out_size, block.cin * block.expand
        C = 1.0 if metric == "macs" else float(costs.tables[metric][ids[block]]) / max(facts(block).macs, 1)
        before, after = block.height * block.width * C, height * width * C
        if isinstance(module, MBConv):
            hidden = reads
            if block.expand > 1:
                hidden = f"{slot.name} hidden"
                groups[hidden] = [(_norm(module.up), n), (_norm(module.depthwise), n)]
                layers.append(Layer(reads, hidden, before))
            layers.append(Layer(hidden, "", after * block.kernel**2))
            if block.se:
                layers.append(Layer(hidden, "", 2 * C * max(n // block.se, 4)))
            gene = deciding(slot, "cout")
            writes = gene.name if gene else reads if block.residual else slot.writes
            layers.append(Layer(hidden, writes, after))
            groups.setdefault(writes, []).append((_norm(module.down), block.cout))
            if block.residual and writes != reads:
                groups[reads] = groups[writes] = [*groups[reads], *groups[writes]]
            reads = writes
        elif isinstance(module, Head):
            layers.append(Layer(reads, "", before * n if block.expand > 1 else block.cout * C))
        else:
            reads = slot.name
            groups[reads] = [(_norm(module), block.cout)]
            layers.append(Layer(reads, "", after * block.kernel**2 * block.cin))
    return groups, layers


def regulariser(groups: Groups, layers: list[Layer], threshold: float) -> Tensor:
    """MorphNet eq. 6, summed over layers; still to be scaled."""
    gamma, live = {k: _gamma(tied) for k, tied in groups.items()}, alive(groups, threshold)
    price = torch.zeros(())
    for reads, writes, coefficient in layers:
        each = gamma[reads].sum()
        price = price + coefficient * (each * live[writes] + live[reads] * gamma[writes].sum() if writes else each)
    return price


@torch.no_grad()
def alive(groups: Groups, threshold: float) -> dict[str, float]:
    """Group -> how many of its channels are alive."""
    return {k: float((_gamma(tied) > threshold).sum()) for k, tied in groups.items()}


def cost_of(layers: list[Layer], live: Mapping[str, float]) -> float:
    """F: bilinear in the live channels of each layer's input and output."""
    return sum(layer.coefficient * live[layer.reads] * (live[layer.writes] if layer.writes else 1.0) for layer in layers)


@torch.no_grad()
def dead(net: Supernet, z: np.ndarray, threshold: float) -> set[str]:
    """Names of the slots whose own output channels are all dead."""
    blocks = [(slot, _norm(m.down).weight[: b.cout]) for slot, b, m in running(net, z) if isinstance(m, MBConv)]
    return {slot.name for slot, gamma in blocks if not (gamma.abs() > threshold).any()}


def expand(space: Space, z: np.ndarray, live: Mapping[str, float], dead: set[str], keeps: Callable[[Codes], np.ndarray]) -> np.ndarray:
    """(genes,) z with widths nearest to a common factor times the live ones, for the largest factor that keeps the budget.

    A group that died altogether counts as one channel: no layer can be without any.
    """
    Z = np.stack([_scaled(space, z, live, dead, factor) for factor in GROWTH])
    kept = np.flatnonzero(keeps(Z))
    return Z[kept[-1]] if len(kept) else Z[0]


def within_share(space: Space, share: float) -> Callable[[Codes], np.ndarray]:
    """Codes (n, genes) -> whether their MACs are within a share of the largest's."""
    model = CostModel(space)
    limit = share * float(model.cost(space.largest()[None], ["macs"])[0, 0])
    return lambda Z: model.cost(Z, ["macs"])[:, 0] <= limit


def _scaled(space: Space, z: np.ndarray, live: Mapping[str, float], dead: set[str], factor: float) -> np.ndarray:
    z = z.copy()
    for group, n in live.items():
        if group in space.index:
            z[space.index[group]] = _nearest(space.genes[space.index[group]], factor * max(n, 1.0))
    for slot in space.slots:
        wide, gene = live.get(f"{slot.name} hidden"), deciding(slot, "expand")
        if wide is not None and gene is not None:
            block = slot.at(tuple(g.values[int(z[space.index[g.name]])][0] for g in slot.genes))
            assert block is not None
            z[space.index[gene.name]] = _nearest(gene, factor * max(wide, 1.0) / block.cin)
    for slot in reversed(space.slots):  # from the end of each stage, while layers are dead
        for gene, option in slot.when:
            if gene.is_prefix and slot.name in dead and z[space.index[gene.name]] == option:
                z[space.index[gene.name]] = option - 1
    return z


def running(net: Supernet, z: np.ndarray) -> list[tuple[Slot, Block, nn.Module]]:
    """(slot, its block, the module whose first channels are the block's) of what runs in z."""
    found = []
    values = {g: int(v) for g, v in zip(net.space.genes, z)}
    for slot in net.space.slots:
        for options in slot.chosen(values) or []:
            block, mixed = slot.at(options), net.mixed[slot.name]
            assert block is not None
            found.append((slot, block, mixed.elastics[mixed.owner[options]].full))
    return found  # type: ignore[return-value]


@cache
def deciding(slot: Slot, field: str) -> Gene | None:
    """The gene that alone decides about a field of the slot's block, such as "cout" or "expand"."""
    for axis, gene in enumerate(slot.genes):
        table = np.empty(len(slot.blocks), object)
        table[:] = slot.blocks
        line = np.moveaxis(table.reshape([len(g.options) for g in slot.genes]), axis, 0).reshape(len(gene.options), -1)[:, 0]
        if len({getattr(b, field) for b in line}) > 1:
            return gene
    return None


def _nearest(gene: Gene, wanted: float) -> int:
    return int(np.abs(np.array(gene.options, float) - wanted).argmin())


def _norm(part: nn.Module) -> nn.BatchNorm2d:
    """The last BatchNorm of a part."""
    return [m for m in part.modules() if isinstance(m, nn.BatchNorm2d)][-1]


def _gamma(tied: list[tuple[nn.BatchNorm2d, int]]) -> Tensor:
    """(channels,) the largest |gamma| of tied channels."""
    return torch.stack([norm.weight[:n].abs() for norm, n in tied]).amax(0)
