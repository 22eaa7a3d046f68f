"""hwnas/spaces: the named spaces, and how they are named."""

import numpy as np
import pytest
import torch

from hwnas.block import Block
from hwnas.errors import HwnasError
from hwnas.ops import OPS, build
from hwnas.spaces import darts, load_space, mobilenet, nasbench201, one_shot_cell, quickstart, resnet, shufflenet, single_path, vgg16
from hwnas.supernet import network


@pytest.mark.parametrize(
    "space, channels, size",
    [
        (mobilenet(), 1, 28),
        (mobilenet(3, 64, 20, stem_stride=2, widths=((16, 24), (32,), (48, 64)), strides=(2, 2, 1)), 3, 64),
        (quickstart(), 1, 16),  # at most
        (nasbench201(width=4, cells=1), 3, 32),
        (darts(size=16, width=4, cells=3), 3, 16),
        (single_path(), 1, 28),
        (shufflenet(3, 224, 1000, stem_stride=2), 3, 224),
        (resnet(resolutions=(24, 28, 32)), 3, 32),
        (vgg16(1, 28), 1, 28),
        (one_shot_cell(cells=3), 3, 32),
    ],
    ids=["mobilenet", "64px", "quickstart", "nasbench201", "darts", "single-path", "shufflenet", "resnet", "vgg16", "one-shot-cell"],
)
def test_architectures_run_and_every_block_takes_what_the_one_before_gives(space, channels, size):
    Z = np.concatenate([space.sample(2, np.random.default_rng(0)), [space.largest()]])
    for z in Z:
        height = space.input_size(z)[0]
        assert height <= size
        with torch.device("meta"):
            net = network(space, z).eval()
        assert net(torch.rand(2, channels, height, height, device="meta")).shape == (2, space.slots[-1].blocks[0].cout)


def test_blocks_give_the_shapes_they_promise():
    blocks = [
        b
        for s in (quickstart(), nasbench201(size=9), darts(size=9, cells=3), shufflenet(), resnet(), vgg16(), one_shot_cell())
        for b in s.blocks
    ]
    for b in {(b.op, b.stride, b.kernel, b.residual): b for b in blocks}.values():
        with torch.device("meta"):
            y = build(b).eval()(*[torch.rand(2, b.cin, b.height, b.width, device="meta")] * b.inputs)
        assert y.shape == ((2, b.cout) if b.op == "head" else (2, b.cout, *b.out_size)), b
    assert {b.op for b in blocks} <= set(OPS)


def test_unknown_operators_and_activations():
    with pytest.raises(HwnasError, match="unknown op 'mbconvv': did you mean 'mbconv'"):
        build(Block("mbconvv", 1, 1, 4, 4))
    with pytest.raises(HwnasError, match="unknown act 'rellu': did you mean 'relu'"):
        build(Block("conv", 1, 1, 4, 4, act="rellu"))


def test_quickstart_is_as_large_as_promised():
    space = quickstart()
    assert space.architectures >= 10**6 and len(space.blocks) >= 60 and space.input_size(space.largest()) > (8, 8)


def test_sizes_of_the_default_space():
    """2 widths x 2 activations a stage, depths 1 to 4, (3 kernels x 4 expansions x 2) for each layer that runs, 3 resolutions."""
    layers = sum(24**d for d in (1, 2, 3, 4))
    assert mobilenet().architectures == 3 * (2 * 2 * layers) ** 3
    assert [o for o in mobilenet(size=224).genes[0].options] == [160, 192, 224]


def test_nasbench201_has_the_names_of_the_benchmark():
    space = nasbench201()
    assert [g.name for g in space.genes] == ["0_to_1", "0_to_2", "1_to_2", "0_to_3", "1_to_3", "2_to_3"]
    assert space.genes[0].options == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    z = space.encode(dict.fromkeys(space.index, "nor_conv_3x3"))
    ops = [b.op for b in space.blocks_of(z)]
    assert ops.count("relu_conv") == 6 * 15 and ops.count("add") == 2 * 15 and ops.count("conv") == 2


def test_darts_picks_two_inputs_for_each_node():
    space = darts(width=4, cells=3)
    for z in space.sample(20, np.random.default_rng(0)):
        choices = space.decode(z)
        assert all(len(v) == 2 for k, v in choices.items() if k.endswith("_inputs"))
    z = space.encode({**space.decode(space.smallest()), **{g.name: "sep_conv_3x3" for g in space.genes if len(g.options) == 8}})
    assert sum(b.op == "separable" for b in space.blocks_of(z)) == 3 * 4 * 2
    assert (
        sum(b.stride == 2 and b.op == "separable" for b in space.blocks_of(z)) == 2 * 4 * 2
    )  # all nodes read both inputs: two reduction cells


def test_a_space_comes_back_from_its_spec(tmp_path):
    data = {"channels": 3, "size": 32, "classes": 7}
    for spec in ("quickstart", "mobilenet(depth=2, widths=[[8],[16]], strides=(1, 2))", "darts(cells=3)", "mobilenet(size=20)"):
        space = load_space(spec, data)
        assert load_space(space.spec).hash == space.hash != load_space(spec, {**data, "classes": 8}).hash
    assert load_space("mobilenet(size=20)", data).input_size(load_space("mobilenet(size=20)").largest()) == (20, 20)
    file = tmp_path / "mine.py"
    file.write_text(
        "from hwnas.spaces import mobilenet\ndef tiny(classes=2, depth=1):\n    return mobilenet(classes=classes, depth=depth)\n"
    )
    assert load_space(f"{file}:tiny(depth=2)", data).hash == mobilenet(classes=7, depth=2).hash
    assert load_space(f"{file}:tiny").hash == mobilenet(classes=2, depth=1).hash


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("mobilnet", "did you mean 'mobilenet'"),
        ("mobilenet(size=", "expected name\\(key=value"),
        ("mobilenet(8)", "expected name\\(key=value"),
        ("mobilenet(size=open('x'))", "expected name\\(key=value"),
        ("mobilenet(siz=8)", "unknown argument 'siz': it takes channels, size"),
        ("mobilenet(**{'size': 8})", "unknown argument"),
        ("mobilenet(size=8, size=9)", "expected name\\(key=value"),
        ("mobilenet(size='big')", "mobilenet\\(size='big'\\)"),
        ("mobilenet(strides=(1, 2))", "3 widths and 2 strides"),
        ("mobilenet(depth=0)", "gene 's1_depth'"),
        ("mobilenet(kernels=(3, 3))", "distinct"),
    ],
)
def test_a_spec_that_is_none(spec, reason):
    with pytest.raises(HwnasError, match=reason):
        load_space(spec)


def test_a_function_that_gives_no_space(tmp_path):
    (tmp_path / "mine.py").write_text("def tiny():\n    return 3\n")
    with pytest.raises(HwnasError, match="gives a int, not a hwnas Space"):
        load_space(f"{tmp_path}/mine.py:tiny")
