"""World: the processes that train one supernet together, as torchrun starts them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import HwnasError


@dataclass(frozen=True)
class World:
    """Data parallel training: each process takes its part of every batch, gradients are averaged before each update.

    All else is a function of (seed, step), sampled paths included, so the processes agree on it without a word. BatchNorm sees
    the part alone: N processes compute what one does with `recipe.ghost = N`. Gradients are averaged in `Run.update`
    and not by DistributedDataParallel, whose hooks want one backward pass through all weights for each forward pass: here
    most weights get no gradient in a step, several passes make one update, and alpha's passes reach no weight at all.
    """

    rank: int = 0
    size: int = 1

    @staticmethod
    def current() -> World:
        """That of torchrun's environment; a process alone otherwise."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return World()
        if not dist.is_initialized():
            dist.init_process_group("gloo")
            atexit.register(dist.destroy_process_group)
        return World(dist.get_rank(), size)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and progress."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raises HwnasError where a batch cannot be shared out evenly."""
        if batch % self.size or batch < 2 * self.size:
            raise HwnasError(
                f"recipe.batch: {batch} images cannot be shared out among {self.size} processes, at least 2 to each: take a multiple"
            )

    def part(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """This process' rows of a batch (x, y)."""
        if self.size == 1:
            return batch
        if not all(isinstance(t, Tensor) and len(t) % self.size == 0 for t in batch):
            raise HwnasError(f"torchrun: a batch must be two tensors whose length is a multiple of the {self.size} processes")
        x, y = (t.chunk(self.size)[self.rank] for t in batch)
        return x, y

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Those of parameters become the mean over processes; see `averaged`."""
        parameters = list(parameters)
        for p, grad in zip(parameters, self.averaged([p.grad for p in parameters], parameters)):
            p.grad = grad

    def averaged(self, grads: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor | None]:
        """The mean over processes of gradients for tensors `like`; one that no process has stays None: optimizers leave it alone."""
        if self.size == 1:
            return list(grads)
        used = torch.tensor([g is not None for g in grads], dtype=torch.int32)
        dist.all_reduce(used, dist.ReduceOp.MAX)
        found = [(torch.zeros_like(t) if g is None else g) if any_of_us else None for g, t, any_of_us in zip(grads, like, used.tolist())]
        self._average([g for g in found if g is not None])
        return found

    def average_buffers(self, net: nn.Module) -> None:
        """BatchNorm's statistics become the mean over processes."""
        self._average([b for b in net.buffers() if b.is_floating_point()])

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Figures of a step, of all processes."""
        if self.size == 1:
            return dict(figures)
        total = torch.tensor(list(figures.values()), dtype=torch.float64)
        dist.all_reduce(total)
        return dict(zip(figures, (total / self.size).tolist()))

    def leader_says(self, yes: bool) -> bool:
        """What the leading process says, for what depends on its clock."""
        if self.size == 1:
            return yes
        said = torch.tensor([yes], dtype=torch.int32)
        dist.broadcast(said, 0)
        return bool(said)

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    @torch.no_grad()
    def _average(self, tensors: Sequence[Tensor]) -> None:
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        for t, mean in zip(tensors, flat.split([t.numel() for t in tensors])):
            t.copy_(mean.view(t.shape))
