"""Rewards, baseline, controller and policy gradient against numbers computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import constraint
from small import small_data, small_net, small_space
from stepping import drive, make_run

from hwnas.errors import HwnasError
from hwnas.gates import path
from hwnas.spaces import darts
from hwnas.train import Progress, Recipe, train
from hwnas.train.controller import Controller
from hwnas.train.enas import ENAS, enas
from hwnas.train.judge import judge
from hwnas.train.mnasnet import MnasNet, mnasnet
from hwnas.train.policy import Baseline, reinforce
from hwnas.train.proxyless_rl import ProxylessRL, proxyless_rl
from hwnas.train.reward import Multipliers, Reward, lagrangian, used, weighted_product

SPACE, DATA = small_space(), small_data()


def test_mnasnet_rewards_by_hand() -> None:
    accuracy, cost = np.array([0.75, 0.75, 0.5]), np.array([0.5, 2.0, 1.0])
    # 0.5^-0.07 = 1.04972, 2^-0.07 = 0.95264
    assert weighted_product(accuracy, cost, -0.07, hard=False) == pytest.approx([0.787287, 0.714478, 0.5], abs=1e-6)
    assert weighted_product(accuracy, cost, -0.07, hard=True) == pytest.approx([0.75, 0.375, 0.5])
    assert lagrangian(accuracy, np.array([[0.5], [2.0], [1.0]]), np.array([0.3])) == pytest.approx([0.9, 0.45, 0.5])


def test_multipliers_rise_while_over_the_budget_and_never_below_0() -> None:
    m = Multipliers(2, 0.1)
    m.ascend(np.array([[1.5, 0.5], [2.5, 0.9]]))
    assert m.values == pytest.approx([0.1, 0.0])
    m.ascend(np.array([[0.5, 1.2]]))
    assert m.values == pytest.approx([0.05, 0.02])
    again = Multipliers(2, 0.1)
    again.load_state_dict(m.state_dict())
    assert (again.values == m.values).all()


def test_baseline_and_advantage_by_hand() -> None:
    """b: 0.5 (the first reward), 0.99 * 0.5 + 0.01 * 0.7 = 0.502, 0.99 * 0.502 + 0.01 * 0.3 = 0.49998."""
    b = Baseline(0.99)
    assert b.advantage(np.array([0.5, 0.7])) == pytest.approx([0.0, 0.198])
    again = Baseline(0.99)
    again.load_state_dict(b.state_dict())
    assert again.advantage(np.array([0.3])) == pytest.approx([0.3 - 0.49998]) and again["seen"] == 3


def test_reinforce_gradient_by_hand() -> None:
    """d/dlogit of -mean(A log softmax) is -mean(A (onehot - p))."""
    logits = torch.tensor([0.2, -0.3, 0.5], requires_grad=True)
    picks, advantage = torch.tensor([0, 2]), np.array([0.4, -0.1])
    reinforce(logits.log_softmax(0)[picks], advantage).backward()
    p = torch.tensor([0.2, -0.3, 0.5]).softmax(0)
    wanted = -(0.4 * (torch.eye(3)[0] - p) - 0.1 * (torch.eye(3)[2] - p)) / 2
    assert torch.allclose(logits.grad, wanted, atol=1e-6)  # type: ignore[arg-type]


def test_controller_probabilities_sum_to_1_and_match_its_samples() -> None:
    from itertools import product

    from tiny_spaces import mix_space

    space = mix_space()
    torch.manual_seed(3)
    controller = Controller(space, 16)
    with torch.no_grad():
        for p in controller.parameters():
            p.mul_(20)  # far from uniform
    Z = np.array(list(product(*(range(n) for n in space.sizes))))
    log_p, entropy = controller(Z)
    p = log_p.exp().detach().numpy()
    assert p.sum() == pytest.approx(1, abs=1e-5) and p.max() > 1.2 * p.min()
    drawn = controller.sample(4000, torch.Generator().manual_seed(0))
    index = {tuple(z): i for i, z in enumerate(Z)}
    counts = np.bincount([index[tuple(z)] for z in drawn], minlength=len(Z))
    assert abs(counts / 4000 - p).max() < 0.03
    assert entropy.shape == (len(Z),) and float(entropy.detach().max()) <= np.log(space.sizes.astype(float)).sum() + 1e-5


def test_input_genes_have_larger_logits_than_operators() -> None:
    space = darts(2, 8, 3, width=4, cells=2, nodes=3)
    controller = Controller(space, 8)
    scale = {g.name: s for g, s in zip(controller.genes, controller.scales)}
    assert scale["reduce_n1_inputs"] == 1.10 and scale["reduce_n1_c0"] == pytest.approx(1.10 / 2.5)
    with torch.no_grad():
        for p in controller.parameters():
            p.fill_(100.0)
    log_p, _ = controller(space.sample(3, np.random.default_rng(0)))
    assert torch.isfinite(log_p).all()  # bounded logits rule nothing out


def test_costs_are_shares_of_the_limits_with_the_margin() -> None:
    c = constraint(SPACE)
    run = make_run(small_net(SPACE), Recipe(), DATA)
    run.constraint = c
    Z = SPACE.sample(5, np.random.default_rng(0))
    assert used(c, Z)[:, 0] == pytest.approx(1.1 * c.model.cost(Z, ["latency_ms"])[:, 0] / c.target.limits[0])
    quality = np.linspace(0.5, 0.9, 5)
    assert Reward(run, "soft")(Z, quality) == pytest.approx(quality * used(c, Z)[:, 0] ** -0.07)
    assert Reward(run, "accuracy")(Z, quality) == pytest.approx(quality)
    run.constraint = None
    with pytest.raises(HwnasError, match="reward 'soft' needs a device and a budget"):
        Reward(run, "soft")


def test_judging_leaves_the_network_as_it_was() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=16), DATA)
    before = {k: t.clone() for k, t in run.net.state_dict().items()}
    z = SPACE.largest()
    first = judge(run, path(SPACE, z), run.valid_batch, 0, 2)
    assert all(torch.equal(t, before[k]) for k, t in run.net.state_dict().items()) and run.net.training
    x, y = run.valid_batch(0)
    x1, y1 = run.valid_batch(1)
    hits = [(run.net(a, path(SPACE, z)).argmax(1) == b).float().mean().item() for a, b in ((x, y), (x1, y1))]
    assert first == pytest.approx(np.mean(hits))


class Killed(Exception):
    pass


def killed_at(step: int):  # type: ignore[no-untyped-def]
    def report(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return report


@pytest.mark.parametrize(
    ("algorithm", "options"), [(enas, {"evaluations": 4}), (mnasnet, {"evaluations": 4}), (proxyless_rl, {"samples": 3})]
)
def test_resumed_with_the_same_bits_and_derives_within_the_budget(tmp_path: Path, algorithm: object, options: dict[str, int]) -> None:
    recipe, c = Recipe(epochs=3, batch=32, shift_px=0, seed=1), lambda: constraint(SPACE)
    a = train(algorithm, small_net(SPACE), SPACE, DATA, recipe, tmp_path / "a", options=options, constraint=c())  # type: ignore[arg-type]
    with pytest.raises(Killed):
        train(
            algorithm,
            small_net(SPACE),
            SPACE,
            DATA,
            recipe,
            tmp_path / "b",
            options=options,
            constraint=c(),
            checkpoint_s=0,
            report=killed_at(7),
        )  # type: ignore[arg-type]
    b = train(algorithm, small_net(SPACE), SPACE, DATA, recipe, tmp_path / "b", options=options, constraint=c(), resume=True)  # type: ignore[arg-type]
    states = [torch.load(r.checkpoint / "state.pt", weights_only=True) for r in (a, b)]
    assert_equal(*states)
    assert a.derived is not None and b.derived is not None and (a.derived.z == b.derived.z).all()
    assert c().keeps(a.derived.z[None]).all()
    assert [{**r, "images_per_s": 0} for r in a.history] == [{**r, "images_per_s": 0} for r in b.history]


def assert_equal(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)  # type: ignore[arg-type]
    elif isinstance(a, dict):
        assert a.keys() == b.keys()  # type: ignore[attr-defined]
        for k in a:
            assert_equal(a[k], b[k])  # type: ignore[index]
    else:
        assert a == b


@pytest.mark.parametrize("algorithm", [enas, proxyless_rl])
def test_the_distribution_learns_what_is_rewarded(algorithm: object) -> None:
    """A reward that is 1 for one kernel of one layer and 0 else: the policy comes to prefer it."""
    run = make_run(small_net(SPACE), Recipe(batch=8, seed=2), DATA, 40, 5)
    run.arch_batch = run.valid_batch
    gene = SPACE.index["s1_l1_kernel"]
    seen: list[np.ndarray] = []
    options = (
        ENAS(lr=0.05, evaluations=40, baseline=0.9)
        if algorithm is enas
        else ProxylessRL("soft", lr=0.1, every=1, samples=8, warmup=0.0, baseline=0.9)
    )
    if algorithm is proxyless_rl:
        run.constraint = constraint(SPACE, "latency=100%")
    step = algorithm(run, options)  # type: ignore[operator]
    forward = run.forward

    def watching(x: torch.Tensor, gates: object) -> torch.Tensor:
        seen.append(np.array(gates["s1_l1_kernel"].picks[0]))  # type: ignore[index]
        return forward(x, gates)

    run.forward = watching
    run.reward = lambda outputs, y: float(seen[-1] == 1)
    drive(run, step, DATA, 20)
    policy = run.derive().T[gene] if run.derive else []  # type: ignore[misc]
    early, late = np.mean(seen[:60]), np.mean(seen[-60:])
    assert late > 0.7 > early and np.mean(policy) > 0.5


def test_a_lagrangian_reward_brings_the_samples_into_the_budget() -> None:
    run = make_run(small_net(SPACE), Recipe(batch=8, seed=2), DATA, 40, 5)
    run.arch_batch, run.constraint = run.valid_batch, constraint(SPACE, "latency=10%")
    step = mnasnet(run, MnasNet("lagrangian", lr=0.02, evaluations=60, baseline=0.9))
    before = used(run.constraint, SPACE.sample(200, np.random.default_rng(0))).mean()
    drive(run, step, DATA, 30)
    controller = run.kept["controller"]
    after = used(run.constraint, controller.sample(200, torch.Generator().manual_seed(0))).mean()  # type: ignore[attr-defined]
    assert after < 1.1 < 1.3 < before and run.kept["multipliers"].values[0] > 0  # type: ignore[attr-defined]
