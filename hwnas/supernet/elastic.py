"""Elastic: one set of weights that many blocks share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..block import Block
from ..ops import build


class Shrink(NamedTuple):
    """A step from one kernel size to the next smaller one: centre crop, then the matrix under this key."""

    matrices: nn.ParameterDict
    key: str
    cut: tuple[slice, slice]


class Slice(NamedTuple):
    """Where a tensor of a small block lies in the largest: `getattr(owner, leaf)[cut]`; cut None is all of it."""

    name: str
    home: dict[str, Tensor | None]  # the small block's own parameters or buffers: where the slice goes
    owner: nn.Module
    leaf: str
    cut: tuple[slice, ...] | None
    shrinks: tuple[Shrink, ...] = ()  # on the way to a smaller kernel, the largest first

    def read(self) -> Tensor:
        """The slice as it is now: under functional_call the owner's tensors are somebody else's."""
        tensor: Tensor = getattr(self.owner, self.leaf)
        if not self.shrinks or self.cut is None:
            return tensor if self.cut is None else tensor[self.cut]
        tensor = tensor[self.cut[:2]]
        for matrices, key, (rows, columns) in self.shrinks:
            crop = tensor[:, :, rows, columns]
            tensor = (crop.flatten(2) @ matrices[key].T).view(crop.shape)
        return tensor


class Elastic(nn.Module):
    """The largest of the blocks as a plain module; a smaller one is its own static module run on slices of those weights.

    Channels are cut from the front, kernels from the centre (once-for-all, Cai et al. 2020, sec. 3.2).
    After `learn_kernels` each centre crop goes through a learned matrix, too.
    """

    def __init__(self, blocks: Iterable[Block]):
        super().__init__()
        blocks = list(blocks)
        self.largest = Block.hull(blocks)
        self.full = build(self.largest)
        self.kernels = tuple(sorted({b.kernel for b in blocks}))
        self.transforms = nn.ParameterDict()
        self._shells: dict[Block, tuple[nn.Module, list[Slice]]] = {}

    def forward(self, x: Tensor, block: Block) -> Tensor:
        """x (n, cin, h, w), with the cin of `block`; weights know no resolution, so any h and w will do.

        Slices are put straight where the small block's modules look for them: torch's functional_call takes 3 to 5 times as long.
        """
        shell, slices = self.shell(block)
        if not slices:
            return self.full(x)
        if shell.training != self.training:
            shell.train(self.training)
        for s in slices:
            s.home[s.leaf] = s.read()
        return shell(x)

    def learn_kernels(self) -> list[nn.Parameter]:
        """Puts a matrix, at first the identity, between each kernel size and the next smaller one; gives those it made.

        7x7 -> crop 5x5 -> matrix (25, 25) -> crop 3x3 -> matrix (9, 9): one of each for a layer, shared by its channels
        (once-for-all, sec. 3.2, "elastic kernel size"). Nothing is made where there is one kernel size only.
        """
        made, full = [], dict(self.full.named_parameters())
        for kernel in self.kernels[-2::-1]:
            with torch.device("meta"):
                small = dict(build(replace(self.largest, kernel=kernel)).named_parameters())
            for name, t in small.items():
                if t.ndim == 4 and t.shape[2:] != full[name].shape[2:] and (key := _key(name, kernel)) not in self.transforms:
                    self.transforms[key] = nn.Parameter(torch.eye(t.shape[2] * t.shape[3], device=full[name].device))
                    made.append(self.transforms[key])
        self._shells.clear()
        return made

    def static(self, block: Block) -> nn.Module:
        """An ordinary module of `block` with copies of its weights."""
        module = build(block)
        _, slices = self.shell(block)
        copies = {s.name: s.read().detach().clone() for s in slices} or {k: t.detach().clone() for k, t in self.full.state_dict().items()}
        module.load_state_dict(copies)
        return module.to(next((p.device for p in self.full.parameters()), torch.device("cpu"))).train(self.training)

    def shell(self, block: Block) -> tuple[nn.Module, list[Slice]]:
        """The block's module without weights of its own, and where each of its tensors lies in the largest; ([]: it is the largest)."""
        if block in self._shells:
            return self._shells[block]
        if replace(block, height=self.largest.height, width=self.largest.width) == self.largest:
            self._shells[block] = self.full, []
            return self._shells[block]
        with torch.device("meta"):
            shell = build(block)
        slices = []
        for name, small in (*shell.named_parameters(), *shell.named_buffers()):
            path, _, leaf = name.rpartition(".")
            owner, small_owner = self.full.get_submodule(path), shell.get_submodule(path)
            shape = getattr(owner, leaf).shape
            cut = tuple(_centre(n, k) if axis > 1 else slice(0, k) for axis, (n, k) in enumerate(zip(shape, small.shape)))
            home: dict[str, Tensor | None] = small_owner._parameters if leaf in small_owner._parameters else small_owner._buffers  # type: ignore[assignment]
            slices.append(Slice(name, home, owner, leaf, cut if shape != small.shape else None, self._shrinks(name, shape, block.kernel)))
        self._shells[block] = shell, slices
        return self._shells[block]

    def _shrinks(self, name: str, shape: torch.Size, kernel: int) -> tuple[Shrink, ...]:
        found, sides = [], tuple(shape[2:])
        for k in self.kernels[-2::-1]:
            if k >= kernel and (key := _key(name, k)) in self.transforms:
                smaller = tuple(min(n, k) for n in sides)
                rows, columns = (_centre(n, m) for n, m in zip(sides, smaller))
                found.append(Shrink(self.transforms, key, (rows, columns)))
                sides = smaller
        return tuple(found)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shells": {}}  # they hold parts of a graph, which cannot be copied; made anew where needed


def _key(name: str, kernel: int) -> str:
    return f"{name.replace('.', '-')}-to-{kernel}"


def _centre(n: int, k: int) -> slice:
    return slice((n - k) // 2, (n - k) // 2 + k)
