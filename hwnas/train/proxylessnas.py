"""ProxylessNAS: direct neural architecture search on target task and hardware (Cai, Zhu & Han 2019, arXiv 1812.00332)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..gates import binary, path
from ..gene import Gene
from .alpha import Alpha
from .options import Traits, at_least, one_of, traits
from .run import Run, Step, accuracy

_PATHS, _PAIRS = 5, 6  # streams of random numbers


@dataclass(frozen=True)
class Proxyless:
    """Defaults as in the released code. Its recipe: epochs 150, batch 256, lr 0.025, weight_decay 4e-5, cosine."""

    constraint: str = (
        "lagrangian"  # what a budget adds: "lagrangian" (it binds), "linear": lambda (E - ref) / ref, "log": x a (log E / log ref)^b
    )
    lam: float = 0.1  # lambda of "linear"
    a: float = 0.2  # of "log"
    b: float = 0.3
    lr: float = 0.0  # of alpha's Adam, betas (0, 0.999); 0 = the paper's 1e-3, more in shorter runs (Run.alpha_rate)
    warmup: float = 0.15  # share of the run in which only weights learn
    every: int = 5  # steps of the weights for each of alpha

    def __post_init__(self) -> None:
        one_of("proxylessnas.constraint", self.constraint, ("lagrangian", "linear", "log"))
        at_least("proxylessnas", self, lam=0, a=0, b=0, lr=0, warmup=0, every=1)


@traits(Traits(learns=True, coupled=True, one_stage=False, share=False, held_out=0.1, epoch="one pass over 90 % of the training images"))
def proxylessnas(run: Run, options: Proxyless) -> Step:
    """Weights learn on one path, sampled by softmax(alpha); alpha learns from the difference between two paths (sec. 3.2).

    A step of alpha draws two values of a gene, runs the active one, and the other without a graph, so that it needs the memory of
    one path, and no weight gets a gradient. After the update the two logits are shifted so that the probabilities of the values
    that were not drawn stay as they were. Where several genes decide about one slot, each such step gives two paths to one of
    them, drawn at random, so that a slot never runs more than two blocks; the paper has one gene a slot. Latency loss: "linear" as
    in the paper's eq. 6, "log" as in the released code, or the Lagrangian, which binds. The most likely network is retrained.
    """
    alpha = run.learn(run.alpha_rate(options.lr, 1e-3, options.every), (0.0, 0.999), every=options.every)
    space, seed = run.space, run.recipe.seed

    def paper(loss: Tensor, expected: Tensor, reference: float) -> Tensor:
        if options.constraint == "linear":
            return loss + options.lam * (expected - reference) / reference
        return loss * options.a * (expected.log() / np.log(reference)) ** options.b

    def step(x: Tensor, y: Tensor, number: int) -> dict[str, float]:
        Z = alpha.sample(1, np.random.default_rng([seed, _PATHS, number]))
        run.visit(Z)
        logits = run.forward(x, path(space, Z[0]))
        loss = run.loss(logits, y)
        loss.backward()
        run.update()
        record = {"loss": loss.item(), "accuracy": accuracy(logits, y)}
        if number < options.warmup * run.steps or number % options.every:
            return record
        x, y = run.arch_batch(number // options.every)
        rng = np.random.default_rng([seed, _PAIRS, number])
        gates, drawn = alpha.gates(lambda _: path(space, alpha.sample(1, rng)[0])), {}
        for gene in two_path_genes(alpha, rng):
            gates[gene.name], drawn[gene] = binary(gene, alpha.by_gene()[gene])
        loss = run.loss(run.forward(x, gates), y)
        if run.constraint:
            loss = run.constraint.price(loss, alpha.weights(), None if options.constraint == "lagrangian" else paper)
        before = {g: a.detach().clone() for g, a in alpha.by_gene().items()}
        record |= run.update_alpha(loss)
        for gene, pair in drawn.items():
            rescale(alpha.by_gene()[gene], before[gene], pair)
        return record

    return step


def two_path_genes(alpha: Alpha, rng: np.random.Generator) -> list[Gene]:
    """Learned genes in random order, without those that share a slot with one that has been taken."""
    taken: set[str] = set()
    found = []
    for i in rng.permutation(len(alpha.genes)):
        gene = alpha.genes[i]
        slots = {s.name for s in alpha.space.slots if gene in s.axes}
        if not slots & taken:
            found.append(gene)
            taken |= slots
    return found


@torch.no_grad()
def rescale(logits: Tensor, before: Tensor, pair: tuple[int, int]) -> None:
    """Shifts the two logits of a pair so that exp(a_i) + exp(a_j) is what it was: the other probabilities then stay."""
    index = list(pair)
    logits[index] -= torch.logsumexp(logits[index], 0) - torch.logsumexp(before[index], 0)
