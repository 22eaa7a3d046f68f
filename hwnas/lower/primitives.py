"""Primitives: torch's functions, as functions that add a node to an Emitter.

Each takes the Emitter and then what its namesake in torch.nn.functional takes, and returns the Ref of its output. What a primitive
cannot express is refused with `need`. Shapes are computed here, from the arguments: nothing is ever run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .emitter import Emitter, Ref, as_weight
from .unknown import need

Size = int | Sequence[int]


def conv2d(
    e: Emitter,
    input: Ref,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Ref:
    need(len(input.shape) == 4, f"conv2d of a tensor with shape {input.shape}")
    weights = {"weight": as_weight(weight)} | ({} if bias is None else {"bias": as_weight(bias)})
    cout, cin_per_group, *kernel = weights["weight"].shape
    need(input.shape[1] == cin_per_group * groups, f"{input.shape[1]} channels meet a weight for {cin_per_group * groups}")
    pads = _same_padding(kernel, _pair(dilation)) if padding == "same" else _symmetric(0 if padding == "valid" else padding)
    shape = (input.shape[0], cout, *_window_positions(input, tuple(kernel), _pair(stride), pads, _pair(dilation)))
    return e.emit("conv2d", [input], shape, weights, stride=_pair(stride), padding=pads, dilation=_pair(dilation), groups=groups)


def linear(e: Emitter, input: Ref, weight: Tensor, bias: Tensor | None = None) -> Ref:
    need(len(input.shape) == 2, f"linear of a tensor with shape {input.shape}; flatten it first")
    weights = {"weight": as_weight(weight)} | ({} if bias is None else {"bias": as_weight(bias)})
    need(input.shape[1] == weight.shape[1], f"{input.shape[1]} features meet a weight for {weight.shape[1]}")
    return e.emit("linear", [input], (input.shape[0], weight.shape[0]), weights)


def batch_norm(
    e: Emitter,
    input: Ref,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Ref:
    need(running_mean is not None and running_var is not None and not training, "batch_norm without running statistics")
    mean, variance = as_weight(running_mean), as_weight(running_var)
    need(input.shape[1] == mean.numel(), f"{input.shape[1]} channels meet statistics for {mean.numel()}")
    scale = shift = mean  # on the meta device only shapes matter, and torch's arithmetic there takes seconds to import
    if not mean.is_meta:
        scale = torch.rsqrt(variance + eps)
        scale = scale if weight is None else scale * as_weight(weight)
        shift = -mean * scale if bias is None else as_weight(bias) - mean * scale
    return e.emit("scale_shift", [input], input.shape, {"scale": scale, "shift": shift})


def elementwise(op: str) -> Callable[..., Ref]:
    """The function that applies an activation without parameters."""

    def apply(e: Emitter, input: Ref, inplace: bool = False) -> Ref:
        return e.emit(op, [input], input.shape)

    return apply


def gelu(e: Emitter, input: Ref, approximate: str = "none") -> Ref:
    need(approximate == "none", f"gelu with approximate={approximate!r}")
    return e.emit("gelu", [input], input.shape)


def _arithmetic(e: Emitter, op: str, input: Any, other: Any) -> Ref:
    rank = max(len(x.shape) for x in (input, other) if isinstance(x, Ref))
    operands = [e.operand(x, rank) for x in (input, other)]
    return e.emit(op, operands, np.broadcast_shapes(*(x.shape for x in operands)))


def add(e: Emitter, input: Any, other: Any) -> Ref:
    return _arithmetic(e, "add", input, other)


def mul(e: Emitter, input: Any, other: Any) -> Ref:
    return _arithmetic(e, "mul", input, other)


def sub(e: Emitter, input: Any, other: Any) -> Ref:
    return add(e, input, mul(e, other, -1.0) if isinstance(other, Ref) else -other)


def div(e: Emitter, input: Any, other: Any) -> Ref:
    need(not isinstance(other, Ref), "division by a tensor")
    return mul(e, input, 1 / other)


def zeros_like(e: Emitter, input: Ref) -> Ref:
    zeros = torch.zeros(()).expand(input.shape)  # holds one number until it is written
    return e.emit("constant", (), input.shape, {"value": zeros})


def max_pool2d(
    e: Emitter,
    input: Ref,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Ref:
    need(_pair(dilation) == (1, 1) and not return_indices, "max_pool2d with dilation or indices")
    return _pool(e, "max_pool", input, kernel_size, stride, padding, ceil_mode, {})


def avg_pool2d(
    e: Emitter,
    input: Ref,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Ref:
    need(divisor_override is None, "avg_pool2d with divisor_override")
    return _pool(e, "avg_pool", input, kernel_size, stride, padding, ceil_mode, {"count_padding": count_include_pad})


def _pool(
    e: Emitter, op: str, input: Ref, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool, attrs: dict[str, Any]
) -> Ref:
    need(len(input.shape) == 4 and not ceil_mode, f"{op} of shape {input.shape}, ceil_mode={ceil_mode}")
    kernel, pads = _pair(kernel_size), _symmetric(padding)
    steps = _pair(stride) if stride else kernel
    shape = (*input.shape[:2], *_window_positions(input, kernel, steps, pads, (1, 1)))
    return e.emit(op, [input], shape, kernel=kernel, stride=steps, padding=pads, **attrs)


def adaptive_avg_pool2d(e: Emitter, input: Ref, output_size: Size) -> Ref:
    height, width = input.shape[2:]
    rows, columns = (size or full for size, full in zip(_pair(output_size), (height, width)))  # None keeps a dimension
    if (rows, columns) == (height, width) != (1, 1):
        return input
    if (rows, columns) == (1, 1):
        return e.emit("global_avg_pool", [input], (*input.shape[:2], 1, 1))
    need(height % rows == 0 and width % columns == 0, f"adaptive_avg_pool2d from {height}x{width} to {rows}x{columns}")
    return avg_pool2d(e, input, (height // rows, width // columns))


def mean(e: Emitter, input: Ref, dim: Size, keepdim: bool = False) -> Ref:
    """Over height and width only: global average pooling."""
    dims = {d % len(input.shape) for d in ((dim,) if isinstance(dim, int) else dim)}
    need(dims == {2, 3} and len(input.shape) == 4, f"mean over {dim}")
    pooled = e.emit("global_avg_pool", [input], (*input.shape[:2], 1, 1))
    return pooled if keepdim else flatten(e, pooled, 1)


def flatten(e: Emitter, input: Ref, start_dim: int = 0, end_dim: int = -1) -> Ref:
    rank = len(input.shape)
    need(start_dim % rank == 1 and end_dim % rank == rank - 1, f"flatten of dimensions {start_dim} to {end_dim}")
    return input if rank == 2 else e.emit("flatten", [input], (input.shape[0], prod(input.shape[1:])))


def cat(e: Emitter, tensors: Sequence[Ref], dim: int = 0) -> Ref:
    operands = [e.operand(x, len(tensors[0].shape)) for x in tensors]
    shape = operands[0].shape
    need(dim % len(shape) == 1, f"cat over dimension {dim}")
    need(len({(x.shape[0], *x.shape[2:]) for x in operands}) == 1, f"cat of shapes {[x.shape for x in operands]}")
    return e.emit("concat", operands, (shape[0], sum(x.shape[1] for x in operands), *shape[2:]))


def channels(e: Emitter, input: Ref, start: int, stop: int) -> Ref:
    """The channels start .. stop - 1."""
    return e.emit("slice", [input], (input.shape[0], stop - start, *input.shape[2:]), start=start, stop=stop)


def channel_shuffle(e: Emitter, input: Ref, groups: int) -> Ref:
    need(input.shape[1] % groups == 0, f"channel_shuffle of {input.shape[1]} channels in {groups} groups")
    return e.emit("channel_shuffle", [input], input.shape, groups=groups)


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    return (size[0], size[0]) if len(size) == 1 else (size[0], size[1])


def _symmetric(padding: Any) -> tuple[int, int, int, int]:
    return _pair(padding) * 2


def _same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, int, int, int]:
    """torch's padding="same": the odd pixel goes to the bottom and the right."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation)]
    before = [t // 2 for t in total]
    return before[0], before[1], total[0] - before[0], total[1] - before[1]


def _window_positions(
    input: Ref, kernel: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> tuple[int, int]:
    """(height, width) of the output: how often the window fits."""
    height, width = (
        (input.shape[2 + i] + padding[i] + padding[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in (0, 1)
    )
    need(min(height, width) >= 1, f"the window {kernel[0]}x{kernel[1]} does not fit into shape {input.shape}")
    return height, width
