"""Ensemble: regression by a few small networks, for as many points as there are; where they disagree nothing is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MEMBERS, HIDDEN, BATCH, RATE = 5, 64, 256, 3e-3
FIRST, LATER = 1000, 300  # steps of Adam: of the first fit, and of one that goes on with more points
PRIOR = 1.0  # size of what each member is told to add to its answer, a fixed random network of its own


class Ensemble:
    """Networks of two hidden layers, each on its own resampled points (Breiman 1996) and with a random function of its own added.

    That function, never trained (Osband et al. 2018), makes them disagree where no point pulls them together. The spread is scaled so that
    on points that a member has not seen it is as large as the error. All members are trained at once as batched matrices.
    """

    def __init__(self, features: int, seed: int = 0):
        self._generator = torch.Generator().manual_seed(seed)
        self._fixed = self._layers(features)
        self._layers_now = [t.requires_grad_() for t in self._layers(features)]
        self._optimizer = torch.optim.Adam(self._layers_now, RATE)
        self._fitted = False

    def fit(self, X: np.ndarray, y: np.ndarray) -> Ensemble:
        """X (n, features), y (n,): all points so far, the earlier ones first. The next call goes on from this one; returns self."""
        if not self._fitted:
            self._mean, self._scale = X.mean(0), np.where(X.std(0) > 0, X.std(0), 1.0)
            self._level, self._spread = float(y.mean()), float(y.std()) or 1.0
            self._weights = torch.zeros(MEMBERS, 0)
        x, target = self._inputs(X), torch.tensor((y - self._level) / self._spread, dtype=torch.float32)
        new = len(X) - self._weights.shape[1]
        drawn = torch.poisson(torch.ones(MEMBERS, new), generator=self._generator)  # how often a member sees a point
        self._weights = torch.cat([self._weights, drawn], 1)
        steps = LATER if self._fitted else FIRST
        for step in range(steps):
            self._optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
            at = torch.randint(len(X), (min(BATCH, len(X)),), generator=self._generator)
            loss = (self._weights[:, at] * (self._forward(x[at]) - target[at]) ** 2).mean(1).sum()
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        self._fitted = True
        with torch.no_grad():
            each, unseen = self._forward(x), (self._weights == 0).float()
            count = unseen.sum(0)
            some = count >= 2
            mean = (unseen * each).sum(0) / count.clamp_min(1)
            spread = ((unseen * (each - mean) ** 2).sum(0) / (count - 1).clamp_min(1))[some].mean()
            error = ((mean - target) ** 2)[some].mean()
        self._factor = float((error / spread.clamp_min(1e-12)).sqrt()) if some.any() else 1.0
        self.prior = float(y.std()) or 1.0
        return self

    def mean(self, X: np.ndarray) -> np.ndarray:
        """X (m, features) -> (m,)."""
        return self.predict(X)[0]

    @torch.no_grad()
    def predict(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X (m, features) -> mean and standard deviation of y there, both (m,)."""
        each = self._forward(self._inputs(X))
        mean, deviation = each.mean(0).double().numpy(), each.std(0).double().numpy()
        return self._level + self._spread * mean, self._spread * self._factor * deviation

    def _inputs(self, X: np.ndarray) -> Tensor:
        return torch.tensor((X - self._mean) / self._scale, dtype=torch.float32)

    def _forward(self, x: Tensor) -> Tensor:
        """x (n, features) -> (members, n)."""
        return _run(self._layers_now, x) + PRIOR * _run(self._fixed, x)

    def _layers(self, features: int) -> list[Tensor]:
        sizes, out = (features, HIDDEN, HIDDEN, 1), []
        for a, b in zip(sizes, sizes[1:]):
            out.append(torch.randn(MEMBERS, a, b, generator=self._generator) * (2 / a) ** 0.5)
            out.append(torch.zeros(MEMBERS, 1, b))
        return out


def _run(layers: list[Tensor], x: Tensor) -> Tensor:
    h = x.expand(MEMBERS, *x.shape)
    for i in range(0, len(layers), 2):
        h = torch.baddbmm(layers[i + 1], h, layers[i])
        h = torch.relu(h) if i < len(layers) - 2 else h
    return h[..., 0]
