"""BlockPredictor: the latency of blocks that were not measured, from those that were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from torch import Tensor

from ..block import Block
from ..errors import HwnasError
from .block_nodes import KINDS, block_shapes, count_sums, nodes_of

MIN_FIT = 12
MAX_FIT = 800  # blocks the process is conditioned on: time grows with the cube
MAX_TUNE = 150  # blocks its hyperparameters are tuned on
LEAST_SHARE = 0.02  # of a block's time that every node may have: least squares gives some kinds none
# Hyperparameters before any data: variance and inverse lengths of the nodes' process, what nodes of a family have in common; variance and
# inverse length of the whole block's; noise. Their logs have a normal prior of spread LOG_SPREAD around these.
START = np.log([0.05, *[0.7] * 7, 0.3, 0.02, 0.3, 4e-4])
LOG_SPREAD = 1.5
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]  # shares (n, nodes), families (nodes,), node shapes (nodes, 7), block shapes (n, 10)


class BlockPredictor:
    """Non-negative least squares on per-primitive sums (operations, bytes, calls), then a Gaussian process on the log of what it leaves:

        log(latency / linear) = sum over the block's nodes of share(node) g_family(shape of the node) + h(shape of the block) + noise

    A block's time is the sum of its nodes', so their errors add up by their shares of it, and blocks with a node of one family and like
    shape tell about each other however else they differ (an additive process, Duvenaud et al. 2011). g, h: Matern, 3/2 and 5/2.
    Half the error of a process on whole blocks: `tools/bench_blocks.py`.
    """

    def fit(self, blocks: Sequence[Block], latency_ms: np.ndarray, seed: int = 0) -> BlockPredictor:
        """blocks (n), latency_ms (n,) > 0. Raises HwnasError when there are fewer than 12."""
        if len(blocks) < MIN_FIT:
            raise HwnasError(f"predictor: {len(blocks)} measured blocks are too few, at least {MIN_FIT}: profile more of the space")
        order = np.random.default_rng(seed).permutation(len(blocks))[:MAX_FIT]
        latency_ms = np.asarray(latency_ms)[order]
        self._describe([blocks[i] for i in order], latency_ms)
        self._target = torch.tensor(np.log(latency_ms / self._linear(self._blocks)))
        self._theta = self._tuned()
        with torch.no_grad():
            self._factor = torch.linalg.cholesky(self._covariance(self._theta, self._blocks) + self._noise(len(order)))
        return self

    def predict(self, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
        """(latency_ms (n,), its standard deviation as a fraction (n,))."""
        if not blocks:
            return np.zeros(0), np.zeros(0)
        with torch.no_grad():
            joint = self._covariance(self._theta, [*self._blocks, *blocks])
            cross = joint[len(self._blocks) :, : len(self._blocks)]
            mean = cross @ torch.cholesky_solve(self._target[:, None], self._factor)[:, 0]
            explained = torch.linalg.solve_triangular(self._factor, cross.T, upper=False).square().sum(0)
            variance = joint.diagonal()[len(self._blocks) :] - explained + self._theta[-1]
        return self._linear(blocks) * np.exp(mean.numpy()), variance.clamp(min=1e-12).sqrt().numpy()

    def prior(self, blocks: Sequence[Block], usual_ms: np.ndarray) -> tuple[np.ndarray, float]:
        """((n, n) covariance of the blocks' log latencies before anything is measured, variance of one measurement).

        usual_ms: what they take on some device.
        """
        self._describe(blocks, usual_ms)
        theta = torch.tensor(START).exp()
        with torch.no_grad():
            return self._covariance(theta, blocks).numpy(), float(theta[-1])

    def _describe(self, blocks: Sequence[Block], latency_ms: np.ndarray) -> None:
        """What a time per operation, byte and call explains, with the least relative error, and how shapes are scaled."""
        self._blocks, sums, shapes = list(blocks), count_sums(blocks), block_shapes(blocks)
        scale = np.maximum(sums.max(0), 1e-12)
        self._weights = scipy.optimize.nnls(sums / scale / latency_ms[:, None], np.ones(len(sums)))[0] / scale
        self._mean, self._spread = shapes.mean(0), shapes.std(0) + 1e-9

    def _tuned(self) -> Tensor:
        """The hyperparameters of highest posterior density."""
        blocks, target = self._blocks[:MAX_TUNE], self._target[:MAX_TUNE]
        inputs, start, unit = self._inputs(blocks), torch.tensor(START), torch.eye(len(blocks), dtype=torch.float64)

        def loss(log_theta: np.ndarray) -> tuple[float, np.ndarray]:
            logs = torch.tensor(log_theta, requires_grad=True)
            factor = torch.linalg.cholesky(_kernel(logs.exp(), inputs) + logs[-1].exp() * unit)
            value = 0.5 * target @ torch.cholesky_solve(target[:, None], factor)[:, 0] + factor.diagonal().log().sum()
            value = value + 0.5 * ((logs - start) / LOG_SPREAD).square().sum()
            (slope,) = torch.autograd.grad(value, logs)
            return value.item(), slope.numpy()

        bounds = [(-12.0, 3.0)] * (len(START) - 1) + [(np.log(1e-5), np.log(1e-2))]
        found = scipy.optimize.minimize(loss, START, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
        return torch.tensor(found.x).exp()

    def _noise(self, n: int) -> Tensor:
        return self._theta[-1] * torch.eye(n, dtype=torch.float64)

    def _covariance(self, theta: Tensor, blocks: Sequence[Block]) -> Tensor:
        return _kernel(theta, self._inputs(blocks))

    def _linear(self, blocks: Sequence[Block]) -> np.ndarray:
        return np.maximum(count_sums(blocks) @ self._weights, 1e-6)

    def _inputs(self, blocks: Sequence[Block]) -> Inputs:
        """What the kernel reads. Each distinct node stands in it once, with its share of the time of each block."""
        dear = self._weights.reshape(len(KINDS), 3)
        place: dict[tuple[int, tuple[float, ...]], int] = {}
        entries = []
        for i, block in enumerate(blocks):
            nodes = nodes_of(block)
            times = [float(dear[node.kind] @ node.counts) for node in nodes]
            total = sum(times) + 1e-12
            for node, time in zip(nodes, times):
                entries.append((i, place.setdefault((node.family, node.shape), len(place)), time / total + LEAST_SHARE))
        shares = np.zeros((len(blocks), len(place)))
        for i, j, share in entries:
            shares[i, j] += share
        families, shapes = torch.tensor([k for k, _ in place]), torch.tensor([s for _, s in place], dtype=torch.float64)
        whole = (block_shapes(blocks) - self._mean) / self._spread
        return torch.tensor(shares), families, shapes.reshape(len(place), 7), torch.tensor(whole)


def _kernel(theta: Tensor, inputs: Inputs) -> Tensor:
    """(n, n) covariance of blocks without noise; theta as START, not its logs."""
    shares, families, shapes, whole = inputs
    same = (families[:, None] == families).double()
    apart = 3**0.5 * _distance(shapes * theta[1:8])
    node = theta[0] * same * ((1 + apart) * torch.exp(-apart) + theta[8])
    apart = 5**0.5 * _distance(whole * theta[10])
    return shares @ node @ shares.T + theta[9] * (1 + apart + apart**2 / 3) * torch.exp(-apart)


def _distance(X: Tensor) -> Tensor:
    """(n, n) Euclidean, with a gradient at zero."""
    return ((X[:, None] - X[None]).square().sum(-1) + 1e-12).sqrt()
