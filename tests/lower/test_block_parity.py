"""Every operator of hwnas.ops, at sizes that hypothesis picks: all files compute what the module computes."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_close, assert_parity, random_inputs, randomised, run_onnx

from hwnas.block import Block
from hwnas.lower import lower, write_onnx
from hwnas.ops import OPS, build

torch.set_num_threads(1)
JOINS = ("add", "concat")
ONE_SIZE = ("head", "skip", "residual", *JOINS)
SHUFFLES = ("shuffle", "xception")


@st.composite
def blocks(draw, op):
    """A block of the operator: oblong and odd sizes, strides, kernels, expansions, activations."""
    size = st.integers(4, 17)
    stride = 1 if op in ONE_SIZE else draw(st.sampled_from([1, 2]))
    cin = draw(st.sampled_from([1, 3] if op == "stem" else [3, 8, 12]))
    cout = cin if op in ("add", "max_pool", "avg_pool", "residual") else draw(st.sampled_from([cin, 10]))
    if op in SHUFFLES:
        cin = draw(st.sampled_from([4, 8]))
        cout = cin if stride == 1 else draw(st.sampled_from([cin + 2, 2 * cin]))
    return Block(
        op,
        cin,
        cout,
        draw(size),
        draw(size),
        stride,
        kernel=draw(st.sampled_from([1, 3, 5, 7] if op in ("stem", "conv", "mbconv", "conv_pair") else [3, 5])),
        expand=draw(st.sampled_from([1, 3, 6])) if op in ("mbconv", "head") else 1,
        se=draw(st.sampled_from([0, 4])) if op == "mbconv" else 0,
        inputs=draw(st.integers(1, 4)) if op in JOINS else 1,
        act=draw(st.sampled_from(["", "relu", "relu6", "hswish"])) if op in ("stem", "conv", "mbconv", "head") else "",
    )


def module_and_inputs(block, seed, batch=1):
    torch.manual_seed(seed)
    return randomised(build(block), seed), random_inputs(*[(batch, block.cin, block.height, block.width)] * block.inputs, seed=seed)


@pytest.mark.parametrize("op", OPS)
def test_every_file_computes_what_the_module_computes(op, tmp_path_factory):
    folder = tmp_path_factory.mktemp(op)

    @settings(max_examples=15, deadline=None)
    @given(blocks(op), st.integers(0, 1000), st.sampled_from([1, 2]))
    def check(block, seed, batch):
        assert_parity(*module_and_inputs(block, seed, batch), folder)

    check()


@pytest.mark.parametrize("op", [op for op in OPS if op not in JOINS])
def test_our_onnx_file_agrees_with_torchs_exporter(op, tmp_path):
    @settings(max_examples=5, deadline=None)
    @given(blocks(op), st.integers(0, 1000))
    def check(block, seed):
        module, xs = module_and_inputs(block, seed)
        path = tmp_path / "oracle.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, tuple(xs), str(path), opset_version=17, dynamo=False)
        assert_close(run_onnx(write_onnx(lower(module, *(x.shape for x in xs))), xs), run_onnx(path.read_bytes(), xs))

    check()
