"""MorphNet: cost against FLOPs counted by hand, the regulariser's gradient, tied channels, expansion to the budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import constraint, made_up
from small import small_data, small_net
from stepping import drive, make_run

from hwnas.cost import CostModel
from hwnas.errors import HwnasError
from hwnas.spaces import mobilenet, nasbench201
from hwnas.train import Recipe, train
from hwnas.train.morphnet import MorphNet, alive, channels, cost_of, dead, deciding, expand, morphnet, regulariser, within_share

DATA = small_data()


def narrow_space(squeezes: tuple[int, ...] = (0,)):  # type: ignore[no-untyped-def]
    return mobilenet(
        size=8,
        classes=4,
        resolutions=(8,),
        stem=6,
        stem_stride=1,
        widths=((4, 6, 8), (6, 10, 12)),
        depth=2,
        strides=(1, 2),
        kernels=(3,),
        expands=(2, 3),
        squeezes=squeezes,
        acts=("relu",),
        head_expand=1,
    )


SPACE = narrow_space()


def test_cost_by_hand_and_against_the_lowered_program() -> None:
    """Stage 1 of the largest: 8 channels, 24 hidden, 8 x 8 pixels; stage 2: 12, 36, 4 x 4 after its first depthwise."""
    net, z = small_net(SPACE), SPACE.largest()
    groups, layers = channels(net, z, CostModel(SPACE), "macs")
    whole = {k: float(tied[0][1]) for k, tied in groups.items()}
    stem = 64 * 9 * 1 * 6
    s1l1 = 64 * (6 * 18 + 9 * 18 + 18 * 8)
    s1l2 = 64 * (8 * 24 + 9 * 24 + 24 * 8)
    s2l1 = 64 * 8 * 24 + 16 * (9 * 24 + 24 * 12)
    s2l2 = 16 * (12 * 36 + 9 * 36 + 36 * 12)
    assert cost_of(layers, whole) == stem + s1l1 + s1l2 + s2l1 + s2l2 + 12 * 4
    assert cost_of(layers, whole) == CostModel(SPACE).cost(z[None], ["macs"])[0, 0]


@pytest.mark.parametrize("squeezes", [(0,), (0, 4)])
def test_live_cost_is_that_of_the_smaller_network(squeezes: tuple[int, ...]) -> None:
    """Channels beyond those of a smaller code are killed: then F is that code's own cost, where hidden sizes fit."""
    space = narrow_space(squeezes)
    net, z = small_net(space), space.largest()
    small = space.encode({**space.decode(z), "s1_width": 6})
    groups, layers = channels(net, z, CostModel(space), "macs")
    live = alive(groups, 0.01)
    assert live == {k: float(tied[0][1]) for k, tied in groups.items()}
    own, _ = channels(net, small, CostModel(space), "macs")
    live |= {k: float(tied[0][1]) for k, tied in own.items()}
    squeezed = 0.0 if squeezes == (0,) else sum(2 * (24 - 18) * max(18 // 4, 4) for _ in range(1))
    assert cost_of(layers, live) == pytest.approx(CostModel(space).cost(small[None], ["macs"])[0, 0], rel=0.02 if squeezed else 1e-9)


def test_the_regulariser_by_hand() -> None:
    """One layer of 2 to 3 channels, C = 5: gamma_in (.5, 0), gamma_out (1, -2, .001): 5 (0.5 * 2 + 1 * 3.001) = 20.005."""
    a, b = torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        a.weight.copy_(torch.tensor([0.5, 0.0]))
        b.weight.copy_(torch.tensor([1.0, -2.0, 0.001]))
    groups = {"in": [(a, 2)], "out": [(b, 3)]}
    from hwnas.train.morphnet import Layer

    layers = [Layer("in", "out", 5.0), Layer("out", "", 7.0)]
    price = regulariser(groups, layers, 0.01)
    assert price.item() == pytest.approx(20.005 + 7 * 3.001)
    price.backward()
    assert a.weight.grad.tolist() == pytest.approx([5 * 2, 0.0])  # type: ignore[union-attr]
    assert b.weight.grad.tolist() == pytest.approx([5 + 7, -5 - 7, 5 + 7])  # type: ignore[union-attr]
    assert alive(groups, 0.01) == {"in": 1.0, "out": 2.0} and cost_of(layers, alive(groups, 0.01)) == 5 * 1 * 2 + 7 * 2


def test_residual_layers_are_tied() -> None:
    """A channel of a stage lives as long as one of the stage's layers scales it."""
    net, z = small_net(SPACE), SPACE.largest()
    groups, _ = channels(net, z, CostModel(SPACE), "macs")
    assert len(groups["s1_width"]) == 2 and len(groups["s1_l2 hidden"]) == 2
    first, second = (m for m, _ in groups["s1_width"])
    with torch.no_grad():
        first.weight[:3] = 0
        second.weight[2:5] = 0
    assert alive(groups, 0.01)["s1_width"] == 7  # only channel 2 is dead in both
    one_width = mobilenet(size=8, classes=4, resolutions=(8,), stem=8, stem_stride=1, widths=((8,),), strides=(1,), depth=2, head_expand=1)
    tied, _ = channels(small_net(one_width), one_width.largest(), CostModel(one_width), "macs")
    assert len(tied["stem"]) == 3 and "s1_width" not in tied  # stem and both layers are summed


def test_expansion_is_the_largest_uniform_factor_within_the_budget() -> None:
    z, keeps = SPACE.largest(), within_share(SPACE, 0.7)
    live = {
        "stem": 6.0,
        "s1_width": 2.0,
        "s2_width": 6.0,
        "s1_l1 hidden": 9.0,
        "s1_l2 hidden": 4.0,
        "s2_l1 hidden": 9.0,
        "s2_l2 hidden": 15.0,
    }
    found = expand(SPACE, z, live, set(), keeps)
    assert keeps(found[None])[0]
    choices = SPACE.decode(found)
    assert choices["s1_width"] < choices["s2_width"] == 12  # 2 : 6 before
    ratio = np.array([SPACE.decode(expand(SPACE, z, live, set(), within_share(SPACE, s)))["s2_width"] for s in (0.2, 0.4, 0.7)])
    assert (np.diff(ratio) >= 0).all()
    shorter = SPACE.decode(expand(SPACE, z, live, {"s1_l2"}, keeps))
    assert shorter["s1_depth"] == 1 and shorter["s2_depth"] == 2
    assert deciding(SPACE.slots[2], "expand").name == "s1_l2_expand"  # type: ignore[union-attr]


def test_latency_coefficients_add_up_to_the_table() -> None:
    net, z, model = small_net(SPACE), SPACE.largest(), made_up(SPACE)
    groups, layers = channels(net, z, model, "latency_ms")
    whole = {k: float(tied[0][1]) for k, tied in groups.items()}
    assert cost_of(layers, whole) == pytest.approx(model.cost(z[None], ["latency_ms"])[0, 0])


def test_the_strong_regulariser_kills_channels_and_the_result_keeps_the_budget(tmp_path: Path) -> None:
    c, options = constraint(SPACE, "latency=70%"), {"strength": 6.0, "cycles": 1}
    result = train(
        morphnet, small_net(SPACE), SPACE, DATA, Recipe(epochs=10, batch=32, shift_px=0), tmp_path, options=options, constraint=c
    )
    assert result.derived is not None and not result.derived.repaired and c.keeps(result.derived.z[None])[0]
    live = [r["latency_ms_live"] for r in result.history]
    assert live[0] > 0.95 and 0.01 < live[-1] < 0.95
    assert max(r["accuracy"] for r in result.history) > 0.4  # chance is 0.25


def test_cycles_start_afresh_from_the_last_ones_architecture() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=16, warmup=0.0), DATA, 8, 4)
    step = morphnet(run, MorphNet(cycles=2, share=0.5, strength=0.0))
    drive(run, step, DATA, 4)
    first = run.kept["found"]["z"].numpy()  # type: ignore[index]
    assert within_share(SPACE, 0.5)(first[None])[0] and not (first == SPACE.largest()).all()
    rates = []
    for number in (4, 5):
        drive(run, step, DATA, 1, number)
        rates.append(run.optimizer.param_groups[0]["lr"])
    assert rates[0] == 0.1 and run.visits[:, :].sum(1).max() == 6
    assert dead(run.net, SPACE.largest(), 1e9) == {"s1_l1", "s1_l2", "s2_l1", "s2_l2"}  # type: ignore[arg-type]


def test_other_spaces_are_refused() -> None:
    space = nasbench201(1, 8, 4, width=4, cells=1)
    with pytest.raises(HwnasError, match="morphnet: knows the channels of stem, mbconv and head, not of avg_pool"):
        morphnet(make_run(small_net(space), Recipe(), DATA), MorphNet())
