"""hwnas/predict/calibration.py: whole networks correct sums of blocks, and say how far off they may be."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from latencies import OVERHEAD_MS, SPACE, block_ms, network_ms
from scipy.stats import binom

from hwnas.block import Block
from hwnas.cost import CostModel, Stream
from hwnas.errors import HwnasError
from hwnas.predict import Calibration, choose_networks
from hwnas.predict.calibration import DRIFT, NOISES, _groups, activation_bytes, conformal_margin, weight_bytes

BLOCK_MS = {b: block_ms(b) for b in SPACE.blocks}


def some_networks(n, seed):
    rng = np.random.default_rng(seed)
    parts = [SPACE.blocks_of(z) for z in SPACE.sample(n, rng)]
    return parts, np.array([network_ms(blocks, rng) for blocks in parts])


def fit(n=30, seed=0):
    parts, measured = some_networks(n, seed)
    return Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS, SPACE.hash, "table"), parts, measured


def predict(calibration, parts):
    blocks = [calibration.correct(b, np.array([BLOCK_MS[x] for x in b])).sum() for b in parts]
    return (
        calibration.base_ms
        + np.array(blocks)
        + calibration.stream.ms(*(np.array([of(b) for b in parts]) for of in (weight_bytes, activation_bytes)))
    )


def ridge(parts, measured, noise):
    """The regression that the docstring promises, written out anew: (weights by name, predictions)."""
    from hwnas.cost.facts import facts
    from hwnas.predict.calibration import BOUNDARY_MS, CACHES_BYTES, PRIOR, SHARES, STREAM_PRIOR, _groups

    names = ["level", "calls", "boundary", *sorted({g for blocks in parts for b in blocks for g in _groups(b)})]
    rows, sums = [], []
    for blocks in parts:
        own = {g: sum(BLOCK_MS[b] - OVERHEAD_MS for b in blocks if g in _groups(b)) for g in names[3:]}
        total = sum(BLOCK_MS[b] - OVERHEAD_MS for b in blocks) + OVERHEAD_MS
        elements = sum(facts(b).out_bytes // 4 for b in blocks)
        stored, touched = (sum(of(facts(b)) for b in blocks) for of in (lambda f: 4 * f.params, lambda f: f.memory_bytes))
        fetched = []
        for cache in CACHES_BYTES:
            for share in SHARES:
                full = (stored + share * touched) / cache
                fetched.append(stored * (0 if full < 0.6 else 1 if full > 1.4 else (full - 0.6) / 0.8))
        own_shares = (len(blocks) * OVERHEAD_MS, BOUNDARY_MS * elements, *own.values())
        rows.append([1, *(v / total for v in (*own_shares, *fetched))])
        sums.append(total)
    X, r = np.array(rows), measured / sums - 1
    scale = np.array([PRIOR.get(n, PRIOR["group"]) for n in names] + [STREAM_PRIOR] * 30)
    # ridge as least squares on stacked rows: residuals in units of noise, weights in units of their prior
    A, y = np.vstack([X * scale / noise, np.eye(len(scale))]), np.concatenate([r / noise, np.zeros(len(scale))])
    w = scale * np.linalg.lstsq(A, y, rcond=None)[0]
    return {**dict(zip(names, w)), "stream": w[len(names) :]}, np.array(sums) * (1 + X @ w)


def test_corrected_blocks_and_base_sum_to_the_regression():
    calibration, parts, measured = fit()
    weights, fitted = ridge(parts, measured, calibration.noise)
    assert calibration.stream.ms_per_byte == pytest.approx(weights.pop("stream"), rel=1e-6, abs=1e-16)
    assert calibration.weights == pytest.approx(weights, abs=1e-8)
    assert np.allclose(predict(calibration, parts), fitted, rtol=1e-10)


def test_a_calibrated_network_is_one_gather_sum():
    calibration, parts, _ = fit()
    table = calibration.correct(SPACE.blocks, np.array(list(BLOCK_MS.values())))
    model = CostModel(
        SPACE,
        {"latency_ms": table},
        {"latency_ms": calibration.base_ms},
        stream=calibration.stream,
    )
    Z = SPACE.sample(30, np.random.default_rng(0))
    assert np.allclose(model.cost(Z, ["latency_ms"])[:, 0], predict(calibration, [SPACE.blocks_of(z) for z in Z]))
    assert np.isinf(calibration.correct(SPACE.blocks[:1], np.array([np.inf]))).all()


def test_the_noise_is_the_one_under_which_networks_left_out_are_predicted_best():
    """A quiet machine's networks are taken at their word, those of a noisy one are not."""
    calibration, parts, measured = fit()
    noisy = measured * np.exp(np.random.default_rng(0).normal(0, 0.15, len(measured)))
    again = Calibration.fit(parts, noisy, BLOCK_MS, OVERHEAD_MS)
    assert calibration.noise in NOISES and again.noise in NOISES and again.noise > calibration.noise
    assert max(abs(w) for n, w in again.weights.items() if n not in ("level", "calls", "boundary")) < 0.02


