"""Device side: needs Python 3.9 and numpy, nothing else, and travels to a board as this one file."""

from __future__ import annotations

import json

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

API = 1


def facts(options):
    return {"name": "numpy", "version": np.__version__}


class Session:
    def __init__(self, path, options):
        with np.load(path, allow_pickle=False) as file:
            self.program = json.loads(file["program"].tobytes())
            weights = {name: file[name] for name in file.files if name != "program"}
        self.shapes = [tuple(self.program["shapes"][name]) for name in self.program["inputs"]]
        self.steps = [
            (OPS[op], inputs, output, {**attrs, **{name: weights[output + "." + name] for name in names}})
            for op, inputs, output, attrs, names in self.program["nodes"]
        ]

    def put(self, xs):
        self.xs = xs

    def run(self):
        values = dict(zip(self.program["inputs"], self.xs))
        for op, inputs, output, attrs in self.steps:
            values[output] = op(*[values[name] for name in inputs], **attrs)
        self.y = values[self.program["outputs"][0]]

    def get(self):
        return np.ascontiguousarray(self.y, dtype=np.float32)

    def close(self):
        del self.steps


def windows(x, kernel, stride, padding, dilation=(1, 1), fill=0.0):
    """(n, c, h, w) -> (n, c, h', w', kh, kw)."""
    top, left, bottom, right = padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    return sliding_window_view(x, span, (2, 3))[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def conv2d(x, weight, stride, padding, dilation, groups, bias=None):
    o, i, kh, kw = weight.shape
    w = windows(x, (kh, kw), stride, padding, dilation)
    n, _, height, width = w.shape[:4]
    w = w.reshape(n, groups, i, height, width, kh, kw)
    y = np.einsum("ngihwyx,goiyx->ngohw", w, weight.reshape(groups, o // groups, i, kh, kw), optimize=True)
    y = y.reshape(n, o, height, width)
    return y if bias is None else y + bias[:, None, None]


def linear(x, weight, bias=0.0):
    return x @ weight.T + bias


def avg_pool(x, kernel, stride, padding, count_padding):
    total = windows(x, kernel, stride, padding).sum((4, 5))
    if count_padding:
        return total / (kernel[0] * kernel[1])
    return total / windows(np.ones_like(x), kernel, stride, padding).sum((4, 5))


def channel_shuffle(x, groups):
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).swapaxes(1, 2).reshape(n, c, h, w)


def hardsigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


OPS = {
    "conv2d": conv2d,
    "linear": linear,
    "scale_shift": lambda x, scale, shift: x * scale[:, None, None] + shift[:, None, None],
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardswish": lambda x: x * hardsigmoid(x),
    "hardsigmoid": hardsigmoid,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y,
    "concat": lambda *xs: np.concatenate(xs, 1),
    "slice": lambda x, start, stop: x[:, start:stop],
    "channel_shuffle": channel_shuffle,
    "max_pool": lambda x, kernel, stride, padding: windows(x, kernel, stride, padding, fill=-np.inf).max((4, 5)),
    "avg_pool": avg_pool,
    "global_avg_pool": lambda x: x.mean((2, 3), keepdims=True),
    "flatten": lambda x: x.reshape(len(x), -1),
    "constant": lambda value: value,
    "identity": lambda x: x,
}
