"""Path dropout: its probability, ghost batches, L2 on used weights only, zero-out evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import small_data, small_net
from stepping import a_batch, drive, make_run
from tiny_spaces import mix_space
from torch.nn import functional as F

from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.spaces import nasbench201
from hwnas.supernet import fix
from hwnas.train import Recipe
from hwnas.train.one_shot import OneShot, drop_probability, dropped, gates, one_shot, ramped

DATA = small_data()
SPACE = nasbench201(1, 8, 4, width=6, cells=1)


def test_drop_probability_by_hand() -> None:
    assert drop_probability(0.1, 1) == pytest.approx(0.1)
    assert drop_probability(0.01, 2) == pytest.approx(0.1)
    assert drop_probability(0.1, 7) == pytest.approx(0.719686, abs=1e-6)
    assert drop_probability(0.1, 7, 0.5) == pytest.approx(0.359843, abs=1e-6)  # the probability is ramped, not r: 0.05^(1/7) is 0.652
    assert [ramped(k, 100, 0.5) for k in (0, 25, 50, 99)] == [0, 0.5, 1, 1] and ramped(0, 100, 0) == 1


def test_paths_are_dropped_as_often_as_the_formula_says() -> None:
    rng, n, k, r = np.random.default_rng(0), 4000, 5, 0.1
    p = drop_probability(r, k)
    kept = [dropped(SPACE, r, 1.0, rng) for _ in range(n)]
    gene = SPACE.genes[0]
    sizes = np.bincount([len(d[gene]) for d in kept], minlength=k + 1)
    all_dropped = p**k  # = r: then one stays
    expected = k * (1 - p) + all_dropped
    assert all_dropped == pytest.approx(r) and sizes[0] == 0
    assert abs(np.mean([len(d[gene]) for d in kept]) - expected) < 0.1
    each = np.bincount([o for d in kept for o in d[gene]], minlength=k) / n
    assert abs(each - (1 - p + all_dropped / k)).max() < 0.04
    assert all(len(v) == 5 for v in dropped(SPACE, r, 0.0, rng).values())  # at the start everything is on


def test_a_step_is_the_sum_over_ghost_batches() -> None:
    recipe = Recipe(lr=0.1, momentum=0.0, weight_decay=0.0, label_smoothing=0.0, seed=4)
    net, (x, y) = small_net(SPACE, share=False), a_batch(DATA, 48)
    one_shot(make_run(net, recipe, DATA), OneShot(ghost=16, ramp=0.0))(x, y, 6)

    twin, rng = small_net(SPACE, share=False).train(), np.random.default_rng([4, 7, 6])
    for k in range(3):
        part = slice(16 * k, 16 * (k + 1))
        kept = dropped(SPACE, 0.1, 1.0, rng)
        (F.cross_entropy(twin(x[part], gates(SPACE, kept)), y[part]) / 3).backward()
    for (name, a), b in zip(net.state_dict(keep_vars=True).items(), twin.state_dict(keep_vars=True).values()):
        wanted = b if b.grad is None else b - 0.1 * b.grad  # BatchNorm's running statistics, of each ghost batch, agree, too
        assert torch.allclose(a.float(), wanted.float(), atol=1e-5), name


def test_l2_only_on_used_weights() -> None:
    net, (x, y) = small_net(SPACE, share=False), a_batch(DATA, 8)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    one_shot(make_run(net, Recipe(lr=0.5, weight_decay=0.5), DATA), OneShot(drop=0.3, ghost=8, ramp=0.0))(x, y, 0)
    kept = dropped(SPACE, 0.3, 1.0, np.random.default_rng([0, 7, 0]))
    same = {k for k, p in net.named_parameters() if torch.equal(p, before[k])}
    off = [k for s in SPACE.slots if s.genes for o in set(range(5)) - set(kept[s.genes[0]]) for k in before if _holds(net, s.name, o, k)]
    assert off and set(off) <= same and len(same) < len(before)


def _holds(net: torch.nn.Module, slot: str, option: int, key: str) -> bool:
    owner = net.mixed[slot].owner.get((option,))  # type: ignore[union-attr, operator]
    return owner is not None and key.startswith(f"body.slots.{slot}.elastics.{owner}.")


def test_zeroing_out_is_the_sub_network() -> None:
    space = mix_space()
    net, x = small_net(space, share=False).eval(), torch.rand(2, 2, 6, 6)
    z = space.encode({"ops": ["conv1", "pool"], "depth": "long", "kernel": 3})
    kept = {g: g.values[int(v)] for g, v in zip(space.genes, z)}
    assert torch.allclose(net(x, gates(space, kept)), fix(net, z)(x), atol=1e-6)
    assert torch.equal(net(x, gates(space, kept)), net(x, path(space, z)))


def test_settings() -> None:
    with pytest.raises(HwnasError, match=r"drop=1.0 must be below 1"):
        OneShot(drop=1.0)
    with pytest.raises(HwnasError, match="one_shot.ghost: 1"):
        OneShot(ghost=1)


def test_it_learns() -> None:
    run = make_run(small_net(SPACE, share=False), Recipe(batch=32, shift_px=0), DATA, 60)
    records = drive(run, one_shot(run, OneShot()), DATA, 60)
    assert np.mean([r["accuracy"] for r in records[-10:]]) > 0.45  # chance is 0.25, with most paths dropped
    assert records[0]["paths"] == 1 > records[-1]["paths"] and run.visits.sum() > 0
