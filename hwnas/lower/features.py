"""features(program): sums per kind of primitive, the same names for every program, for a latency predictor.

A node's time is close to linear in its multiply-accumulates and in the bytes it moves, with factors that depend on its kind
and the device. So non-negative least squares fits a device with one factor per feature; what is left goes to a Gaussian process
on the same features. Depthwise convolutions are split by kernel and stride, because runtimes have a kernel of their own for some
of these shapes and not for others.
"""

from __future__ import annotations

from .program import Node, Program

_DEPTHWISE = tuple(f"depthwise_k{kernel}_s{stride}" for kernel in (3, 5, 7) for stride in (1, 2))

COMPUTE_KINDS = (
    "conv_1x1",
    "conv_kxk",  # dense with a larger or oblong kernel
    "conv_grouped",
    *_DEPTHWISE,
    "depthwise_other",  # other kernels, strides and all dilated ones
    "linear",
)
MEMORY_KINDS = (
    "scale",  # a BatchNorm on its own
    "relu",  # and ReLU6: most runtimes fuse them into the node before
    "curve",  # hard-swish, sigmoid and the like
    "arithmetic",  # add, mul
    "rearrange",  # concat, slice, channel_shuffle
    "pool",
    "global_pool",
)
_KIND_OF = {
    "linear": "linear",
    "scale_shift": "scale",
    **dict.fromkeys(("relu", "relu6"), "relu"),
    **dict.fromkeys(("hardswish", "hardsigmoid", "sigmoid", "silu", "gelu"), "curve"),
    **dict.fromkeys(("add", "mul"), "arithmetic"),
    **dict.fromkeys(("concat", "slice", "channel_shuffle"), "rearrange"),
    **dict.fromkeys(("max_pool", "avg_pool"), "pool"),
    "global_avg_pool": "global_pool",
}  # flatten, constant and identity cost nothing and have no kind

FEATURES = (
    *(f"macs_{kind}" for kind in COMPUTE_KINDS),
    *(f"bytes_{kind}" for kind in (*COMPUTE_KINDS, *MEMORY_KINDS)),  # read and written: inputs, weights, output
    *(f"nodes_{kind}" for kind in (*COMPUTE_KINDS, *MEMORY_KINDS)),
)


def features(program: Program) -> dict[str, float]:
    """Name -> sum over the program's nodes, for every name in FEATURES, zero where there is none."""
    sums = dict.fromkeys(FEATURES, 0.0)
    for node in program.nodes:
        kind = kind_of(node)
        if kind is None:
            continue
        if kind in COMPUTE_KINDS:
            sums[f"macs_{kind}"] += program.node_macs(node)
        sums[f"bytes_{kind}"] += program.node_bytes(node)
        sums[f"nodes_{kind}"] += 1
    return sums


def kind_of(node: Node) -> str | None:
    """One of COMPUTE_KINDS or MEMORY_KINDS; None for a node that costs nothing."""
    if node.op != "conv2d":
        return _KIND_OF.get(node.op)
    cout, cin_per_group, height, width = node.weights["weight"].shape
    groups, (stride, stride_x) = node.attrs["groups"], node.attrs["stride"]
    if groups == 1:
        return "conv_1x1" if (height, width) == (1, 1) else "conv_kxk"
    if cin_per_group > 1:
        return "conv_grouped"
    name = f"depthwise_k{height}_s{stride}"
    usual = name in _DEPTHWISE and height == width and stride == stride_x and node.attrs["dilation"] == (1, 1)
    return name if usual else "depthwise_other"
