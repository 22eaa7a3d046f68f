"""Runner: a program as a torch module, one torch function per node and next to nothing around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .program import Node, Program

Call = Callable[..., Tensor]
Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


class Runner(nn.Module):
    """Runs the program on tensors of any batch size; to be called without gradients.

    The nodes are bound to their weights once: a call goes through a list of (function, slots it reads, slot it writes, slots that
    nobody reads any more), so tensors are freed as early as in a plain module. Weights are buffers, so that `.to(device)` moves them.
    channels_last is set by `to`, not by `contiguous`, which leaves the strides of a grey image alone, since the bytes are the same: torch's
    convolutions choose their layout by the strides, and all that follow do as the first.
    """

    def __init__(self, program: Program, channels_last: bool = False):
        super().__init__()
        self.program, self.channels_last = program, channels_last
        for i, node in enumerate(program.nodes):
            for name, value in node.weights.items():
                fits = channels_last and value.dim() == 4
                self.register_buffer(f"{name}_{i}", value.to(memory_format=torch.channels_last) if fits else value)
        self._bind()

    def forward(self, *inputs: Tensor) -> Any:
        values: list[Any] = [None] * self._slots
        values[: len(inputs)] = [x.to(memory_format=torch.channels_last) for x in inputs] if self.channels_last else inputs
        for call, reads, write, frees in self._steps:
            values[write] = call(*[values[i] for i in reads])
            for i in frees:
                values[i] = None
        outputs = [values[i] for i in self._outputs]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _apply(self, fn: Any, recurse: bool = True) -> Runner:
        super()._apply(fn, recurse)  # `.to(device)` and the like replace the buffers
        self._bind()
        return self

    def _bind(self) -> None:
        program = self.program
        slot = {name: i for i, name in enumerate((*program.inputs, *(node.output for node in program.nodes)))}
        last = {name: i for i, node in enumerate(program.nodes) for name in node.inputs}
        self._steps = []
        for i, node in enumerate(program.nodes):
            frees = {slot[name] for name in node.inputs if last[name] == i and name not in program.outputs}
            weights = {name: getattr(self, f"{name}_{i}") for name in node.weights}
            self._steps.append((_call(node, weights), [slot[name] for name in node.inputs], slot[node.output], tuple(frees)))
        self._slots, self._outputs = len(slot), [slot[name] for name in program.outputs]


def _call(node: Node, weights: dict[str, Tensor]) -> Call:
    """The torch function of a node with its weights and attributes bound."""
    if node.op in _ACTIVATIONS:
        return _ACTIVATIONS[node.op]
    if node.op not in _BINDERS:
        raise ValueError(f"no primitive is called {node.op!r}")
    return _BINDERS[node.op](**weights, **node.attrs)


def _conv2d(weight: Tensor, stride: Pair, padding: Padding, dilation: Pair, groups: int, bias: Tensor | None = None) -> Call:
    top, left, bottom, right = padding
    if (top, left) == (bottom, right):
        return lambda x: torch.conv2d(x, weight, bias, stride, (top, left), dilation, groups)
    return lambda x: torch.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, dilation, groups)


def _linear(weight: Tensor, bias: Tensor | None = None) -> Call:
    return lambda x: F.linear(x, weight, bias)


def _scale_shift(scale: Tensor, shift: Tensor) -> Call:
    """One pass: batch_norm with mean 0 and variance 1."""
    mean, variance = torch.zeros_like(scale), torch.ones_like(scale)
    return lambda x: torch.batch_norm(x, scale, shift, mean, variance, False, 0.0, 0.0, False)


def _max_pool(kernel: Pair, stride: Pair, padding: Padding) -> Call:
    return lambda x: torch.max_pool2d(x, kernel, stride, padding[:2])


def _avg_pool(kernel: Pair, stride: Pair, padding: Padding, count_padding: bool) -> Call:
    return lambda x: F.avg_pool2d(x, kernel, stride, padding[:2], False, count_padding)


def _slice(start: int, stop: int) -> Call:
    return lambda x: x[:, start:stop]


def _channel_shuffle(groups: int) -> Call:
    return lambda x: torch.channel_shuffle(x, groups)


def _constant(value: Tensor) -> Call:
    return lambda: value


_ACTIVATIONS: dict[str, Call] = {
    "relu": torch.relu,
    "relu6": F.relu6,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
}
_BINDERS: dict[str, Callable[..., Call]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "scale_shift": _scale_shift,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "slice": _slice,
    "channel_shuffle": _channel_shuffle,
    "constant": _constant,
    "add": lambda: torch.add,
    "mul": lambda: torch.mul,
    "concat": lambda: lambda *xs: torch.cat(xs, 1),
    "global_avg_pool": lambda: lambda x: F.adaptive_avg_pool2d(x, 1),
    "flatten": lambda: lambda x: x.flatten(1),
    "identity": lambda: lambda x: x,
}
