"""hwnas/gates.py: each rule's weights, and its gradient against a hand-derived or finite-difference value."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from hwnas.gates import binary, gumbel, gumbel_softmax, hard, inclusion, path, softmax
from hwnas.gene import Gene
from hwnas.spaces import mobilenet

ONE = Gene.one("op", ["a", "b", "c", "d"])
DEPTH = Gene.prefix("depth", [1, 2, 3])
SOME = Gene.some("ops", ["a", "b", "c"], 1, 2)
LOGITS = torch.tensor([0.3, -0.8, 0.5, 0.1], dtype=torch.float64)


def finite_difference(function, at: Tensor, eps: float = 1e-6) -> Tensor:  # type: ignore[no-untyped-def]
    """The gradient of a scalar function at `at`, central differences."""
    found = torch.zeros_like(at)
    for i in range(len(at)):
        for sign in (1, -1):
            moved = at.clone()
            moved[i] += sign * eps
            found[i] += sign * float(function(moved)) / (2 * eps)
    return found


def test_a_path_is_the_values_of_a_code() -> None:
    space = mobilenet(size=8)
    z = space.sample(1, np.random.default_rng(0))[0]
    assert {k: g.picks for k, g in path(space, z).items()} == {g.name: g.values[v] for g, v in zip(space.genes, z)}


def test_softmax_by_hand() -> None:
    p = LOGITS.exp() / LOGITS.exp().sum()
    gate = softmax({ONE: LOGITS})["op"]
    assert gate.picks == (0, 1, 2, 3) and gate.weights is not None and torch.allclose(gate.weights, p)
    grad = torch.func.grad(lambda a: softmax({ONE: a})["op"].weights[2])(LOGITS)  # type: ignore[index]
    assert torch.allclose(grad, p[2] * (torch.tensor([0.0, 0, 1, 0]) - p))


def test_an_option_weighs_what_the_values_that_hold_it_do() -> None:
    p = torch.tensor([0.2, 0.3, 0.5])
    assert torch.allclose(inclusion(DEPTH, p), torch.tensor([1.0, 0.8, 0.5]))  # depth 1 always runs its first layer
    assert SOME.values == ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
    q = torch.tensor([0.1, 0.2, 0.3, 0.05, 0.15, 0.2])
    assert torch.allclose(inclusion(SOME, q), torch.tensor([0.3, 0.45, 0.65]))
    assert inclusion(ONE, p) is p


@pytest.mark.parametrize("tau", [0.5, 5.0])
def test_gumbel_is_softmax_of_log_probability_and_noise_over_tau(tau: float) -> None:
    def weights(a: Tensor) -> Tensor:
        torch.manual_seed(3)
        found = gumbel({ONE: a}, tau)["op"].weights
        assert found is not None
        return found

    torch.manual_seed(3)
    noise = -torch.empty(4, dtype=torch.float64).exponential_().log()
    by_hand = ((LOGITS.log_softmax(0) + noise) / tau).exp()
    assert torch.allclose(weights(LOGITS), by_hand / by_hand.sum())
    c = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    grad = torch.func.grad(lambda a: (c * weights(a)).sum())(LOGITS)
    assert torch.allclose(grad, finite_difference(lambda a: (c * weights(a)).sum(), LOGITS), atol=1e-7)


def test_gumbel_samples_follow_the_softmax() -> None:
    torch.manual_seed(0)
    count = Counter(hard({ONE: LOGITS}, 1.0)["op"].picks[0] for _ in range(4000))
    assert np.allclose([count[i] / 4000 for i in range(4)], LOGITS.softmax(0), atol=0.03)


def test_hard_runs_one_value_with_weight_one_and_the_gradient_of_its_probability() -> None:
    for gene, logits in ((ONE, LOGITS), (DEPTH, LOGITS[:3])):
        for seed in range(5):

            def p(a: Tensor, seed: int = seed) -> Tensor:
                torch.manual_seed(seed)
                return gumbel_softmax(a, 2.0)

            v = int(p(logits).argmax())
            a = logits.clone().requires_grad_()
            torch.manual_seed(seed)
            gate = hard({gene: a}, 2.0)[gene.name]
            assert gate.picks == gene.values[v] and gate.weights is not None and (gate.weights == 1).all()
            gate.weights[0].backward()
            assert torch.allclose(a.grad, finite_difference(lambda x, v=v, p=p: p(x)[v], logits), atol=1e-7)  # type: ignore[arg-type]


def test_noise_that_is_not_finite_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, draw = [], torch.Tensor.exponential_

    def sometimes(self: Tensor) -> Tensor:
        calls.append(1)
        return self.zero_() if len(calls) == 1 else draw(self)  # -log 0 is infinite

    monkeypatch.setattr(torch.Tensor, "exponential_", sometimes)
    assert torch.isfinite(gumbel_softmax(LOGITS, 0.1)).all() and len(calls) == 2
    assert torch.isnan(gumbel_softmax(LOGITS * float("nan"), 1.0)).all()  # ends, and the training loop reports it


def test_binary_has_the_gradient_of_equation_4() -> None:
    c = torch.tensor([2.0, -1.0, 0.7, 3.0])  # dL/dg of each path
    for seed in range(6):
        torch.manual_seed(seed)
        a = LOGITS.float().requires_grad_()
        gate, (on, off) = binary(ONE, a)
        assert sorted((on, off)) == list(gate.picks) and gate.frozen == (off,) and gate.weights is not None
        assert gate.weights[gate.picks.index(on)] == 1 and gate.weights[gate.picks.index(off)] == 0
        (gate.weights * c[list(gate.picks)]).sum().backward()
        q = a.detach()[[on, off]].softmax(0)
        expected = torch.zeros(4)
        for i, k in enumerate((on, off)):
            expected[k] = sum(c[m] * q[j] * (float(i == j) - q[i]) for j, m in enumerate((on, off)))
        assert torch.allclose(a.grad, expected, atol=1e-6)  # type: ignore[arg-type]


def test_binary_draws_pairs_without_replacement_and_the_active_by_its_share() -> None:
    torch.manual_seed(0)
    p, n = LOGITS.softmax(0).numpy(), 6000
    pairs = Counter(binary(ONE, LOGITS)[1] for _ in range(n))
    for (i, j), count in pairs.items():
        both = p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j])
        assert i != j and abs(count / n - both * p[i] / (p[i] + p[j])) < 0.02


def test_binary_depth_freezes_the_layers_of_the_inactive_value() -> None:
    torch.manual_seed(1)
    a = torch.zeros(3, requires_grad=True)
    for _ in range(8):
        gate, (on, off) = binary(DEPTH, a)
        assert gate.picks == tuple(range(max(on, off) + 1)) and gate.weights is not None
        assert gate.weights.tolist() == [1.0] * (on + 1) + [0.0] * (len(gate.picks) - on - 1)
        assert gate.frozen == tuple(range(on + 1, off + 1))
        assert torch.autograd.grad(gate.weights[0], a, retain_graph=True)[0].abs().max() < 1e-7  # the first layer runs in any case
