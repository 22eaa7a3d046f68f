"""Progressive shrinking (once-for-all: Cai et al. 2020, arXiv 1908.09791, sec. 3.3 and appendix B)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from ..block import Block
from ..errors import HwnasError
from ..gates import path
from ..space import Codes, Space
from ..supernet import Supernet, fix, resize
from ..supernet.elastic import Elastic
from ..supernet.sort_channels import sort_channels
from .forward import make_forward
from .options import Traits, at_least, traits
from .run import Run, Step, accuracy, soft_cross_entropy

RESOLUTION, KERNEL, DEPTH, WIDTH, OTHER = "resolution", "kernel", "depth", "width", "other"


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which dimensions are elastic, and how far."""

    name: str
    share: float  # of all steps
    elastic: tuple[str, ...]  # earlier dimensions stay in
    nets: int  # sub-networks whose gradients gather in one step
    rate: float  # learning rate at its start, as a share of the recipe's
    nearly: str = ""  # the dimension that is elastic only down to its second largest option


PHASES = (
    Phase("largest", 0.3, (), 1, 1.0),
    Phase("kernel", 0.2, (KERNEL, OTHER), 1, 0.4),
    Phase("depth 1", 0.05, (KERNEL, OTHER, DEPTH), 2, 0.03, DEPTH),
    Phase("depth 2", 0.2, (KERNEL, OTHER, DEPTH), 2, 0.1),
    Phase("width 1", 0.05, (KERNEL, OTHER, DEPTH, WIDTH), 4, 0.03, WIDTH),
    Phase("width 2", 0.2, (KERNEL, OTHER, DEPTH, WIDTH), 4, 0.1),
)


@dataclass(frozen=True)
class OFA:
    distill: float = 1.0  # weight of the cross entropy to the largest network's soft targets, beside 1 for the labels

    def __post_init__(self) -> None:
        at_least("ofa", self, distill=0)


@traits(Traits(share=True))
def ofa(run: Run, options: OFA) -> Step:
    """First the largest network; then kernel, depth and width become elastic, one after the other; 1, 2, 4 networks a step.

    Phases (name: share of steps, networks a step, first learning rate / recipe.lr): largest .3, 1, 1; kernel .2, 1, .4;
    depth .05 + .2, 2, .03 and .1; width .05 + .2, 4, .03 and .1. The first stretch of depth and of width goes down to the
    second largest option only. Rates are those of the released code relative to one another, with cosine decay in each.
    Loss: CE(labels) + distill x CE(soft targets of the largest network as it stood after its phase); 1 as released.
    Every batch has its own input resolution. Smaller kernels are centre crops through learned matrices (see
    Elastic.learn_kernels), and before width becomes elastic hidden channels are sorted by importance (see sort_channels).

    Where we differ: "width" is the expansion of each layer, as in the paper, and also the channels of each stage where the
    space makes them elastic. Genes the paper does not have (activation, squeeze) become elastic with the kernel. Momentum
    is dropped at the start of each phase: it would pull at channels that have been sorted. No weight decay on the matrices.
    A caller's own optimizer keeps its learning rate in all phases.
    """
    net, space = run.net, run.space
    if not isinstance(net, Supernet) or not net.share:
        raise HwnasError("ofa: progressive shrinking needs weights that all options share: train without --own-weights")
    add_kernel_transforms(net, run.optimizer)
    kinds = dimensions(space)
    starts = np.round(np.cumsum([0.0, *(p.share for p in PHASES)]) * run.steps).astype(int)
    teacher = fix(net, space.largest()).requires_grad_(False)
    run.keep(teacher=teacher)
    explain = make_forward(teacher, run.recipe)

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        for begun in np.flatnonzero(starts[:-1] == number):
            _begin(run, PHASES[begun], PHASES[begun - 1], teacher)
        k = int(np.searchsorted(starts[:-1], number, side="right")) - 1
        phase = PHASES[k]
        run.set_rate(phase.rate * run.recipe.rate(number - int(starts[k]), int(starts[k + 1] - starts[k]), "cosine"))
        run.sample = sampler(space, kinds, phase)
        Z = run.draw(number, phase.nets)
        soft = None
        if k and options.distill:
            with torch.no_grad():
                soft = explain(resize(x, space.input_size(Z[0])))
        record = {"loss": 0.0, "accuracy": 0.0}
        for z in Z:
            logits = run.forward(x, path(space, z))
            loss = run.loss(logits, y)
            if soft is not None:
                loss = loss + options.distill * soft_cross_entropy(logits, soft)
            loss.backward()
            record["loss"] += loss.item() / len(Z)
            record["accuracy"] += accuracy(logits, y) / len(Z)
        run.update()
        return {**record, "phase": k}

    return step


def dimensions(space: Space) -> dict[str, str]:
    """Gene name -> what it makes elastic: resolution, depth, kernel, width (of a layer or of a stage) or other.

    Read off the blocks: which of their fields change with the gene.
    """
    depths = {g.name for s in space.slots for g, _ in s.when if g.is_prefix}
    found = {g.name: DEPTH if g.name in depths else OTHER for g in space.genes}
    for slot in space.slots:
        table = np.empty(len(slot.blocks), object)
        table[:] = slot.blocks
        table = table.reshape([len(g.options) for g in slot.genes])
        for axis, gene in enumerate(slot.genes):
            line = np.moveaxis(table, axis, 0).reshape(len(gene.options), -1)[:, 0]
            if any(b is None for b in line):
                continue
            changing = {f.name for f in fields(Block) if len({getattr(b, f.name) for b in line}) > 1}
            if changing == {"kernel"}:
                found[gene.name] = KERNEL
            elif changing and changing <= {"expand", "cin", "cout"}:
                found[gene.name] = WIDTH
    if space.resolution:
        found[space.resolution.name] = RESOLUTION
    return found


def sampler(space: Space, kinds: dict[str, str], phase: Phase) -> Callable[[int, np.random.Generator], Codes]:
    """The prior of a phase: uniform over the values that are elastic in it, the largest else; one resolution for all n."""
    low = space.largest()
    for i, gene in enumerate(space.genes):
        if kinds[gene.name] in (RESOLUTION, *phase.elastic):
            low[i] = max(0, len(gene.values) - 2) if kinds[gene.name] == phase.nearly else 0

    def sample(n: int, rng: np.random.Generator) -> Codes:
        Z = rng.integers(low, space.sizes, (n, len(low)))
        if space.resolution:
            Z[:, space.index[space.resolution.name]] = Z[0, space.index[space.resolution.name]]
        return Z

    return sample


def add_kernel_transforms(net: Supernet, optimizer: torch.optim.Optimizer) -> None:
    """Learned matrices between kernel sizes, at first the identity, into a supernet and its optimizer."""
    made = [p for m in net.modules() if isinstance(m, Elastic) for p in m.learn_kernels()]
    if made:
        optimizer.add_param_group({"params": made, "weight_decay": 0.0})


def _begin(run: Run, phase: Phase, before: Phase, teacher: nn.Module) -> None:
    """What happens once, between two phases; the first has nothing before it."""
    assert isinstance(run.net, Supernet)
    if phase is PHASES[0]:
        return
    if before is PHASES[0]:
        teacher.load_state_dict(fix(run.net, run.space.largest()).state_dict())
    if WIDTH in phase.elastic and WIDTH not in before.elastic:
        sort_channels(run.net)
    run.optimizer.state.clear()
