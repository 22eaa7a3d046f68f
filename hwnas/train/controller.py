"""Controller: an LSTM that writes architectures gene by gene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..gene import Gene
from ..space import Codes, Space

TANH = 1.10  # largest logit of a gene that picks inputs
OP_REDUCE = 2.5  # those of the other genes are at most TANH / OP_REDUCE


class Controller(nn.Module):
    """Probability of a code as a product over its genes, each given those before it (ENAS: Pham et al. 2018, sec. 2.3).

    One LSTM cell of `hidden` units; its input is a learned vector for the value chosen before, its output goes through a
    linear layer of the gene's own. Logits are TANH x tanh(.), or TANH / 2.5 x tanh(.) for genes that do not pick inputs (as
    in the released code): bounded, so that no choice is ever ruled out. Weights start uniform in +-0.1. The paper attends
    over earlier nodes to pick an input; here inputs have a linear layer, as all other genes do. bounded False leaves out the
    tanh, for policies that have to come to a decision (MnasNet): with it, no operator is ever 2.5 times as likely as another.
    """

    def __init__(self, space: Space, hidden: int = 64, bounded: bool = True):
        super().__init__()
        self.space = space
        self.genes = tuple(g for g in space.genes if len(g.values) > 1)
        inputs = {g for s in space.slots for g, _ in s.when if not g.is_prefix}
        self.scales = [TANH if g in inputs else TANH / OP_REDUCE for g in self.genes] if bounded else [0.0] * len(self.genes)
        self.first = nn.Parameter(torch.empty(1, hidden))
        self.cell = nn.LSTMCell(hidden, hidden)
        self.chosen = nn.ModuleList(nn.Embedding(len(g.values), hidden) for g in self.genes)
        self.heads = nn.ModuleList(nn.Linear(hidden, len(g.values), bias=False) for g in self.genes)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, Z: Codes) -> tuple[Tensor, Tensor]:
        """Z (n, genes) -> log probability (n,) and the entropy along the way (n,), summed over genes, in nats."""
        columns = torch.from_numpy(np.ascontiguousarray(Z.T))
        _, log_p, entropy = self._walk(len(Z), lambda gene, logits: columns[self.space.index[gene.name]])
        return log_p, entropy

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Codes:
        """Z (n, genes), drawn from the controller. generator None: torch's own, which the training loop seeds at each step."""
        values, _, _ = self._walk(n, lambda gene, logits: torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0])
        Z = np.zeros((n, len(self.space.genes)), np.int64)
        for gene, column in zip(self.genes, values):
            Z[:, self.space.index[gene.name]] = column.numpy()
        return Z

    def _walk(self, n: int, choose: Callable[[Gene, Tensor], Tensor]) -> tuple[list[Tensor], Tensor, Tensor]:
        x, state = self.first.expand(n, -1), None
        values, log_p, entropy = [], torch.zeros(n), torch.zeros(n)
        for gene, scale, chosen, head in zip(self.genes, self.scales, self.chosen, self.heads):
            state = self.cell(x, state)
            logits = scale * torch.tanh(head(state[0])) if scale else head(state[0])
            p = logits.log_softmax(1)
            value = choose(gene, logits)
            values.append(value)
            log_p = log_p + p.gather(1, value[:, None])[:, 0]
            entropy = entropy - (p.exp() * p).sum(1)
            x = chosen(value)
        return values, log_p, entropy
