"""Progressive shrinking: what keeps the largest network's function, what each phase draws, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small import small_data, small_net, small_space
from stepping import a_batch, bound, drive, make_run

from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.spaces import mobilenet
from hwnas.supernet import Supernet, fix
from hwnas.supernet.sort_channels import sort_channels
from hwnas.train import Recipe, load_weights, newest, read_progress, train
from hwnas.train.ofa import DEPTH, KERNEL, OFA, OTHER, PHASES, RESOLUTION, WIDTH, add_kernel_transforms, dimensions, ofa, sampler
from hwnas.train.run import make_optimizer

DATA = small_data()


def wide_space():  # type: ignore[no-untyped-def]
    return mobilenet(
        size=8,
        classes=4,
        resolutions=(6, 8),
        stem=8,
        stem_stride=1,
        widths=((8, 12), (16,)),
        depth=2,
        strides=(1, 2),
        kernels=(3, 5, 7),
        expands=(2, 3),
        head_expand=1,
    )


SPACE = wide_space()


def lively_net(share: bool = True) -> Supernet:
    net = small_net(SPACE, share)
    with torch.no_grad():
        for name, t in net.state_dict().items():
            if "running_var" in name:
                t.uniform_(0.5, 2)
            elif t.is_floating_point() and t.ndim == 1:
                t.normal_(0.5, 0.5)
    return net.eval()


def test_sorting_keeps_the_largest_network_and_brings_important_channels_forward() -> None:
    net, x, z = lively_net(), a_batch(DATA)[0], SPACE.largest()
    before, small = net(x, path(SPACE, z)), net(x, path(SPACE, SPACE.smallest()))
    sort_channels(net)
    after = net(x, path(SPACE, z))
    assert torch.allclose(before, after, atol=1e-5) and before.std() > 0.01
    assert not torch.allclose(small, net(x, path(SPACE, SPACE.smallest())), atol=1e-3)
    importance = net.mixed["s1_l1"].elastics[0].full.down[0].weight.abs().sum((0, 2, 3))  # type: ignore[union-attr, index]
    assert (importance[:-1] >= importance[1:]).all() and importance[0] > importance[-1]


def test_fresh_kernel_transforms_change_nothing() -> None:
    net, x = lively_net(), a_batch(DATA)[0]
    codes = [SPACE.smallest(), *SPACE.sample(6, np.random.default_rng(0)), SPACE.largest()]
    before = [net(x, path(SPACE, z)) for z in codes]
    add_kernel_transforms(net, make_optimizer(net, Recipe()))
    for z, y in zip(codes, before):
        assert torch.allclose(net(x, path(SPACE, z)), y, atol=1e-6)


def test_a_kernel_of_3_is_transformed_twice_by_hand() -> None:
    net = lively_net()
    add_kernel_transforms(net, make_optimizer(net, Recipe()))
    elastic = net.mixed["s1_l1"].elastics[-1]
    for t in elastic.transforms.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(t)
    five, three = elastic.transforms["depthwise-0-weight-to-5"], elastic.transforms["depthwise-0-weight-to-3"]  # type: ignore[index]
    z = SPACE.encode({**SPACE.decode(SPACE.largest()), "s1_l1_kernel": 3})
    got = fix(net, z).s1_l1.depthwise[0].weight  # type: ignore[union-attr, index]
    full = elastic.full.depthwise[0].weight  # type: ignore[union-attr, index]
    for c in range(full.shape[0]):
        k5 = (five @ full[c, 0, 1:6, 1:6].reshape(25)).view(5, 5)
        k3 = (three @ k5[1:4, 1:4].reshape(9)).view(3, 3)
        assert torch.allclose(got[c, 0], k3, atol=1e-5)
    x = a_batch(DATA)[0]
    assert torch.allclose(net(x, path(SPACE, z)), fix(net, z)(x), atol=1e-4)
    net(x, path(SPACE, z)).sum().backward()
    assert five.grad is not None and three.grad is not None and five.grad.abs().sum() > 0


def test_what_each_gene_makes_elastic() -> None:
    kinds = dimensions(SPACE)
    assert kinds["resolution"] == RESOLUTION and kinds["s1_depth"] == DEPTH and kinds["s2_l1_kernel"] == KERNEL
    assert kinds["s1_l2_expand"] == WIDTH and kinds["s1_width"] == WIDTH and kinds["s1_l1_se"] == OTHER


def test_each_phase_draws_what_is_elastic_in_it() -> None:
    kinds, rng = dimensions(SPACE), np.random.default_rng(0)
    seen = {p.name: sampler(SPACE, kinds, p)(300, rng) for p in PHASES}
    for name, Z in seen.items():
        varying = {kinds[g.name] for g, column in zip(SPACE.genes, Z.T) if np.ptp(column)}
        phase = next(p for p in PHASES if p.name == name)
        assert varying == set(phase.elastic)  # all networks of a step have one resolution
    kernels = seen["kernel"][:, SPACE.index["s1_l1_kernel"]]
    assert set(kernels) == {0, 1, 2}
    fixed = [i for i, g in enumerate(SPACE.genes) if kinds[g.name] not in (KERNEL, OTHER, RESOLUTION)]
    assert (seen["kernel"][:, fixed] == SPACE.largest()[fixed]).all()


def test_phases_follow_each_other(tmp_path: Path) -> None:
    """1, 1, 2, 2, 4, 4 networks a step, the learning rate starts anew and smaller, the teacher is the largest after its phase."""
    recipe, steps = Recipe(batch=16, warmup=0.0, lr=0.1), 40
    net = small_net(SPACE)
    run = make_run(net, recipe, DATA, steps)
    step = ofa(run, OFA())
    starts = [0, 12, 20, 22, 30, 32]
    counts, rates = [], []
    for number in range(steps):
        before = run.visits[0].sum()
        record = drive(run, step, DATA, 1, number)[0]
        counts.append(int(run.visits[0].sum() - before))
        rates.append(run.optimizer.param_groups[0]["lr"])
        assert record["phase"] == np.searchsorted(starts, number, side="right") - 1
        if number == 12:
            teacher = {k: t.clone() for k, t in run.kept["teacher"].state_dict().items() if "weight" in k}
    assert [counts[k] for k in starts] == [1, 1, 2, 2, 4, 4]
    assert [rates[k] for k in starts] == pytest.approx([0.1, 0.04, 0.003, 0.01, 0.003, 0.01])
    assert all(torch.equal(t, teacher[k]) for k, t in run.kept["teacher"].state_dict().items() if k in teacher)


def test_it_needs_shared_weights() -> None:
    with pytest.raises(HwnasError, match="--own-weights"):
        ofa(make_run(small_net(SPACE, share=False), Recipe(), DATA), OFA())


def test_it_learns_resumes_and_its_weights_load(tmp_path: Path) -> None:
    recipe, space = Recipe(epochs=10, batch=32, shift_px=0, seed=2), small_space()

    class Killed(Exception):
        pass

    def report(progress: object) -> None:
        if progress.step == 35:  # type: ignore[attr-defined]
            raise Killed

    train(bound(ofa, OFA()), straight := small_net(space), space, DATA, recipe, tmp_path / "a")
    with pytest.raises(Killed):
        train(bound(ofa, OFA()), small_net(space), space, DATA, recipe, tmp_path / "b", checkpoint_s=0, report=report)
    train(bound(ofa, OFA()), net := small_net(space), space, DATA, recipe, tmp_path / "b", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(straight.state_dict().values(), net.state_dict().values()))

    load_weights(tmp_path / "b", other := small_net(space), space)  # the matrices are found in the file
    assert any("transforms" in k for k in other.state_dict())
    assert read_progress(newest(tmp_path / "b"))["done"] == 10 * 6  # type: ignore[arg-type]
    x, y = a_batch(DATA, 128)
    z = space.sample(1, np.random.default_rng(1))[0]
    other.train()
    assert (other(x, path(space, z)).argmax(1) == y).float().mean() > 0.6  # chance is 0.25
