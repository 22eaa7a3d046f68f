"""Task: what is learned, from which batches, and how good is good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import HwnasError

Compare = Callable[[Any, Any], Any]  # outputs, targets of a batch -> a number, or a tensor of one


class Source(Protocol):
    """Batches by number: those of `hwnas.data.Batches`, a loader, or tensors."""

    size: int  # images in a batch
    per_epoch: int

    def at(self, step: int) -> tuple[Any, Any]:
        """x, y of a step."""
        ...


@dataclass(frozen=True, eq=False)
class Task:
    """Batches and what to make of them; None is what a classification does."""

    train: Source
    valid: Source
    held: Source | None = None  # for the architecture, where an algorithm learns one
    loss: Compare | None = None  # to be made small, differentiable
    reward: Compare | None = None  # to be made large
    metrics: Mapping[str, Compare] = field(default_factory=dict)  # what to record beside the loss
    optimizer: torch.optim.Optimizer | None = None  # of the weights; its learning rates stay as they are
    identity: str = ""  # of the data: a checkpoint goes on only with the same


class Loader:
    """Any iterable of (x, y) that has a length, such as a DataLoader; a new pass over it in each epoch."""

    def __init__(self, batches: Iterable[Any], what: str, device: torch.device):
        try:
            self.per_epoch = len(batches)  # type: ignore[arg-type]
        except TypeError:
            raise HwnasError(f"{what}: a {type(batches).__name__} has no length: give a DataLoader, a list of batches, or (x, y)") from None
        if not self.per_epoch:
            raise HwnasError(f"{what}: no batch in it")
        self.batches, self.what, self.device, self.size = batches, what, device, 1
        self._iterator: Iterator[Any] = iter(())
        self._next = -1

    def at(self, step: int) -> tuple[Any, Any]:
        k = step % self.per_epoch
        if k != self._next or k == 0:
            self._iterator, self._next = iter(self.batches), 0
        for _ in range(self._next, k + 1):
            batch = next(self._iterator)
        self._next = (k + 1) % self.per_epoch
        if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not isinstance(batch[0], Tensor):
            raise HwnasError(f"{self.what}: a batch is a {type(batch).__name__}, expected (x, y) with a tensor x")
        self.size = len(batch[0])
        return _to(batch[0], self.device), _to(batch[1], self.device)


class Tensors:
    """x (n, ...) and y (n, ...) in batches, in a new order each epoch; what does not fill the last batch sits that epoch out."""

    def __init__(self, x: Tensor, y: Tensor, what: str, size: int, seed: int, device: torch.device):
        if len(x) != len(y) or not len(x):
            raise HwnasError(f"{what}: x has {len(x)} rows and y {len(y)}: they must be as many, and some")
        self.x, self.y, self.seed, self.device = x, y, seed, device
        self.size = min(size, len(x))
        self.per_epoch = len(x) // self.size

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, k = divmod(step, self.per_epoch)
        order = torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(len(self.x)))
        rows = order[k * self.size : (k + 1) * self.size]
        return self.x[rows].to(self.device), self.y[rows].to(self.device)


def source(data: Any, what: str, size: int, seed: int, model: nn.Module) -> Source:
    """Batches from (x, y) tensors, or from any iterable of batches; they are moved to where the model is."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(t, Tensor) for t in data):
        x, y = data
        return Tensors(x, y, what, size, seed, device)
    return Loader(data, what, device)


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return type(value)(_to(v, device) for v in value)
    return {k: _to(v, device) for k, v in value.items()} if isinstance(value, dict) else value
