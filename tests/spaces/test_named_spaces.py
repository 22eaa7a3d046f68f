"""Every named space, made tiny: supernet, fixed network, files and costs agree for sampled architectures."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.lower import lower
from hwnas.spaces import darts, load_space, nasbench201, one_shot_cell, resnet, shufflenet, single_path, vgg16
from hwnas.spaces.nasbench201 import arch_string, from_arch_string
from hwnas.supernet import Supernet, fix, resize

sys.path.append(str(Path(__file__).parent.parent / "lower"))
from parity import assert_parity, randomised

TINY = {
    "single-path": single_path(2, 8, 3, stem=4, stem_stride=1, widths=(4, 8), depth=2, strides=(1, 2)),
    "shufflenet": shufflenet(2, 8, 3, stem=4, widths=(8, 12), depths=(2, 2)),
    "resnet": resnet(2, 8, 3, resolutions=(6, 8), stem=4, widths=((4, 6), (6, 8)), depth=2, strides=(1, 2)),
    "vgg16": vgg16(2, 10, 3, widths=(4, 6, 8), convolutions=(2, 1, 1)),
    "one-shot-cell": one_shot_cell(2, 8, 3, filters=4, cells=3, blocks=2),
    "darts": darts(2, 8, 3, width=4, cells=3, nodes=2),
    "nasbench201": nasbench201(2, 8, 3, width=4, cells=1),
}
NETS: dict[tuple[str, bool], Supernet] = {}


def supernet(name: str, share: bool) -> Supernet:
    if (name, share) not in NETS:
        torch.manual_seed(0)
        NETS[name, share] = randomised(Supernet(TINY[name], share))
    return NETS[name, share]


@pytest.mark.parametrize("share", [False, True], ids=["own", "shared"])
@pytest.mark.parametrize("name", TINY)
def test_a_path_of_the_supernet_is_the_fixed_network(name, share):
    net, space = supernet(name, share), TINY[name]

    @settings(max_examples=12, deadline=None)
    @given(st.data())
    def check(data):
        z = np.array([data.draw(st.integers(0, int(n) - 1)) for n in space.sizes])
        x = torch.rand(2, 2, *space.input_size(space.largest()), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            y, alone = net(x, path(space, z)), fix(net, z)(resize(x, space.input_size(z)))
        assert y.shape == (2, 3) and y.std() > 0
        assert (y - alone).abs().max() <= 1e-5

    check()


@pytest.mark.parametrize("name", TINY)
def test_files_compute_what_the_network_does_and_cost_what_the_space_says(name, tmp_path):
    net, space = supernet(name, False), TINY[name]
    Z = np.concatenate([space.sample(3, np.random.default_rng(1)), [space.largest()]])
    for z, macs in zip(Z, CostModel(space).cost(Z, ["macs"])[:, 0]):
        module, x = fix(net, z), torch.rand(1, 2, *space.input_size(z), generator=torch.Generator().manual_seed(2))
        assert assert_parity(module, [x], tmp_path).macs == macs == lower(module, tuple(x.shape)).macs


@pytest.mark.parametrize("name", TINY)
def test_other_architectures_compute_something_else(name):
    net, space = supernet(name, True), TINY[name]
    Z = space.sample(15, np.random.default_rng(3))
    x = torch.rand(2, 2, *space.input_size(space.largest()), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ys = dict(zip(space.keys(Z), (net(x, path(space, z)) for z in Z)))
    found = list(ys.values())
    assert len(found) > 5 and all((a - b).abs().max() > 1e-6 for i, a in enumerate(found) for b in found[:i])


def test_how_many_architectures_there_are():
    assert vgg16().architectures == 3**13 == 1_594_323 and sum(len(s.genes) for s in vgg16().slots) == 13
    assert shufflenet().architectures == 4**20
    cell = one_shot_cell()
    pairs = 7 + 7 * 6 // 2  # one or two of seven
    assert cell.architectures == np.prod([(2 ** (2 + i) - 1) * pairs for i in range(4)])
    assert resnet().architectures == (3 * 4) ** 3
    assert single_path(widths=(16,), depth=2, strides=(1,)).architectures == (2 * 3) ** 2
    assert nasbench201().architectures == 15_625


def test_single_path_shares_one_superkernel():
    space = TINY["single-path"]
    mixed = Supernet(space, share=True).mixed["s1_l1"]
    assert sum(len(list(e.parameters())) > 0 for e in mixed.elastics) == 1
    assert [b.op for b in space.blocks_of(space.smallest())].count("skip") == 3, "layers that may be left out"
    assert "0" not in [str(o) for o in space.genes[space.index["s2_l1_expand"]].options], "where the shape changes there is no skip"


def test_choice_blocks_read_up_to_all_before_them():
    space = one_shot_cell(filters=4, cells=1)
    assert [g.options for g in space.genes if g.name == "b3_inputs"] == [("c0", "c1", "b0", "b1", "b2")]
    z = space.encode({**{f"b{i}_inputs": ["c0"] for i in range(4)}, **{f"b{i}_ops": ["identity", "sep_7x7"] for i in range(4)}})
    ops = [b.op for b in space.blocks_of(z)]
    assert ops.count("conv") == 4 and ops.count("separable") == 4 and ops.count("skip") == 4 and ops.count("concat") == 1


def test_darts_cells_of_a_kind_share_their_genes():
    space = darts(cells=6)
    edges = [g for g in space.genes if not g.name.endswith("inputs")]
    assert len(edges) == 2 * (2 + 3 + 4 + 5) and all(len(g.options) == 8 for g in edges)
    used = [sum(g in s.genes for s in space.slots) for g in edges]
    assert set(used) == {4, 2}, "4 normal cells, 2 reduction cells"


ARCH = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"


def test_nasbench201_strings_both_ways():
    space = TINY["nasbench201"]
    choices = from_arch_string(ARCH)
    assert choices["0_to_2"] == "nor_conv_1x1" and choices["2_to_3"] == "none" and arch_string(choices) == ARCH
    for z in space.sample(50, np.random.default_rng(0)):
        assert (space.encode(from_arch_string(arch_string(space.decode(z)))) == z).all()


@pytest.mark.parametrize(
    "text",
    ["", "|none~0|", ARCH.replace("~2", "~1"), ARCH.replace("none", "nothing"), ARCH[1:], ARCH.replace("|+|", "|", 1), ARCH + "+|none~0|"],
)
def test_strings_that_are_none(text):
    with pytest.raises(HwnasError, match="expected \\|op~0\\|"):
        from_arch_string(text)


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("shufflenet(widths=(8, 8), depths=(1, 1))", "must be even and grow"),
        ("resnet(strides=(1,))", "3 widths and 1 strides"),
        ("single-path(expands=(0, 3))", "0 \\(no layer\\) is added"),
        ("single-path(depth=2, widths=(3,))", "1 widths and 3 strides"),
        ("vgg16(widths=(8,))", "vgg16\\(widths=\\(8,\\)\\)"),
        ("one-shot-cell(max_ops=9)", "cannot choose 1 to 9"),
        ("vgg61", "did you mean 'vgg16'"),
    ],
)
def test_sizes_that_make_no_sense(spec, reason):
    with pytest.raises(HwnasError, match=reason):
        load_space(spec)