def test_held_out_errors_are_those_of_refits():
    calibration, parts, measured = fit(20)
    refits = []
    for i in range(20):
        rest = [j for j in range(20) if j != i]
        weights, _ = ridge([parts[j] for j in rest], measured[rest], calibration.noise)
        refits.append(ratio_of(weights, parts[i]))
    error = np.abs(np.array(refits) / measured - 1)
    assert calibration.held_out.networks == 20
    assert calibration.held_out.mape == pytest.approx(error.mean(), rel=1e-6)
    assert calibration.held_out.worst == pytest.approx(error.max(), rel=1e-6)
    assert calibration.margin == pytest.approx(DRIFT + max(0, sorted(measured / refits - 1)[-1]))  # of 20, rank 20


def ratio_of(weights, blocks):
    """A network's latency from weights as `Calibration.correct` reads them; a group never seen has none."""
    calibration, *_ = fit(20)
    named = {n: float(w) for n, w in weights.items() if n != "stream"}
    changed = {"weights": named, "stream": replace(calibration.stream, ms_per_byte=tuple(weights["stream"]))}
    return predict(Calibration(**{**vars(calibration), **changed}), [blocks])[0]


def test_calibration_takes_a_known_distortion_away():
    calibration, *_ = fit(40)
    parts, measured = some_networks(100, 99)
    error = np.abs(predict(calibration, parts) / measured - 1)
    plain = np.abs(np.array([sum(BLOCK_MS[b] for b in p) for p in parts]) / measured - 1)
    assert np.median(error) < 0.012 < np.median(plain)
    assert calibration.held_out.median < 0.012 and calibration.plain.median == pytest.approx(np.median(plain), rel=0.5)


def test_the_margin_covers_what_was_not_fitted():
    covered = []
    for seed in range(60):
        calibration, *_ = fit(24, seed)
        parts, measured = some_networks(20, 1000 + seed)
        covered.extend(measured <= predict(calibration, parts) * (1 + calibration.margin - DRIFT))
    assert len(covered) == 1200 and np.mean(covered) >= 0.93
    assert np.mean(covered) < 0.995  # a bound, not a wall


@pytest.mark.parametrize("n", range(19, 101))
def test_the_conformal_rank_by_hand(n):
    """Measured / predicted - 1 is 1, 2, ... n percent: the margin is the rank itself."""
    order = np.random.default_rng(n).permutation(n) + 1
    rank = -(-(n + 1) * Fraction(95, 100) // 1)
    assert round(conformal_margin(np.ones(n), 1 + order / 100) * 100) == rank <= n


def test_the_conformal_bound_holds_for_exchangeable_errors():
    """Coverage of a rank r of n is r / (n + 1) on average, whatever the distribution."""
    rng = np.random.default_rng(0)
    errors = np.exp(rng.standard_t(3, (4000, 25)) * 0.02)
    covered = np.mean([e[-1] - 1 <= conformal_margin(np.ones(24), e[:-1]) for e in errors])
    assert 0.95 <= covered <= 24 / 25 + 3 * np.sqrt(0.04 * 0.96 / 4000)


def test_a_margin_is_never_negative():
    assert conformal_margin(np.full(20, 2.0), np.ones(20)) == 0


def test_too_few_networks():
    parts, measured = some_networks(18, 0)
    with pytest.raises(HwnasError, match="calibration: 18 networks are too few for a 95 % bound, at least 19"):
        Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS)
    assert binom.pmf(18, 18, 0.95) > 0.05 * 0.95  # 18 could all lie below the 95 % quantile too easily


