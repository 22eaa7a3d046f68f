"""The operators: name -> function from a Block to a plain torch.nn module. A new operator is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from torch import nn

from ..block import Block
from ..errors import did_you_mean
from .cells import conv_pair, dilated_separable, relu_conv, separable, skip
from .conv import Head, conv, stem
from .joins import Add, Concat
from .mbconv import MBConv
from .pool import avg_pool, max_pool
from .residual import Residual, ResidualDown
from .shuffle import Shuffle, Xception
from .user import UserOp

OPS: dict[str, Callable[[Block], nn.Module]] = {
    "stem": stem,
    "conv": conv,
    "mbconv": MBConv,
    "head": Head,
    "relu_conv": relu_conv,
    "separable": separable,
    "dilated": dilated_separable,
    "conv_pair": conv_pair,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "skip": skip,
    "shuffle": Shuffle,
    "xception": Xception,
    "residual": Residual,
    "residual_down": ResidualDown,
    "add": Add,
    "concat": Concat,
}


def build(block: Block) -> nn.Module:
    """The one definition of a block: profiling, own weights, sliced weights and export all start here.

    The module maps `block.inputs` tensors (n, cin, height, width) to one. It is ordinary torch.nn, so that it lowers.
    Raises HwnasError if the operator is unknown.
    """
    if user := UserOp.known.get(block.op):
        return deepcopy(user.module)
    if block.op not in OPS:
        raise did_you_mean("op", block.op, OPS, "A new operator is one entry in hwnas.ops.OPS.")
    return OPS[block.op](block)


def input_shapes(block: Block, batch: int = 1) -> tuple[tuple[int, ...], ...]:
    """Of each tensor that the block's module takes: (batch, cin, height, width), or as a user's own module has it."""
    if user := UserOp.known.get(block.op):
        return tuple((batch, *shape[1:]) for shape in user.shapes)
    return ((batch, block.cin, block.height, block.width),) * block.inputs
