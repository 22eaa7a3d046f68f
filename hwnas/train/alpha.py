"""Alpha: the parameters of an architecture that is learned by gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from ..gates import Gate, Gates, inclusion
from ..gene import Gene
from ..space import Codes, Space

Rule = Callable[[dict[Gene, Tensor]], Gates]


class Alpha(nn.Module):
    """One logit for each value of every gene that is learned; it knows what becomes of the other genes.

    A gene plays one of three parts:

    - learned: operators, and depth. Logits (values,), `init` x standard normal noise as in DARTS.
    - edges: an input gene (DARTS' "two of these") whose edges all have learned operators. While training every edge is on,
      with weight 1; at the end the set of edges is kept whose operators are strongest.
    - held: width, resolution, activation. They change the shapes or the weights of other slots, so they cannot be mixed; they
      stay at the values of the code `held` (genes,). `learn` overrides this for algorithms that only ever sample.
    """

    def __init__(self, space: Space, held: np.ndarray, *, init: float = 1e-3, seed: int = 0, learn: Iterable[Gene] | None = None):
        super().__init__()
        self.space, self.held = space, np.asarray(held)
        own = {g for s in space.slots for g in s.genes}
        mixed = {g for g in space.genes if len(g.values) > 1 and (not g.context or g.is_prefix)}
        self.edges: dict[Gene, dict[int, list[Gene]]] = {}  # input gene -> edge -> the genes of its operators
        inputs = [g for g in space.genes if g not in own and not g.context and len(g.options) > 1]
        for gene in inputs if learn is None else ():  # also where all edges are kept: their operators are still to be chosen
            behind = {o: [g for s in space.slots if (gene, o) in s.when for g in s.genes if g in mixed] for o in range(len(gene.options))}
            if all(behind.values()):
                self.edges[gene] = behind
        wanted = mixed - self.edges.keys() if learn is None else set(learn)
        self.genes = tuple(g for g in space.genes if g in wanted and len(g.values) > 1)
        noise = torch.Generator().manual_seed(seed)
        self.logits = nn.ParameterList([init * torch.randn(len(g.values), generator=noise) for g in self.genes])
        behind_edges = {g for parts in self.edges.values() for genes in parts.values() for g in genes}
        self._nothing = {g: self._computes_nothing(g) for g in self.genes if g in behind_edges}

    def by_gene(self) -> dict[Gene, Tensor]:
        """Learned gene -> its logits (values,): what gate rules take."""
        return dict(zip(self.genes, self.logits))

    def gates(self, rule: Rule, fixed: bool = False) -> Gates:
        """The gates of a forward pass: the rule's for learned genes, every edge on, held genes at their value.

        fixed: no gradient reaches alpha, which spares a weight step a reduction over every option's output.
        """
        gates = {g.name: Gate(g.values[int(v)]) for g, v in zip(self.space.genes, self.held)}
        gates |= {g.name: Gate(tuple(range(len(g.options)))) for g in self.edges}
        logits = {g: a.detach() for g, a in self.by_gene().items()} if fixed else self.by_gene()
        return gates | rule(logits)

    def probabilities(self) -> dict[Gene, Tensor]:
        """Learned gene -> (values,), differentiable."""
        return {g: a.softmax(0) for g, a in zip(self.genes, self.logits)}

    def weights(self, p: Mapping[Gene, Tensor] | None = None) -> dict[str, Tensor]:
        """Gene name -> (options,): what `CostModel.expected` takes. p: gene -> (values,), the probabilities unless others are given.

        For an input gene, edges count as if each of its sets were as likely: so many edges the final network has.
        """
        p = self.probabilities() if p is None else p
        found = {}
        for gene, value in zip(self.space.genes, self.held):
            if gene in p:
                found[gene.name] = inclusion(gene, p[gene])
            elif gene in self.edges:
                found[gene.name] = inclusion(gene, torch.full((len(gene.values),), 1 / len(gene.values)))
            else:
                found[gene.name] = inclusion(gene, torch.eye(len(gene.values))[int(value)])
        return found

    def weights_of(self, gates: Gates) -> dict[str, Tensor]:
        """Like `weights`, with what the gates of every learned gene weigh its options: FBNet's latency of a sample."""
        sampled = {g.name: w for g in self.genes if (w := gates[g.name].weights) is not None}
        return {**self.weights(), **sampled}

    def picked(self, gates: Gates) -> Codes:
        """(1, genes): the values that gates of one value each run; an input gene whose edges are all on counts as its first."""
        found = [g.values.index(p) if (p := gates[g.name].picks) in g.values else 0 for g in self.space.genes]
        return np.array([found], np.int64)

    @torch.no_grad()
    def values(self) -> list[np.ndarray]:
        """For each gene of the space (values,), summing to 1: how likely each value is, 0 where it must not be derived.

        An operator that computes nothing (DARTS' none) is left out where edges are chosen: DARTS sec. 2.4. An edge set counts
        by the product of its edges' strengths, an edge's strength is that of its best operator.
        """
        found: list[np.ndarray] = []
        p = {g: t.numpy().astype(float) for g, t in self.probabilities().items()}
        for gene, value in zip(self.space.genes, self.held):
            if gene in p:
                found.append(np.where(self._nothing.get(gene, np.zeros(len(gene.values), bool)), 0.0, p[gene]))
            elif gene in self.edges:
                strength = {o: np.prod([np.where(self._nothing[g], 0, p[g]).max() for g in genes]) for o, genes in self.edges[gene].items()}
                found.append(np.array([np.prod([strength[o] for o in v]) for v in gene.values]))
            else:
                found.append(np.eye(len(gene.values))[int(value)])
        return [f / f.sum() for f in found]

    def code(self) -> np.ndarray:
        """(genes,) the most likely architecture."""
        return np.array([int(p.argmax()) for p in self.values()], np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> Codes:
        """Z (n, genes): architectures as likely as alpha says."""
        return np.stack([rng.choice(len(p), n, p=p) for p in self.values()], 1)

    def log_likelihood(self, Z: Codes) -> np.ndarray:
        """(n,) log probability of codes Z (n, genes); a held gene at another value costs what a value of probability 1e-6 does."""
        return np.sum([np.log(np.maximum(p, 1e-6))[z] for p, z in zip(self.values(), Z.T)], axis=0)

    def log_probability(self, Z: Codes) -> Tensor:
        """(n,) log probability of the learned genes of Z (n, genes), differentiable: what REINFORCE multiplies."""
        columns = torch.from_numpy(np.ascontiguousarray(Z.T, np.int64))
        return torch.stack([a.log_softmax(0)[columns[self.space.index[g.name]]] for g, a in zip(self.genes, self.logits)]).sum(0)

    @torch.no_grad()
    def entropy(self) -> float:
        """Mean over the learned genes of H(p) / log(values): 1 is undecided, 0 is decided."""
        each = [-(p * p.clamp_min(1e-30).log()).sum() / np.log(len(p)) for p in self.probabilities().values()]
        return float(torch.stack(each).mean()) if each else 0.0

    def _computes_nothing(self, gene: Gene) -> np.ndarray:
        """(values,) bool: no slot of the gene runs a block under this value."""
        slots = [s for s in self.space.slots if gene in s.genes]
        dead = [all(s.at(c) is None for s in slots for c in _combinations(s.genes, gene, o)) for o in range(len(gene.options))]
        return np.array([all(dead[o] for o in v) for v in gene.values])


def _combinations(genes: tuple[Gene, ...], gene: Gene, option: int) -> Iterable[tuple[int, ...]]:
    from itertools import product

    return product(*((option,) if g == gene else range(len(g.options)) for g in genes))
