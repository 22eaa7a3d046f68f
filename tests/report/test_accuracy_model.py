from __future__ import annotations

import numpy as np
import pytest
from tiny_spaces import SPACES, all_codes

from hwnas.report.accuracy_model import AccuracyModel, active, features


def test_finds_what_each_option_adds() -> None:
    space, rng = SPACES["chain"], np.random.default_rng(0)
    Z = space.canonical(space.sample(400, rng))
    X = features(space, Z)
    truth = rng.normal(0, 0.01, X.shape[1])
    model = AccuracyModel.fit(space, Z, 0.9 + X @ truth)
    assert model is not None and model.error < 1e-4 and model.spearman > 0.99
    fresh = space.sample(50, rng)
    np.testing.assert_allclose(model.score(fresh), 0.9 + features(space, fresh) @ truth, atol=3e-4)


def test_left_out_errors_are_those_of_really_leaving_out() -> None:
    """The closed form against refitting without each row, centred anew, at the same penalty."""
    space, rng = SPACES["mix"], np.random.default_rng(1)
    Z = space.sample(40, rng)
    y = 0.5 + 0.1 * rng.random(len(Z))
    model = AccuracyModel.fit(space, Z, y)
    assert model is not None
    X, errors = features(space, Z), []
    for penalty in 10.0 ** np.arange(-2, 5):
        left = []
        for i in range(len(Z)):
            rest = np.arange(len(Z)) != i
            A, b = X[rest] - X[rest].mean(0), y[rest] - y[rest].mean()
            w = np.linalg.solve(A.T @ A + penalty * np.eye(X.shape[1]), A.T @ b)
            left.append(y[i] - y[rest].mean() - (X[i] - X[rest].mean(0)) @ w)
        errors.append(np.sqrt(np.mean(np.square(left))))
    assert model.error == pytest.approx(min(errors), rel=0.02)  # the mean is left out to first order only


def test_a_gene_without_effect_counts_for_nothing() -> None:
    space = SPACES["mix"]  # kernel matters only where the last layer runs, and where something reaches it
    Z = np.array([z for z in all_codes(space) if space.decode(z)["ops"] != ["none"]])
    on = active(space, Z)
    kernel, depth = space.index["kernel"], space.index["depth"]
    assert (on[:, kernel] == (Z[:, depth] == 1)).all()
    short = Z[Z[:, depth] == 0]
    X = features(space, short)
    assert len(np.unique(X, axis=0)) == len(np.unique(np.delete(short, kernel, 1), axis=0))


@pytest.mark.parametrize("name", SPACES)
def test_active_is_whether_another_value_makes_another_network(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(2)
    Z = space.sample(6, rng)
    on = active(space, Z)
    for z, row in zip(Z, on):
        own = space.keys(z[None])[0]
        for g, size in enumerate(space.sizes):
            others = np.repeat(z[None], size, 0)
            others[:, g] = np.arange(size)
            assert row[g] == any(k != own for k in space.keys(others))


def test_too_little_to_fit() -> None:
    space = SPACES["chain"]
    Z = space.sample(40, np.random.default_rng(0))
    assert AccuracyModel.fit(space, Z[:10], np.linspace(0, 1, 10)) is None
    assert AccuracyModel.fit(space, Z, np.full(40, 0.9)) is None
