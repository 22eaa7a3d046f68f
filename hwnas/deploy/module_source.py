"""module_source(program): a network as plain torch code, one class that anyone can read, run and train on without hwnas."""

from __future__ import annotations

from typing import Any

from ..lower import Node, Program

_HEAD = '''"""{title}

Plain torch: needs torch and safetensors, nothing else. BatchNorm is folded into the convolutions before it.

    python model.py                     # runs it once on random input
    model = load("{weights}")  # or: from model import load
    y = model(x)                        # x {shape} float32, {range}
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

'''
_TAIL = '''

def load(path=Path(__file__).with_name("{weights}")):
    """The network with its weights, in evaluation mode."""
    model = Model()
    model.load_state_dict(load_file(path))
    return model.eval()


if __name__ == "__main__":
    x = torch.rand({shape})
    with torch.inference_mode():
        print(load()(x))
'''
_SCALE_SHIFT = '''
class ScaleShift(nn.Module):
    """A BatchNorm that no convolution could take in: x * scale + shift, by channel."""

    def __init__(self, channels):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        shape = (1, -1) + (1,) * (x.dim() - 2)
        return x * self.scale.reshape(shape) + self.shift.reshape(shape)

'''
_CONSTANT = '''
class Constant(nn.Module):
    """A tensor that is part of the network."""

    def __init__(self, *shape):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(shape), requires_grad=False)

    def forward(self):
        return self.value

'''
_FUNCTIONS = {
    "relu": "F.relu({0})",
    "relu6": "F.relu6({0})",
    "hardswish": "F.hardswish({0})",
    "hardsigmoid": "F.hardsigmoid({0})",
    "sigmoid": "torch.sigmoid({0})",
    "silu": "F.silu({0})",
    "gelu": "F.gelu({0})",
    "add": "{0} + {1}",
    "mul": "{0} * {1}",
    "global_avg_pool": "F.adaptive_avg_pool2d({0}, 1)",
    "flatten": "{0}.flatten(1)",
    "identity": "{0}",
}


def module_source(program: Program, title: str, weights: str = "model.safetensors", value_range: str = "0..1") -> str:
    """The text of a model.py whose class `Model` computes the program, and whose weights are those that `write_torch` puts in a file.

    A value that only the next line reads is called x; others keep the program's name, which is also that of a layer's weights.
    """
    layers = {node.output: text for node in program.nodes if (text := _layer(node))}
    lines = ["class Model(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        self.{name} = {text}" for name, text in layers.items()]
    lines += ["", f"    def forward(self, {', '.join(program.inputs)}):"]
    names = _variables(program)
    for node in program.nodes:
        read = [names[name] for name in node.inputs]
        lines.append(f"        {names[node.output]} = {_expression(node, read)}  # {program.shapes[node.output]}")
    lines.append(f"        return {', '.join(names[name] for name in program.outputs)}")
    ops = {node.op for node in program.nodes}
    parts = (_SCALE_SHIFT if "scale_shift" in ops else "") + (_CONSTANT if "constant" in ops else "")
    shape = program.shapes[program.inputs[0]]
    head = _HEAD.format(title=title, weights=weights, shape=shape, range=value_range)
    return head + parts + "\n" + "\n".join(lines) + "\n" + _TAIL.format(weights=weights, shape=shape)


def _variables(program: Program) -> dict[str, str]:
    """Tensor -> its name in the code: x where the next node alone reads it."""
    readers: dict[str, list[int]] = {}
    for i, node in enumerate(program.nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(i)
    names = {name: name for name in program.inputs}
    for i, node in enumerate(program.nodes):
        passing = set(readers.get(node.output, ())) == {i + 1} and node.output not in program.outputs
        names[node.output] = "x" if passing else node.output
    return names


def _layer(node: Node) -> str | None:
    """The module that holds the node's weights, or None where it has none."""
    a, weight = node.attrs, node.weights.get("weight")
    bias = {} if "bias" in node.weights else {"bias": False}
    if node.op == "conv2d":
        assert weight is not None
        (top, left, bottom, right), groups = a["padding"], a["groups"]
        padding = (top, left) if (top, left) == (bottom, right) else (0, 0)
        options = {"stride": a["stride"], "padding": padding, "dilation": a["dilation"], "groups": groups}
        plain = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        given = {name: _short(value) for name, value in options.items() if value != plain[name]} | bias
        return f"nn.Conv2d({_call(weight.shape[1] * groups, weight.shape[0], _short(tuple(weight.shape[2:])), **given)})"
    if node.op == "linear":
        assert weight is not None
        return f"nn.Linear({_call(weight.shape[1], weight.shape[0], **bias)})"
    if node.op == "scale_shift":
        return f"ScaleShift({node.weights['scale'].numel()})"
    if node.op == "constant":
        return f"Constant({', '.join(map(str, node.weights['value'].shape))})"
    return None


def _expression(node: Node, read: list[str]) -> str:
    a = node.attrs
    if node.op == "conv2d":
        top, left, bottom, right = a["padding"]
        x = read[0] if (top, left) == (bottom, right) else f"F.pad({read[0]}, ({left}, {right}, {top}, {bottom}))"
        return f"self.{node.output}({x})"
    if node.op in ("linear", "scale_shift", "constant"):
        return f"self.{node.output}({', '.join(read)})"
    if node.op in ("max_pool", "avg_pool"):
        where = f"{read[0]}, {_short(a['kernel'])}, {_short(a['stride'])}, {_short(a['padding'][:2])}"
        counted = "" if node.op == "max_pool" else f", count_include_pad={a['count_padding']}"
        return f"F.{node.op}2d({where}{counted})"
    if node.op == "concat":
        return f"torch.cat([{', '.join(read)}], 1)"
    if node.op == "slice":
        return f"{read[0]}[:, {a['start']}:{a['stop']}]"
    if node.op == "channel_shuffle":
        return f"F.channel_shuffle({read[0]}, {a['groups']})"
    return _FUNCTIONS[node.op].format(*read)


def _short(pair: tuple[int, ...]) -> Any:
    return pair[0] if isinstance(pair, tuple) and len(set(pair)) == 1 else pair


def _call(*positional: Any, **named: Any) -> str:
    return ", ".join([*map(str, positional), *(f"{name}={value}" for name, value in named.items())])
