"""MODULES and CALLS: which primitive stands for a torch.nn module, for a function and for a method of a tensor."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from . import primitives as p
from .emitter import Emitter, Ref
from .unknown import need


def _conv(e: Emitter, m: nn.Conv2d, x: Ref) -> Ref:
    need(m.padding_mode == "zeros", f"padding_mode={m.padding_mode!r}")
    return p.conv2d(e, x, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)


def _norm(e: Emitter, m: nn.BatchNorm2d, x: Ref) -> Ref:
    return p.batch_norm(e, x, m.running_mean, m.running_var, m.weight, m.bias, eps=m.eps)


def _max_pool(e: Emitter, m: nn.MaxPool2d, x: Ref) -> Ref:
    return p.max_pool2d(e, x, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices)


def _avg_pool(e: Emitter, m: nn.AvgPool2d, x: Ref) -> Ref:
    return p.avg_pool2d(e, x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)


def _same(e: Emitter, m: nn.Module, x: Ref) -> Ref:
    return x


def _activation(op: str) -> Callable[[Emitter, nn.Module, Ref], Ref]:
    return lambda e, m, x: e.emit(op, [x], x.shape)


MODULES: dict[type[nn.Module], Callable[[Emitter, Any, Ref], Ref]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda e, m, x: p.linear(e, x, m.weight, m.bias),
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
    nn.SyncBatchNorm: _norm,
    nn.ReLU: _activation("relu"),
    nn.ReLU6: _activation("relu6"),
    nn.Hardswish: _activation("hardswish"),
    nn.Hardsigmoid: _activation("hardsigmoid"),
    nn.Sigmoid: _activation("sigmoid"),
    nn.SiLU: _activation("silu"),
    nn.GELU: lambda e, m, x: p.gelu(e, x, m.approximate),
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool2d: lambda e, m, x: p.adaptive_avg_pool2d(e, x, m.output_size),
    nn.Flatten: lambda e, m, x: p.flatten(e, x, m.start_dim, m.end_dim),
    nn.ChannelShuffle: lambda e, m, x: p.channel_shuffle(e, x, m.groups),
    nn.Identity: _same,
    nn.Dropout: _same,
    nn.Dropout2d: _same,
}


@dataclass(frozen=True)
class Grouped:
    """x (n, c, h, w) seen as (n, g, c / g, h, w), or with these two exchanged: halfway through a channel shuffle."""

    x: Ref
    groups: int
    exchanged: bool = False


def _reshape(e: Emitter, input: Ref | Grouped, *sizes: Any) -> Ref | Grouped:
    """The reshapes that mean a flatten, or the start or end of a channel shuffle."""
    sizes = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    whole = input.x if isinstance(input, Grouped) else input
    n, c = whole.shape[:2]
    if isinstance(input, Grouped):
        need(input.exchanged and sizes[:1] == (n,) and sizes[1:] in ((c, *whole.shape[2:]), (-1, *whole.shape[2:])), f"reshape to {sizes}")
        return p.channel_shuffle(e, whole, input.groups)
    if len(sizes) == 2 and sizes[0] in (n, -1):
        rest = p.flatten(e, whole, 1)
        need(sizes in ((n, -1), rest.shape, (-1, rest.shape[1])), f"reshape to {sizes}")
        return rest
    fits = len(sizes) == 5 and (sizes[0], *sizes[3:]) == (n, *whole.shape[2:]) and sizes[1] > 0 and sizes[2] in (-1, c // sizes[1])
    need(fits, f"reshape of {whole.shape} to {sizes}")
    return Grouped(whole, sizes[1])


def _transpose(e: Emitter, input: Ref | Grouped, dim0: int, dim1: int) -> Grouped:
    need(isinstance(input, Grouped) and {dim0, dim1} == {1, 2}, f"transpose of dimensions {dim0} and {dim1}")
    assert isinstance(input, Grouped)
    return Grouped(input.x, input.groups, not input.exchanged)


def _chunk(e: Emitter, input: Ref, chunks: int, dim: int = 0) -> list[Ref]:
    return _split(e, input, -(-input.shape[dim] // chunks), dim)


def _split(e: Emitter, input: Ref, split_size_or_sections: int | Sequence[int], dim: int = 0) -> list[Ref]:
    need(dim % len(input.shape) == 1, f"split over dimension {dim}")
    total, sizes = input.shape[1], split_size_or_sections
    if isinstance(sizes, int):
        sizes = [min(sizes, total - start) for start in range(0, total, sizes)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [p.channels(e, input, start, start + size) for start, size in zip(starts, sizes)]


def _getitem(e: Emitter, input: Any, index: Any) -> Any:
    if not isinstance(input, Ref):  # a tuple of tensors
        return input[index]
    index = index if isinstance(index, tuple) else (index,)
    whole = all(i == slice(None) or i is Ellipsis for i in (index[0], *index[2:]))
    need(len(index) > 1 and whole and isinstance(index[1], slice) and Ellipsis not in index[:1], f"indexing with {index}")
    start, stop, step = index[1].indices(input.shape[1])
    need(step == 1 and stop > start, f"indexing with {index}")
    return p.channels(e, input, start, stop)


def _getattr(e: Emitter, input: Ref, name: str) -> Any:
    known = {"shape": input.shape, "ndim": len(input.shape)}
    need(name in known, f"the attribute .{name} of a tensor")
    return known[name]


def _size(e: Emitter, input: Ref, dim: int | None = None) -> Any:
    return input.shape if dim is None else input.shape[dim]


def _rank(e: Emitter, input: Ref) -> int:
    return len(input.shape)


def _pass(e: Emitter, input: Any, *_: Any) -> Any:
    return input


def _dropout(e: Emitter, input: Ref, p: float = 0.5, training: bool = True, inplace: bool = False) -> Ref:
    return input  # lower() has set the module to evaluation


# Each row: what it becomes; then every way to write it, functions as themselves and methods by name.
_SPELLINGS: list[tuple[Callable[..., Any], list[Any]]] = [
    (p.conv2d, [F.conv2d]),
    (p.linear, [F.linear]),
    (p.batch_norm, [F.batch_norm]),
    (p.elementwise("relu"), [F.relu, torch.relu, "relu", "relu_"]),
    (p.elementwise("relu6"), [F.relu6]),
    (p.elementwise("hardswish"), [F.hardswish]),
    (p.elementwise("hardsigmoid"), [F.hardsigmoid]),
    (p.elementwise("sigmoid"), [F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_"]),
    (p.elementwise("silu"), [F.silu]),
    (p.gelu, [F.gelu]),
    (p.add, [operator.add, operator.iadd, torch.add, "add", "add_"]),
    (p.mul, [operator.mul, operator.imul, torch.mul, "mul", "mul_"]),
    (p.sub, [operator.sub, torch.sub, "sub"]),
    (p.div, [operator.truediv, torch.div, "div"]),
    (p.zeros_like, [torch.zeros_like]),
    (p.max_pool2d, [F.max_pool2d, torch.max_pool2d]),
    (p.avg_pool2d, [F.avg_pool2d]),
    (p.adaptive_avg_pool2d, [F.adaptive_avg_pool2d]),
    (p.mean, [torch.mean, "mean"]),
    (p.flatten, [torch.flatten, "flatten"]),
    (p.cat, [torch.cat, torch.concat]),
    (p.channel_shuffle, [F.channel_shuffle, torch.channel_shuffle]),
    (_reshape, [torch.reshape, "reshape", "view"]),
    (_transpose, [torch.transpose, "transpose"]),
    (_chunk, [torch.chunk, "chunk"]),
    (_split, [torch.split, "split"]),
    (_getitem, [operator.getitem]),
    (_getattr, [getattr]),
    (_size, ["size"]),
    (_rank, ["dim"]),
    (_pass, ["contiguous", "clone", "detach"]),
    (_dropout, [F.dropout, F.dropout2d]),
]
CALLS: dict[Any, Callable[..., Any]] = {spelling: handler for handler, spellings in _SPELLINGS for spelling in spellings}