def test_weights_that_do_not_fit_the_cache():
    """Beyond 40 kB of weights a network takes 0.3 us for each kB more: no sum over blocks says so, the knots do."""
    rng = np.random.default_rng(1)

    def some(n, seed):
        parts = [SPACE.blocks_of(z) for z in choose_networks(CostModel(SPACE), n, seed)]
        own, more = np.array([network_ms(p, rng) for p in parts]), np.array([max(weight_bytes(p) - 40e3, 0) * 3e-7 for p in parts])
        return parts, own + more, more

    parts, measured, extra = some(40, 0)
    assert 8 < (extra > 0).sum() < 36 and (extra / measured).max() > 0.1
    calibration = Calibration.fit(parts, measured, BLOCK_MS, OVERHEAD_MS)
    parts, measured, extra = some(60, 5)
    error = np.abs(predict(calibration, parts) / measured - 1)
    assert error.mean() < 0.02, "1 % of it is noise"
    without = Calibration(**{**vars(calibration), "stream": Stream((), (), ())})
    assert np.abs(predict(without, parts) / measured - 1).mean() > 2 * error.mean()


def test_blocks_whose_activations_do_not_fit_the_cache_are_corrected_apart():
    """A network of blocks with over 2 MB of activations takes 1.5 times as long as they do alone, one of smaller blocks as long."""
    small, large = (Block("mbconv", 16, 16, size, size, kernel=3, expand=3, act="relu") for size in (56, 112))
    assert _groups(large)[-1] == "spills" and "spills" not in _groups(small)
    block_ms = {small: 0.1, large: 1.0}
    parts = [[small] * (1 + i % 5) + [large] * (i % 4) for i in range(40)]
    measured = np.array([sum(block_ms[b] * (1.5 if b == large else 1) for b in blocks) for blocks in parts])
    calibration = Calibration.fit(parts, measured, block_ms, 0.0)
    assert calibration.weights["spills"] == pytest.approx(0.5, abs=0.1) and calibration.held_out.mape < 0.01 < calibration.plain.mape


# ---- files --------------------------------------------------------------------------------------------------------------


def test_save_and_load_keep_other_spaces(tmp_path):
    path, (calibration, *_) = tmp_path / "onnx-cpu" / "calibration.json", fit()
    other = Calibration(**{**vars(calibration), "space_hash": "0" * 16, "margin": 0.5})
    calibration.save(path)
    other.save(path)
    assert Calibration.load(path, SPACE.hash) == calibration and Calibration.load(path, "0" * 16) == other


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda text: text[: len(text) // 2], "not a calibration file"),
        (lambda text: "", "not a calibration file"),
        (lambda text: "[1]", "not a calibration file"),
        (lambda text: "null", "not a calibration file"),
        (lambda text: '{"format": 3, "spaces": [1]}', "not a calibration file"),
        (lambda text: '{"format": 3}', "not a calibration file"),
        (lambda text: text.replace('"format": 3', '"format": 9'), "format 9, this hwnas reads format 3"),
        (lambda text: text.replace(SPACE.hash, "f" * 16), f"no calibration for the space with hash {SPACE.hash}"),
        (lambda text: text.replace('"margin"', '"margarine"'), "damaged"),
        (lambda text: text.replace('"mape"', '"maple"'), "damaged"),
        (lambda text: json.dumps({"format": 3, "spaces": {SPACE.hash: 3}}), "damaged"),
    ],
)
def test_files_that_are_no_calibration(tmp_path, damage, reason):
    path, (calibration, *_) = tmp_path / "calibration.json", fit()
    calibration.save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(HwnasError) as error:
        Calibration.load(path, SPACE.hash)
    assert reason in str(error.value) and str(path) in str(error.value) and "profile" in str(error.value)


def test_a_missing_file_and_nothing_overwritten(tmp_path):
    path, (calibration, *_) = tmp_path / "calibration.json", fit()
    with pytest.raises(HwnasError, match="no calibration: run `hwnas profile`"):
        Calibration.load(path, SPACE.hash)
    path.write_text("precious")
    with pytest.raises(HwnasError, match="not a calibration file"):
        calibration.save(path)
    assert path.read_text() == "precious"


def test_networks_for_it_are_enough_by_default():
    codes = choose_networks(CostModel(SPACE), 24, 0)
    parts = [SPACE.blocks_of(z) for z in codes]
    rng = np.random.default_rng(0)
    assert Calibration.fit(parts, np.array([network_ms(p, rng) for p in parts]), BLOCK_MS, OVERHEAD_MS).margin < 0.08
