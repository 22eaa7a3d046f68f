"""SMASH: the hypernetwork's weights are the ones that run, only they (and stem, BatchNorm, head) learn, the winner's are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import constraint
from small import small_data, small_net, small_space
from stepping import a_batch, drive, make_run
from torch.func import functional_call

from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.supernet import fix, resize
from hwnas.train import Recipe, load_weights, train
from hwnas.train.smash import SMASH, generated, smash

SPACE, DATA = small_space(), small_data()


def test_generated_weights_have_norm_1_for_each_output_channel_and_depend_on_the_code() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=16), DATA)
    smash(run, SMASH())
    hyper = run.kept["hypernetwork"]
    first, second = hyper(SPACE.smallest()), hyper(SPACE.largest())  # type: ignore[operator]
    assert set(first) == set(generated(run.net)) and all("stem" not in k and "head" not in k for k in first)  # type: ignore[arg-type]
    for key, weight in first.items():
        assert weight.shape == dict(run.net.named_parameters())[key].shape
        assert torch.allclose(weight.flatten(1).norm(dim=1), torch.ones(len(weight)), atol=1e-5)
        assert not torch.equal(weight, second[key])


def test_a_step_trains_the_hypernetwork_and_not_what_it_generates() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=16, lr=0.1), DATA)
    step = smash(run, SMASH())
    before = {k: p.detach().clone() for k, p in run.net.named_parameters()}
    hyper = {k: t.clone() for k, t in run.kept["hypernetwork"].state_dict().items()}
    for group in run.optimizer.param_groups:
        group["lr"] = 0.1
    drive(run, step, DATA, 1)
    own = set(generated(run.net))  # type: ignore[arg-type]
    changed = {k for k, p in run.net.named_parameters() if not torch.equal(p, before[k])}
    assert not changed & own and {k for k in changed if "head" in k} and any(p.ndim == 1 for k, p in before.items() if k in changed)
    moved = [k for k, t in run.kept["hypernetwork"].state_dict().items() if not torch.equal(t, hyper[k])]
    assert any(k.startswith("trunk") for k in moved) and any(k.startswith("heads") for k in moved)


def test_functional_call_is_the_network_with_these_weights() -> None:
    """Against weights copied in by hand, in evaluation mode."""
    run = make_run(small_net(SPACE), Recipe(), DATA)
    smash(run, SMASH())
    run.net.eval()
    z = SPACE.sample(1, np.random.default_rng(1))[0]
    x = resize(a_batch(DATA)[0], SPACE.input_size(z))
    weights = {k: w.detach() for k, w in run.kept["hypernetwork"](z).items()}  # type: ignore[operator]
    got = functional_call(run.net, weights, (x, path(SPACE, z)))
    other = run.net(x, path(SPACE, z))
    with torch.no_grad():
        for k, p in run.net.named_parameters():
            if k in weights:
                p.copy_(weights[k])
    assert torch.allclose(got, fix(run.net, z)(x), atol=1e-5) and not torch.allclose(got, other, atol=1e-3)  # type: ignore[arg-type]


def test_it_learns_and_derives_within_the_budget_with_its_weights_installed(tmp_path: Path) -> None:
    c, net = constraint(SPACE, "latency=60%"), small_net(SPACE)
    options = {"candidates": 12, "chain": 6}
    recipe = Recipe(epochs=10, batch=32, shift_px=0, lr=0.1)
    result = train(smash, net, SPACE, DATA, recipe, tmp_path, options=options, constraint=c)
    assert result.derived is not None and c.keeps(result.derived.z[None]).all() and not result.derived.repaired
    assert np.mean([r["accuracy"] for r in result.history[-2:]]) > 0.5  # chance is 0.25
    load_weights(tmp_path, other := small_net(SPACE), SPACE)
    x, y = a_batch(DATA, 128)
    other.train()
    assert (other(x, path(SPACE, result.derived.z)).argmax(1) == y).float().mean() > 0.5


def test_bf16_is_refused() -> None:
    with pytest.raises(HwnasError, match="recipe.bf16"):
        smash(make_run(small_net(SPACE), Recipe(bf16=True), DATA), SMASH())
