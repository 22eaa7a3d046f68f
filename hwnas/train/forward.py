"""make_forward: a network as the recipe has it called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import HwnasError
from ..supernet import Supernet
from .recipe import Recipe


def make_forward(net: Callable[..., Tensor], recipe: Recipe) -> Callable[..., Tensor]:
    """net as a recipe has it called: compiled, in parts, under autocast. Its first argument is x (n, ...), others go to every part.

    Raises HwnasError for a supernet that is to be compiled.
    """
    if recipe.compile and isinstance(net, Supernet):
        raise HwnasError("recipe.compile: a supernet would be compiled anew for every architecture; switch it off, it is for retraining")
    call: Callable[..., Tensor] = torch.compile(net) if recipe.compile else net
    if recipe.ghost > 1:
        call = _in_parts(call, recipe.ghost)
    if not recipe.bf16:
        return call

    def in_bf16(*args: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return call(*args)

    return in_bf16


def _in_parts(call: Callable[..., Tensor], parts: int) -> Callable[..., Tensor]:
    """Ghost BatchNorm (Hoffer et al. 2017, arXiv 1705.08741): each part of a batch is normalised by itself."""

    def forward(x: Tensor, *args: Any) -> Tensor:
        return torch.cat([call(part, *args) for part in x.chunk(parts)])

    return forward
